// SPDX-License-Identifier: Apache-2.0

// Package auth keeps accounts and signs people in and out.
//
// Make an [Auth] with [New]. Its flows are calls that any handler can make, whether it answers with a page or
// with JSON: [Auth.Login], [Auth.CompleteLogin] after a second factor, [Auth.Logout], [Auth.ChangePassword],
// [Auth.Reauthenticate]. [Auth.Middleware] puts the [portalsec.Principal] of each request into its context,
// [Auth.RequireSession] sends who has none to the sign-in page, and [DenialOf] turns an error of a flow into
// the public answer.
//
// It wires packages auth/password, auth/session and auth/throttle together and does four things beside:
//
//   - Whether a login failed for an unknown name, a wrong password or a disabled account is told to the audit
//     log alone. The visitor gets one error, [ErrLoginRefused], after the same work (ASVS 5.0 6.3.8).
//   - Attempts are counted before a password is looked at, also those with names that do not exist.
//   - A login that still lacks its second factor is not a session. It is a pending login with a cookie and a
//     table of its own, lives ten minutes, serves once, and dies when the account changes.
//   - Disabling an account or changing its password ends its sessions in the same call, together with logins
//     that are under way (ASVS 7.4.2, 7.4.3). Account and roles are read for each request, so the next one
//     sees a change, in every process (ASVS 8.3.2).
//
// # What it does not do
//
// It verifies no second factors (package mfa does; CompleteLogin believes its caller), decides about no
// permissions (package rbac does), and does not stop forged requests from other sites (package httpsec does).
// Other reasons for a login to fail, such as a throttled or an overloaded portal, are told apart: they depend
// on attempts and load, not on whether the account exists.
//
// # Stored format
//
// An account is one [AccountRecord]. Its e-mail address and name are the JSON object {"email","name"}, sealed
// by the [Protector]; readers ignore members that they do not know.
package auth
