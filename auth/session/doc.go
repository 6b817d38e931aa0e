// SPDX-License-Identifier: Apache-2.0

// Package session keeps people signed in: sessions that can be listed, rotated and ended, and whose end is
// seen by the very next request in every process.
//
// Make a [Manager] with [New]. [Manager.Start] begins a session after a login and sets its cookie,
// [Manager.Load] gives the session of a request, [Manager.End] signs out. [Manager.List], [Manager.Revoke],
// [Manager.RevokeUser] and [Manager.RevokeTenant] are for people who look after their own sessions, and for
// administrators. A [Value] keeps something of the application's in a session.
//
// # How it works
//
// The browser holds a token of 256 random bits in the cookie __Host-session (Secure, HttpOnly, SameSite=Lax;
// ASVS 5.0 3.3.1 to 3.3.4, 7.2.2, 7.2.3). The store holds its SHA-256 only, so who reads the store can use no
// session. Each request reads its session from the store, without a cache: an ended session is dead at once
// (ASVS 7.4.1). The act that notes the last use only changes a session that is there, so that a request in
// flight never brings an ended one back. A session ends when it was idle too long, when it is too old, or when
// it is ended; [Manager.Rotate] and [Manager.Restamp] give it a new token and kill the old one in the same act (ASVS
// 7.2.4). A user has as many sessions as [Config.MaxSessions] says; a login ends those used least recently beyond it.
//
// A request with two cookies of the session's name has no session: one of them was planted.
//
// # What it does not do
//
// It checks no passwords (package auth does), and does not stop requests from other sites: SameSite=Lax helps,
// httpsec's cross-origin protection decides. It cannot tell a stolen token from the browser that it was stolen
// from. A session's ID is not secret and opens nothing.
//
// # Stored format
//
// A session is one [Record]. Client is the JSON object {"device","addr","country"} with empty members left
// out, sealed when [Config.Sealer] is given; readers ignore members that they do not know. Data is empty, or a JSON object
// with a member for each [Value], sealed behind the words "session data" and a line end when [Config.Sealer] is given.
package session
