// SPDX-License-Identifier: Apache-2.0

// Package audit defines what a portal writes down about what was done in it.
//
// Start with [Recorder], the hook that every package of the SDK calls, and [Event], the one envelope that it
// takes. [Slog] records to a logger, package audit/ledger to a tamper-evident log on disk, [Multi] to several.
// [Middleware] adds one event for each request that changes something, unless the handler recorded one itself.
//
// Each field's Go type tells its data class: a plain string is public to whoever may read the log, a
// [Pseudonym] stands for a person, a [Personal] value is personal data. There is no field for a secret, and
// none may be put into another one: passwords, codes, tokens and keys never reach a Recorder.
//
// A Recorder that loses an event says so with an error. Whether the request may go on is the kind's
// [Kind.Duty]: where it is [Must], the caller refuses the act.
package audit
