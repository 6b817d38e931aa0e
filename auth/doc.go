// SPDX-License-Identifier: Apache-2.0

// Package auth keeps accounts and signs people in and out.
//
// Make an [Auth] with [New]. Its flows are calls that any handler can make, whether it answers with a page or
// with JSON: [Auth.Login], [Auth.CompleteLogin] after a second factor, [Auth.Logout], [Auth.ChangePassword],
// [Auth.Reauthenticate]. With a [Config.Mail] there are those that mail a link: [Auth.Invite], [Auth.Register],
// [Auth.RequestReset], [Auth.ChangeEmail]; each has a call for the page that its link leads to, and [Auth.NotMe] is
// for the link in notices. [Auth.Middleware] puts the [portalsec.Principal] of each request into its context,
// [Auth.RequireSession] sends who has none to the sign-in page, and [DenialOf] turns an error of a flow into
// the public answer.
//
// It wires packages auth/password, auth/session and auth/throttle together and does these things beside:
//
//   - Whether a login failed for an unknown name, a wrong password or a disabled account is told to the audit
//     log alone. The visitor gets one error, [ErrLoginRefused], after the same work (ASVS 5.0 6.3.8).
//   - Attempts are counted before a password is looked at, also those with names that do not exist.
//   - A login that still lacks its second factor is not a session. It is a pending login with a cookie and a
//     table of its own, lives ten minutes, serves once, and dies when the account changes.
//   - Disabling an account or changing its password ends its sessions in the same call, together with logins
//     that are under way (ASVS 7.4.2, 7.4.3). Account and roles are read for each request, so the next one
//     sees a change, in every process (ASVS 8.3.2).
//   - Who asks for a reset or for an account gets one answer, whether the address is known or not: the account is
//     looked up when the letter is written, by [Auth.Compose], and no request waits for that.
//   - A mailed link carries 256 random bits, of which the store has a hash. It serves one purpose, once, for a limited
//     time, and dies when password, address or state of its account change. Opening it changes nothing; the POST of its
//     page does.
//   - Owners get a letter when password or address were changed or a new browser signed in (ASVS 6.3.5, 6.3.7), with a
//     link to say that it was not them.
//
// # What it does not do
//
// It verifies no second factors (package mfa does; CompleteLogin believes its caller), decides about no
// permissions (package rbac does), and does not stop forged requests from other sites (package httpsec does).
// Other reasons for a login to fail, such as a throttled or an overloaded portal, are told apart: they depend
// on attempts and load, not on whether the account exists. Whoever reads a user's mail can set their password; only
// a second factor keeps them out.
//
// # Stored format
//
// An account is one [AccountRecord]. What it tells about its user is the JSON object {"email","name","lang","former"},
// sealed by the [Protector]; former lists the addresses before recent changes, each with the end of its time. A
// [OneTimeRecord] of a mailed link has in Data, where it needs any, the JSON object {"email","name","lang","tenant",
// "session"}, sealed too; that of a pending login has what comes next, in the clear. Readers ignore members that they
// do not know.
package auth
