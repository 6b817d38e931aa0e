// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/internal/uuid"
)

// breath is the pause between two batches. On SQLite a writer that waits for the lock polls: without a pause the
// next batch would take it first, again and again.
const breath = 5 * time.Millisecond

// RunOnce runs the policy now, or continues the run that did not finish, and reports what it did. It returns
// [ErrNotApproved], [ErrBusy], [ErrTooMany] or [ErrClock], having deleted nothing, when it may not run. When it
// fails or ctx ends midway, what is committed stays, the report tells how much that is, and the next run goes on there.
//
// A retention.run event is recorded before the first deletion and one at the end; without them nothing is
// deleted, or the run does not count as finished.
func (r *Runner) RunOnce(ctx context.Context, policy string) (Report, error) {
	p, target, hash, err := r.find(ctx, policy)
	if err != nil {
		return Report{}, r.failed(ctx, Report{Policy: policy}, err)
	}
	run, err := r.begin(ctx, p, target, hash)
	if err != nil {
		return Report{}, r.failed(ctx, Report{Policy: policy, Hash: hash}, err)
	}
	run, err = r.work(ctx, target, run)
	if err != nil {
		// The lease goes back also when ctx has ended, so that the next run need not wait for it to expire.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		run.Finished = time.Time{}
		if e := r.store.EndRun(ctx, run, r.now()); e != nil && !errors.Is(e, ErrLeaseLost) {
			err = errors.Join(err, fmt.Errorf("retention: give the lease back: %w", e))
		}
		return run.Report, r.failed(ctx, run.Report, err)
	}
	return run.Report, nil
}

// begin makes sure that the run may start, takes the lease, and records the start.
func (r *Runner) begin(ctx context.Context, p Policy, target Target, hash string) (Run, error) {
	st, err := r.store.State(ctx, p.Name)
	if err != nil {
		return Run{}, fmt.Errorf("retention: state of policy %q: %w", p.Name, err)
	}
	if st.Approval.Hash != hash {
		return Run{}, fmt.Errorf("%w: policy %q", ErrNotApproved, p.Name)
	}
	now := r.now()
	if err := r.checkClock(now, st.Seen); err != nil {
		return Run{}, err
	}
	plan, err := target.Plan(ctx, Scope{Cutoff: p.Keep.Before(now)})
	if err != nil {
		return Run{}, err
	}
	if tooMany(p, plan) {
		return Run{}, fmt.Errorf("%w: %d of %d rows, more than %d %%", ErrTooMany, plan.Count, plan.Total, p.MaxShare)
	}
	fresh := Run{Report: Report{ID: uuid.NewV7(now), Policy: p.Name, Hash: hash, Cutoff: p.Keep.Before(now), Started: now}}
	run, err := r.store.BeginRun(ctx, fresh, now, now.Add(r.lease))
	if err != nil {
		return Run{}, fmt.Errorf("retention: begin run of policy %q: %w", p.Name, err)
	}
	return run, nil
}

// work deletes batch after batch, counts what remains and closes the run.
func (r *Runner) work(ctx context.Context, target Target, run Run) (Run, error) {
	if err := r.audit.Record(ctx, runEvent(run.Report, "started", audit.Success, r.now())); err != nil {
		return run, fmt.Errorf("retention: record the start: %w", err)
	}
	scope := Scope{Cutoff: run.Cutoff}
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return run, err
		}
		next := run
		p, err := target.Step(ctx, scope, Batch{Cursor: run.Cursor, Limit: r.batch,
			Commit: func(ctx context.Context, tx *sql.Tx, p Progress) error {
				now := r.now()
				next = run.add(p)
				return r.store.AdvanceRun(ctx, tx, next, now, now.Add(r.lease))
			}})
		if err != nil {
			return run, err
		}
		run, done = next, p.Done
		if !done {
			select {
			case <-ctx.Done():
			case <-time.After(breath):
			}
		}
	}
	left, err := target.Verify(ctx, scope)
	if err != nil {
		return run, err
	}
	run.Remaining, run.Finished = left.Count, r.now()
	// Recorded before it is stored: a run that the log does not know of stays unfinished and is recorded again.
	if err := r.audit.Record(ctx, runEvent(run.Report, "finished", audit.Success, run.Finished)); err != nil {
		return run, fmt.Errorf("retention: record the end: %w", err)
	}
	if err := r.store.EndRun(ctx, run, run.Finished); err != nil {
		return run, fmt.Errorf("retention: end run of policy %q: %w", run.Policy, err)
	}
	return run, nil
}

// failed records that a run was refused or broke off, and gives its error.
func (r *Runner) failed(ctx context.Context, rep Report, err error) error {
	if errors.Is(err, ErrBusy) || errors.Is(err, ErrUnknownPolicy) {
		return err // the other runner reports; there is no policy to report on
	}
	outcome, reason := audit.Error, "failed"
	for _, c := range []struct {
		err    error
		reason string
	}{{ErrNotApproved, "not-approved"}, {ErrTooMany, "too-many"}, {ErrClock, "clock"}} {
		if errors.Is(err, c.err) {
			outcome, reason = audit.Denied, c.reason
		}
	}
	switch {
	case errors.Is(err, ErrLeaseLost):
		reason = "lease-lost"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		reason = "interrupted"
	}
	e := runEvent(rep, "ended", outcome, r.now())
	e.Reason, e.Severity = reason, audit.Warning
	if e := r.audit.Record(ctx, e); e != nil {
		err = errors.Join(err, fmt.Errorf("retention: record the failure: %w", e))
	}
	return err
}
