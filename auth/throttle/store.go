// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"context"
	"time"
)

// Store keeps the counters of attempts.
//
// Every method is one atomic act, safe for several goroutines and processes: it takes effect wholly or, when
// it returns an error, not at all. It returns an error when ctx has ended, and reads no clock of its own. Slices are the
// caller's and must not be kept.
//
// A suggested table: lane_key (32 bytes, primary key), kind, account_key (32 bytes or NULL, indexed), failures,
// since_at, last_at (both in microseconds; kind and last_at indexed together).
type Store interface {
	// TakeAttempt reads the counters of lanes, hands them to [Decide], and writes the counters that Decide
	// gives, with each lane's Kind and Account. It returns the decision. A lane without a counter has the zero
	// Counter. No other act on these counters may come between the reading and the writing: concurrent
	// attempts are decided one after the other. Lanes come without duplicates and in the order of their keys,
	// so that a store that locks them one by one in that order cannot deadlock. A refused attempt changes
	// nothing.
	TakeAttempt(ctx context.Context, lanes []Lane, now time.Time) (Decision, error)

	// SettleAttempt removes the counters of remove and lowers Failures by one in those of giveBack, never below
	// zero and leaving their times as they are. A key without a counter is passed over.
	SettleAttempt(ctx context.Context, remove, giveBack []Key) error

	// ResetAccount removes all counters that were written with this Account, and no others.
	ResetAccount(ctx context.Context, account Key) error

	// PruneAttempts removes the counters of a kind whose Last is before the given time and whose Failures are
	// fewer than below, and tells how many.
	PruneAttempts(ctx context.Context, kind Kind, before time.Time, below int) (int64, error)
}
