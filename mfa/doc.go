// SPDX-License-Identifier: Apache-2.0

// Package mfa gives the users of a portal a second factor: an authenticator app (TOTP, RFC 6238), with recovery
// codes for the day when the phone is lost.
//
// Start with [New]. [Manager.BeginTOTP] gives the QR code to scan, [Manager.ConfirmTOTP] takes the first code
// and gives the recovery codes, [Manager.Verify] takes a code at each login after that. [Manager.SetPolicy] is
// the administrator's switch that tells who must have a second factor, and [Manager.Enforce] holds everyone to
// it.
//
// A code works once, whatever runs at the same time: the time step that a code belongs to is consumed in the
// store, by the first code at enrolment too. Tries are counted in the store before a code is looked at. No
// secret reaches the store unsealed, and no code or secret reaches the audit log.
//
// TOTP and recovery codes can be phished: who types one into a false page gives it away. Nothing here helps
// against a malicious program on the user's device, or when the sealer's key and the database are stolen
// together.
//
// # Stored format
//
// The secret of a TOTP factor is 20 random bytes, sealed for the row {tenant, user, factor ID}; codes have six
// digits of HMAC-SHA-1 and change every 30 seconds, which is what Google Authenticator expects.
//
// The secret of a set of recovery codes is one byte, 1, and a random salt of 16 bytes. The hash of a code is 32
// bytes of PBKDF2-HMAC-SHA-256 with that salt and 10,000 iterations, over the code's 16 characters in upper
// case without hyphens. Another first byte will mean another hash.
package mfa
