// SPDX-License-Identifier: Apache-2.0

// Package password hashes passwords and decides which ones are good enough.
//
// Make a [Hasher] with [New] and keep what [Hasher.Hash] gives. [Hasher.Verify] checks a password against it and
// tells when it should be hashed anew; [Hasher.VerifyUnknown] spends the same time on a login name that does
// not exist. A [Policy] decides about new passwords, and [Generate] makes random ones.
//
// Hashing is meant to cost much memory and time, so that a stolen table of hashes is slow to guess from. The
// same cost would let a flood of sign-ins exhaust the machine: a Hasher computes a fixed number of hashes at
// once, lets a bounded number wait, and refuses the rest with [ErrBusy].
//
// Passwords are hashed exactly as they are given: not trimmed, cut, or changed in case or Unicode form (ASVS
// 6.2.8, chosen over the normalisation that NIST SP 800-63B-4 section 3.1.1.2 recommends).
//
// # What it does not do
//
// It does not limit guesses at one account (package auth/throttle does), and a hash tells how old its parameters
// are: an account whose password was hashed with others than the configured ones takes another time to
// verify than an unknown one, until the owner next signs in.
//
// # Stored format
//
// A PHC string, at most 256 bytes, as by the Argon2 reference implementation, with memory in KiB, and salt and
// hash in base64 without padding:
//
//	$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g
package password
