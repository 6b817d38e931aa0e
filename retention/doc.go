// SPDX-License-Identifier: Apache-2.0

// Package retention deletes data when its time is over, by declared policies, in small batches, with a report.
//
// Start with [ParsePolicies], which reads policies from YAML, [NewSQLTarget], which names the table that a
// policy cleans, and [New], which joins them in a [Runner]. A policy that is new or was changed only observes:
// [Runner.DryRun] tells what it would delete, and nothing is deleted until somebody approves that plan's hash
// with [Runner.Approve]. Then [Runner.Run] keeps the schedule and [Runner.RunOnce] runs a policy at once.
//
// # What an approval covers
//
// The plan's hash covers the policy with all its fields and the target's schema: table, columns and their
// types, the fixed condition, the tables that a deletion cascades to, and the triggers of all of them. It covers neither
// the triggers of further tables that a trigger writes to, nor of those whose reference is set to NULL or its default;
// nor the cutoff and the counts, which move every day: what was approved is the rule, and it stays approved until
// rule or schema change. The two are compared when a run starts, not at each batch: a change of the schema during a run
// takes effect on that run, and the next one is refused.
// Approving needs a principal in the context, whose ID is recorded. The package does not ask for a second person.
//
// # What a run does
//
// The cutoff is fixed when a run starts: the present minus the policy's keep period, by the calendar, in UTC.
// Rows whose anchor is earlier are deleted in batches, oldest first. The condition and the cutoff stand in the
// deleting statement itself, so a row that changed in the meantime survives. Cursor and counts are written in
// the transaction that deletes: a crash costs one batch and counts nothing twice, and the next run goes on where
// it ended. A lease with an epoch, checked in the same transaction before anything is deleted, keeps a
// second runner out and makes the batch of one that was thought dead roll back.
//
// A run refuses to start when it would delete more than the policy's share of the table, and when the clock went
// backwards or jumped ahead. At its end it counts what still matches and puts that into the report.
//
// # What it does not protect against
//
// Deleted is not gone from backups, replicas and logs of the database; SQLite overwrites deleted content only with
// the secure_delete setting. An application that writes wrong dates gets the wrong rows deleted; the
// share guard and the approval stop only the gross cases. What the package does is no legal advice.
package retention
