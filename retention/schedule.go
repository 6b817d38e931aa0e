// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"context"
	"errors"
	"time"
)

const (
	// tick is how often the schedule is looked at. It bounds how late a run starts and how soon another process
	// takes over.
	tick = time.Minute
	// retryAfter is how long a policy that was refused or failed rests, if its Every is not shorter.
	retryAfter = 15 * time.Minute
)

// Run keeps the schedule until ctx ends, and then returns nil. It looks at the policies at once and then every
// minute. An approved policy is run when it is due: its interval after the last run's end, as the store knows it, so
// that restarts neither skip a run nor double one. Any other is only observed, by a dry run at each interval.
//
// A failure concerns its policy alone. It is in the retention.run event, and [Runner.Policies] shows by the oldest
// overdue row when it lasts; the policy is tried again after 15 minutes. Several processes may call Run.
func (r *Runner) Run(ctx context.Context) error {
	rests := make([]rest, len(r.policies))
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		for i, p := range r.policies {
			if ctx.Err() != nil {
				return nil
			}
			r.attend(ctx, p, &rests[i])
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// rest tells what not to do with a policy yet.
type rest struct {
	attempt time.Time // no attempt before it, after a failure
	observe time.Time // no dry run before it
}

// attend does what is due for a policy. It has nobody to return an error to: what fails is recorded, and tried
// again later.
func (r *Runner) attend(ctx context.Context, p Policy, until *rest) {
	now := r.now()
	if now.Before(until.attempt) {
		return
	}
	err := r.doDue(ctx, p, now, until)
	if err != nil && !errors.Is(err, ErrBusy) {
		until.attempt = now.Add(min(retryAfter, p.Every))
	}
}

func (r *Runner) doDue(ctx context.Context, p Policy, now time.Time, until *rest) error {
	st, err := r.store.State(ctx, p.Name)
	if err != nil {
		return r.failed(ctx, Report{Policy: p.Name}, err)
	}
	if st.Approval.Hash != "" && now.Before(due(p, st)) {
		return nil
	}
	if st.Approval.Hash == "" && now.Before(until.observe) {
		return nil // spares the target: describing it counts rows
	}
	_, _, hash, err := r.find(ctx, p.Name)
	if err != nil {
		return r.failed(ctx, Report{Policy: p.Name}, err)
	}
	if st.Approval.Hash == hash {
		_, err := r.RunOnce(ctx, p.Name)
		return err
	}
	if now.Before(until.observe) {
		return nil
	}
	if _, err := r.DryRun(ctx, p.Name); err != nil {
		return r.failed(ctx, Report{Policy: p.Name, Hash: hash}, err)
	}
	until.observe = now.Add(p.Every)
	return nil
}
