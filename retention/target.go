// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"context"
	"database/sql"
	"time"
)

// Target is a collection of data that a policy cleans: [SQLTarget] is a table. It may be used by several
// goroutines. Data is a member of the target's scope when its anchor, the time from which it is kept, is before
// the cutoff.
type Target interface {
	// Describe checks that the target can be cleaned and tells what a deletion covers. Two descriptions must be
	// equal exactly when the same approval may cover both.
	Describe(ctx context.Context) (Description, error)
	// Plan looks at what is in scope and must change nothing. It fills the fields of [Plan] that say so.
	Plan(ctx context.Context, s Scope) (Plan, error)
	// Step deletes the oldest data in scope that lies after the batch's cursor, as one transaction, and tells
	// what it did and whether nothing is left after it. It calls the batch's Commit as [Batch] says and must not
	// delete anything when that fails.
	Step(ctx context.Context, s Scope, b Batch) (Progress, error)
	// Verify counts what is in scope, wherever a cursor stands.
	Verify(ctx context.Context, s Scope) (Residue, error)
}

// Scope tells what is out of date.
type Scope struct {
	// Cutoff is in UTC; data with an earlier anchor is in scope.
	Cutoff time.Time
}

// Description is what an approval covers beside the policy.
type Description struct {
	// Schema is a canonical text of all that decides what a deletion deletes.
	Schema string
	// Cascades are the names of the collections that are deleted from along with the target's, sorted.
	Cascades []string
}

// Batch is one step's work.
type Batch struct {
	// Cursor is where the step before ended, empty at the start. Its form is the target's own.
	Cursor string
	// Limit is how many rows the step deletes at most, cascaded ones not counted. It is at least 1.
	Limit int
	// Commit checks the lease and stores the progress. A target with transactions calls it once for each batch
	// that is not empty, inside its transaction and before the first deletion, so that a runner without the
	// lease deletes nothing and progress never parts from the deletion. A target without transactions passes nil
	// for tx when the batch is gone: a crash in between loses that batch's counts and counts nothing twice.
	Commit func(ctx context.Context, tx *sql.Tx, p Progress) error
}

// Progress is what one batch does.
type Progress struct {
	// Cursor is where the next batch starts.
	Cursor string
	// Deleted is how many rows of the target go.
	Deleted int64
	// Cascaded is how many rows of other collections go along, by name.
	Cascaded map[string]int64
	// Done tells that nothing in scope lies after the cursor.
	Done bool
}

// Residue is what is still in scope.
type Residue struct {
	// Count is the number of rows.
	Count int64
	// Oldest is the earliest anchor among them, in UTC, zero when there are none.
	Oldest time.Time
}

// Plan tells what a run would delete.
type Plan struct {
	// Policy is the policy's name. The runner fills it.
	Policy string
	// PlanHash is what [Runner.Approve] takes: 64 hexadecimal digits. The runner fills it.
	PlanHash string
	// Cutoff is in UTC; rows with an earlier anchor would go. The runner fills it.
	Cutoff time.Time
	// Approved tells that this PlanHash is approved. The runner fills it.
	Approved bool
	// TooMany tells that a run would be refused with [ErrTooMany]. The runner fills it.
	TooMany bool

	// Count is how many rows would go.
	Count int64
	// Total is how many rows the target has, out of date or not.
	Total int64
	// Oldest is the earliest anchor of those that would go, in UTC, zero when there are none.
	Oldest time.Time
	// Cascaded is how many rows of other collections would go along, by name.
	Cascaded map[string]int64
	// ByTenant is Count by tenant. Its only key is "" when the target knows no tenants.
	ByTenant map[string]int64
	// Sample holds up to five of those that would go, oldest first.
	Sample []Sample
}

// Sample is one row that would go.
type Sample struct {
	// Key is the row's key.
	Key string
	// Tenant is the row's tenant, empty when the target knows none. A page for one tenant shows that tenant's only.
	Tenant string
	// Anchor is the time from which the row is kept, in UTC.
	Anchor time.Time
}
