// SPDX-License-Identifier: Apache-2.0

// Package outbox keeps letters until a mail server has taken them, so that a slow or dead one delays nobody, and
// so that the time of an answer does not tell whether an account exists. Start with [New]: an [Outbox] is the
// [portalsec.Mailer] that other packages ask for. [Outbox.Run] delivers; letters are composed there, by the packages that
// queued them, so it is called when those are built.
//
// A letter is delivered by one process at a time and at least once: a process that dies between the mail server's yes and
// the removal of the letter leaves one that is sent again when its lease has run out. A letter that cannot be sent is
// tried again after 1 minute, 2, 4 and so on up to an hour, for 24 hours. What was given up can be seen with [Outbox.Failed]
// and queued again with [Outbox.Retry] for 30 days, if [Outbox.Prune] is called once a day.
//
// It does not limit how many letters are queued: who lets strangers ask for letters limits that. It cannot tell whether a
// mail that the server took has reached its reader. Clocks of processes that share a store must not differ by minutes: a
// lease is over when the clock of another process says so.
//
// In the store are a letter's kind, tenant and account in the clear, and the rest sealed, as a JSON object bound to
// Row{Tenant, Account, ID}. Readers ignore members that they do not know.
package outbox
