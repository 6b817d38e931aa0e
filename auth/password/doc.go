// SPDX-License-Identifier: Apache-2.0

// Package password hashes passwords and decides which ones are good enough.
//
// Make a [Hasher] with [New] and keep what [Hasher.Hash] gives. [Hasher.Verify] checks a password against it and
// tells when it should be hashed anew; [Hasher.VerifyUnknown] spends the same time on a login name that does
// not exist. A [Policy] decides about new passwords, [Generate] makes random ones, and [Estimate] guesses for a
// bar beside the form how strong one is.
//
// Hashing is meant to cost much memory and time, so that a stolen table of hashes is slow to guess from. The
// same cost would let a flood of sign-ins exhaust the machine: a Hasher computes a fixed number of hashes at
// once, lets a bounded number wait, and refuses the rest with [ErrBusy].
//
// Passwords are hashed exactly as they are given: not trimmed, cut, or changed in case or Unicode form (ASVS
// 6.2.8, chosen over the normalisation that NIST SP 800-63B-4 section 3.1.1.2 recommends).
//
// The package embeds 110,000 common passwords, which a Policy refuses, and takes larger lists by [OpenFilter]. It never uses a
// network.
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
// hash in base64 without padding; with [Config.FIPS] one of PBKDF2-HMAC-SHA-256:
//
//	$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g
//	$pbkdf2-sha256$i=600000$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g
//
// # Hashes of an application's past
//
// Verify also reads these, and sets NeedsRehash for them. One that asks for more is refused before anything is
// allocated; one that needs more memory than a slot stands for takes several slots.
//
//	$argon2i$v=19$m=..,t=..,p=..$salt$sum     and Argon2id with other parameters: at most 256 MiB, 16 passes, 16 lanes
//	$2a$.. $2b$.. $2y$..                      bcrypt, cost 4 to 15
//	$scrypt$ln=..,r=..,p=..$salt$sum          128·N·r·p at most 256 MiB, r at most 32, p at most 16
//	$pbkdf2-sha256$i=..[,l=..]$salt$sum       at most 10,000,000 iterations
//	$pbkdf2-sha256$..$salt$sum                passlib's, same bound
//	pbkdf2_sha256$..$salt$sum                 Django's, same bound
//
// Salts have at most 64 bytes, sums 16 to 64. bcrypt knows the first 72 bytes of a password only: what follows them is not
// checked, as in the application that the hash comes from, but is part of the password once it is hashed anew.
//
// Under GODEBUG=fips140=only no hash but one of PBKDF2 is verified.
package password
