// SPDX-License-Identifier: Apache-2.0

// Package throttle limits how often a password may be guessed, and how often somebody may have the portal send mail.
//
// Make a [Throttle] with [New]. Call [Throttle.Take] before each check of a password: it counts the attempt
// first, in one atomic act of the store, and tells whether the check may go on. Afterwards call
// [Throttle.Success] when the password was right, [Throttle.Release] when it was never looked at, and nothing
// when it was wrong.
//
// # Lanes
//
// An attempt is counted in lanes, and goes on only if each of them lets it:
//
//   - account: the login name, whether it exists or not. Five failures are free; then each attempt waits
//     30 seconds after the failure before it, doubling to one hour. After 100 failures the lane is closed until
//     [Throttle.Reset] (NIST SP 800-63B-4 section 3.2.2).
//   - browser: the login name together with one browser that has signed in to it before, known by the token
//     of [Throttle.BrowserToken]. Same figures. It takes the place of the other two lanes, so that an attacker
//     who fills those keeps nobody out of an account from their own browser (ASVS 6.1.1, 6.3.1).
//   - address: the client's network, over all accounts. Fifty failures in 24 hours are free; then waits double
//     from one second to 15 minutes. It is never closed, because many people may share it.
//
// An attempt that is refused counts nowhere. A success clears its own account or browser counter and takes
// back its own one count of the address, so that an attacker's account of their own buys no further guesses.
//
// [Throttle.TakeMail] counts requests for mail in lanes of their own, which are never closed:
//
//   - mail: the name that is written to, whether it exists or not. Three mails in 24 hours are free; then each waits from
//     one minute after the one before, doubling to one hour. So nobody fills a stranger's mailbox, and somebody who
//     asks in another's name does not keep them from a link: each of those mails brings them one.
//   - mail-address: the client's network, over all names. Twenty are free; then waits double from one second to
//     15 minutes.
//
// # Crowds
//
// An attempt counts from the moment it is taken until its password was found right, because a guess that is counted
// after its check can be made a thousand times at once. So of 200 people behind one address who all sign in within one
// second, with the right passwords and from browsers that are not known yet, those beyond the fiftieth at a time are
// told to try again after a second. A lane that forgave attempts under way would give an attacker as many guesses as
// connections. Known browsers never meet the address lane.
//
// # What it does not do
//
// It does not find the client's address (package ipfilter/clientip does), slows no flood of requests, and
// records nothing: the caller knows whom the attempt concerns and records audit.AuthThrottled. An attacker
// with many addresses can still close the account lane of somebody whose browsers are all unknown; that
// person needs an administrator. Several processes must have clocks that agree: the difference between
// two clocks may shorten a wait by as much, though it never raises the number of failures that are let through.
//
// # Stored format
//
// A counter is a number of failures and two times, under a key that is the HMAC-SHA-256 of the login name or
// address. The store holds no names and no addresses, and who lacks [Config.Key] cannot guess them from it.
package throttle
