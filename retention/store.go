// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"context"
	"database/sql"
	"maps"
	"time"
)

// Store keeps approvals, leases and runs. It may be used by several goroutines and processes; each method is one
// atomic act. It reads no clock. Times are kept to the microsecond. Package retentiontest checks these rules.
type Store interface {
	// State gives what is known of a policy. An unknown policy has the zero State and no error.
	State(ctx context.Context, policy string) (State, error)
	// Approve makes a the only approval of its policy. It ends the lease of whoever holds it, so that no batch
	// goes on under an earlier approval, and sets Seen to a.At, also when that is earlier than before.
	Approve(ctx context.Context, a Approval) error
	// BeginRun takes the policy's lease and raises the epoch. It returns [ErrNotApproved] when the approved hash
	// is not fresh.Hash, and [ErrBusy] when the lease is held and ends after now. Of concurrent calls one wins.
	// It gives the policy's unfinished run of the same hash, or else fresh, with the new epoch, and sets Seen to
	// now. An unfinished run of another hash is closed unverified: it is never continued and never the last run.
	BeginRun(ctx context.Context, fresh Run, now, until time.Time) (Run, error)
	// AdvanceRun stores the run's cursor and counts, sets Seen to now and prolongs the lease until until. It
	// returns [ErrLeaseLost], having changed nothing, when the run's epoch is not the policy's any more or the
	// lease was given back. With a tx it must do all this in that transaction, so that it counts exactly when
	// the transaction commits, or return an error if it cannot; a nil tx makes it a transaction of its own.
	AdvanceRun(ctx context.Context, tx *sql.Tx, r Run, now, until time.Time) error
	// EndRun gives the lease back and sets Seen to now. When r.Finished is set, it also stores Finished and Remaining
	// and makes the run the last one; otherwise the run stays to be continued. It returns [ErrLeaseLost],
	// having changed nothing, in the cases in which AdvanceRun does.
	EndRun(ctx context.Context, r Run, now time.Time) error
}

// State is what a store knows of a policy.
type State struct {
	// Approval is the latest approval, zero when there was none.
	Approval Approval
	// Last is the run that finished last, zero when none has.
	Last Report
	// Unfinished tells that a run was begun and has not finished.
	Unfinished bool
	// LeasedUntil is when the lease of the present runner ends unless it prolongs it, zero when there is none.
	LeasedUntil time.Time
	// Seen is when the policy was last approved or worked on.
	Seen time.Time
}

// Approval says that somebody agreed to a plan.
type Approval struct {
	// Policy is the policy's name.
	Policy string
	// Hash is the hash of the plan.
	Hash string
	// By is the ID of the principal who approved.
	By string
	// At is when, in UTC.
	At time.Time
}

// Run is a run as a store keeps it.
type Run struct {
	Report
	// Cursor is where the next batch starts. Its form is the target's own.
	Cursor string
	// Epoch is the number of the lease under which the run is worked on.
	Epoch int64
}

// Report tells what a run did. It holds no personal data.
type Report struct {
	// ID identifies the run. It is a UUID.
	ID string
	// Policy is the policy's name.
	Policy string
	// Hash is the hash of the plan that was approved.
	Hash string
	// Cutoff is in UTC; rows with an earlier anchor were to go.
	Cutoff time.Time
	// Started is when the run began, in UTC.
	Started time.Time
	// Finished is when it ended, in UTC; zero while it has not.
	Finished time.Time
	// Batches is the number of transactions that deleted something.
	Batches int64
	// Deleted is how many rows of the target were deleted.
	Deleted int64
	// Cascaded is how many rows of other collections were deleted along, by name.
	Cascaded map[string]int64
	// Remaining is how many rows were still in scope at the end: rows that came into scope behind the cursor. The
	// next run takes them.
	Remaining int64
}

// add gives the run after one more batch.
func (r Run) add(p Progress) Run {
	r.Cursor = p.Cursor
	r.Batches++
	r.Deleted += p.Deleted
	r.Cascaded = maps.Clone(r.Cascaded)
	for name, n := range p.Cascaded {
		if r.Cascaded == nil {
			r.Cascaded = map[string]int64{}
		}
		r.Cascaded[name] += n
	}
	return r
}
