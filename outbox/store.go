// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"time"
)

// Record is a letter as it is stored. Its times are in UTC and whole microseconds.
type Record struct {
	// ID names the letter: a UUID.
	ID string
	// Kind is what the letter is about, at most 64 bytes.
	Kind string
	// Tenant and Account tell whom it is about, at most 200 bytes each; either may be empty.
	Tenant, Account string
	// Sealed is the rest of the letter, at most 32 KiB.
	Sealed []byte
	// Created is when it was queued.
	Created time.Time
	// Expires is when it is given up.
	Expires time.Time
	// Due is when it may be tried, or tried again.
	Due time.Time
	// Tries is how often it was claimed.
	Tries int
	// Tried is when the last try failed; zero when none has.
	Tried time.Time
	// Reason is why the last try failed, at most 32 bytes; empty when none has.
	Reason string
	// Failed is when it was given up; zero while it waits.
	Failed time.Time
}

// Return is what becomes of a letter that could not be sent.
type Return struct {
	// Due is when it may be tried again.
	Due time.Time
	// Tried and Reason are as in [Record].
	Tried  time.Time
	Reason string
	// Failed is when it was given up; zero when it is to be tried again.
	Failed time.Time
}

// Counts is the state of a store.
type Counts struct {
	// Waiting is how many letters have not failed, those that are leased among them.
	Waiting int
	// Retrying is how many of them have been tried without success.
	Retrying int
	// Failed is how many have failed.
	Failed int
	// Oldest is the earliest Created of the waiting; zero when none waits.
	Oldest time.Time
	// Reason is that of the letter with the latest Tried, waiting or failed; empty when none has one.
	Reason string
}

// Store keeps letters.
//
// Every method is one atomic act, safe for several goroutines and processes: it takes effect wholly or, when
// it returns an error, not at all, and each later call in any process sees it. It returns an error when ctx
// has ended. Slices that it is given or gives are never shared with it. It reads no clock.
//
// A letter is leased from the time that it is claimed until it is finished or returned, or the lease's end has come.
//
// A suggested table: id (primary key), kind, tenant, account_id, sealed, created_at, expires_at, due_at (indexed with
// failed_at), tries, tried_at, reason, failed_at, lease, leased_until.
type Store interface {
	// AddLetter adds a letter that nobody has leased.
	AddLetter(ctx context.Context, r Record) error

	// ClaimLetter leases a letter under the name lease until a time, raises its Tries and gives it as it then is. It
	// picks among the letters that have not failed, whose Due is now or before, and that are not leased at now: the one
	// with the earliest Due, or one near it. ok is false when there is none. Of several concurrent calls at most
	// one gets a letter.
	ClaimLetter(ctx context.Context, lease string, now, until time.Time) (r Record, ok bool, err error)

	// FinishLetter removes a letter. It tells whether it did: only a letter that is claimed under the name lease, over or not,
	// and that nobody has claimed since, is removed.
	FinishLetter(ctx context.Context, id, lease string) (bool, error)

	// ReturnLetter ends the lease and writes ret into the letter, under the same condition.
	ReturnLetter(ctx context.Context, id, lease string, ret Return) (bool, error)

	// ReviveLetter makes a letter that is not leased at now due at now, sets its Expires, its Tries to 0 and its Failed to
	// zero, and tells whether it did.
	ReviveLetter(ctx context.Context, id string, now, expires time.Time) (bool, error)

	// DropLetter removes a letter that is not leased at now and tells whether it did.
	DropLetter(ctx context.Context, id string, now time.Time) (bool, error)

	// FailedLetters gives at most limit letters that have failed, the latest Failed first, without Sealed.
	FailedLetters(ctx context.Context, limit int) ([]Record, error)

	// CountLetters counts all letters.
	CountLetters(ctx context.Context) (Counts, error)

	// PruneLetters removes the letters whose Failed is not zero and before a time, and tells how many.
	PruneLetters(ctx context.Context, before time.Time) (int64, error)
}
