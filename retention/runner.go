// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

const (
	defaultBatch  = 500
	defaultLease  = time.Minute
	defaultMaxGap = 30 * 24 * time.Hour
	// smallTarget is the number of rows below which a share means nothing.
	smallTarget = 20
	// clockSlack is how far clocks of several machines may differ.
	clockSlack = 5 * time.Minute
)

// Config is what a [Runner] needs.
type Config struct {
	// Policies are the policies, each with a name of its own.
	Policies []Policy
	// Targets are what the policies name as their targets.
	Targets map[string]Target
	// Store keeps approvals, leases and runs. For a [SQLTarget] it must be in the same database.
	Store Store
	// BatchSize is how many rows of a target one transaction deletes at most. Zero means 500.
	BatchSize int
	// Lease is how long a runner that died keeps others out; each batch prolongs it. Zero means one minute, the
	// least is a second.
	Lease time.Duration
	// MaxGap is how long after a policy was last approved or run a run may start without a new approval. A longer
	// gap is taken for a clock that jumped ahead. Zero means 30 days. It must be longer than each policy's Every.
	MaxGap time.Duration
	// Audit takes the events: retention.planned, retention.approved and retention.run, with counts and without
	// personal data. Nil means audit.Slog(nil).
	Audit audit.Recorder
	// Clock gives the present time. Nil is the system's.
	Clock portalsec.Clock
}

// Runner applies policies to their targets. It may be used by several goroutines, and several processes may have
// one each on the same store.
type Runner struct {
	policies []Policy
	targets  map[string]Target
	store    Store
	batch    int
	lease    time.Duration
	maxGap   time.Duration
	audit    audit.Recorder
	clock    portalsec.Clock
}

// New gives a runner. It starts nothing; see [Runner.Run].
func New(cfg Config) (*Runner, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("retention: Config.Store is required")
	case len(cfg.Policies) == 0:
		return nil, errors.New("retention: Config.Policies is required")
	case cfg.BatchSize < 0:
		return nil, errors.New("retention: Config.BatchSize is negative")
	case cfg.Lease != 0 && cfg.Lease < time.Second:
		return nil, errors.New("retention: Config.Lease is shorter than a second")
	case cfg.MaxGap < 0:
		return nil, errors.New("retention: Config.MaxGap is negative")
	}
	r := &Runner{targets: map[string]Target{}, store: cfg.Store, batch: cfg.BatchSize, lease: cfg.Lease,
		maxGap: cfg.MaxGap, audit: cfg.Audit, clock: cfg.Clock}
	if r.batch == 0 {
		r.batch = defaultBatch
	}
	if r.lease == 0 {
		r.lease = defaultLease
	}
	if r.maxGap == 0 {
		r.maxGap = defaultMaxGap
	}
	if r.audit == nil {
		r.audit = audit.Slog(nil)
	}
	for _, p := range cfg.Policies {
		if err := p.Validate(); err != nil {
			return nil, err
		}
		p = p.withDefaults()
		p.Recipients = slices.Clone(p.Recipients)
		target := cfg.Targets[p.Target]
		switch {
		case target == nil:
			return nil, fmt.Errorf("retention: policy %q: Config.Targets has no %q", p.Name, p.Target)
		case r.targets[p.Name] != nil:
			return nil, fmt.Errorf("retention: policy %q is given twice", p.Name)
		case p.Every >= r.maxGap:
			return nil, fmt.Errorf("retention: policy %q: Config.MaxGap %v is not longer than every %v", p.Name, r.maxGap, p.Every)
		}
		r.targets[p.Name] = target
		r.policies = append(r.policies, p)
	}
	return r, nil
}

// now gives the present time as stores keep it.
func (r *Runner) now() time.Time { return r.clock.Now().Truncate(time.Microsecond) }

// find gives a policy, its target and the hash of the plan as both are now.
func (r *Runner) find(ctx context.Context, name string) (Policy, Target, string, error) {
	i := slices.IndexFunc(r.policies, func(p Policy) bool { return p.Name == name })
	if i < 0 {
		return Policy{}, nil, "", fmt.Errorf("%w: %q", ErrUnknownPolicy, name)
	}
	p, target := r.policies[i], r.targets[name]
	d, err := target.Describe(ctx)
	if err != nil {
		return Policy{}, nil, "", err
	}
	hash, err := planHash(p, d)
	return p, target, hash, err
}

// planHash covers what an approval is for: all of the policy and of the target's description, and neither the
// cutoff nor counts, so that it is the same tomorrow.
func planHash(p Policy, d Description) (string, error) {
	text, err := json.Marshal(struct {
		Policy Policy
		Target Description
	}{p, d})
	if err != nil {
		return "", fmt.Errorf("retention: policy %q: %w", p.Name, err)
	}
	sum := sha256.Sum256(append([]byte("portalsec retention plan v1\n"), text...))
	return hex.EncodeToString(sum[:]), nil
}

// Check describes every target and gives all that is wrong, joined, or nil. An application calls it at its start.
func (r *Runner) Check(ctx context.Context) error {
	var errs []error
	for _, p := range r.policies {
		if _, _, _, err := r.find(ctx, p.Name); err != nil {
			errs = append(errs, fmt.Errorf("policy %q: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// Status tells how a policy stands.
type Status struct {
	// Policy is the policy, with its defaults filled in.
	Policy Policy
	// PlanHash is the hash of the present plan, empty when the target cannot be described.
	PlanHash string
	// Approved tells that the present plan is approved. Otherwise the policy only observes.
	Approved bool
	// Approval is the latest approval, of this plan or an earlier one; zero when there was none.
	Approval Approval
	// Last is the run that finished last, zero when none has.
	Last Report
	// Running tells that a runner is at work on the policy.
	Running bool
	// Next is when the next run is due, in UTC; zero while the policy only observes.
	Next time.Time
	// Overdue is what is out of date now, of whatever age; it should shrink with each run.
	Overdue Residue
	// Problem is why the target cannot be described or counted, nil when it can. Then nothing is deleted.
	Problem error
}

// Policies tells how each policy stands, in the order of [Config].Policies. One whose target fails says so in
// Problem; the error is of the store.
func (r *Runner) Policies(ctx context.Context) ([]Status, error) {
	now := r.now()
	all := make([]Status, 0, len(r.policies))
	for _, p := range r.policies {
		st, err := r.store.State(ctx, p.Name)
		if err != nil {
			return nil, fmt.Errorf("retention: state of policy %q: %w", p.Name, err)
		}
		s := Status{Policy: p, Approval: st.Approval, Last: st.Last, Running: st.LeasedUntil.After(now)}
		s.Policy.Recipients = slices.Clone(p.Recipients)
		_, target, hash, err := r.find(ctx, p.Name)
		if err == nil {
			s.PlanHash, s.Approved = hash, hash == st.Approval.Hash
			s.Overdue, err = target.Verify(ctx, Scope{Cutoff: p.Keep.Before(now)})
		}
		s.Problem = err
		if s.Approved {
			s.Next = due(p, st)
		}
		all = append(all, s)
	}
	return all, nil
}

// due gives when a policy is to run next. One that never ran, or did not finish, has been due since its approval.
func due(p Policy, st State) time.Time {
	if st.Last.Finished.IsZero() || st.Unfinished {
		return st.Approval.At
	}
	return st.Last.Finished.Add(p.Every)
}

// DryRun tells what a run of the policy would delete now, and deletes nothing. It records a retention.planned event.
func (r *Runner) DryRun(ctx context.Context, policy string) (Plan, error) {
	p, target, hash, err := r.find(ctx, policy)
	if err != nil {
		return Plan{}, err
	}
	st, err := r.store.State(ctx, policy)
	if err != nil {
		return Plan{}, fmt.Errorf("retention: state of policy %q: %w", policy, err)
	}
	cutoff := p.Keep.Before(r.now())
	plan, err := target.Plan(ctx, Scope{Cutoff: cutoff})
	if err != nil {
		return Plan{}, err
	}
	plan.Policy, plan.PlanHash, plan.Cutoff = policy, hash, cutoff
	plan.Approved = st.Approval.Hash == hash
	plan.TooMany = tooMany(p, plan)
	// Nothing changes, so a log that fails is no reason to refuse: the recorder raises its own alarm.
	_ = r.audit.Record(ctx, plannedEvent(plan, r.now()))
	return plan, nil
}

func tooMany(p Policy, plan Plan) bool {
	return plan.Total >= smallTarget && plan.Count*100 > plan.Total*int64(p.MaxShare)
}

// Approve lets the policy delete from now on, by the schedule, until the policy or its target's schema changes. The
// hash is the one that [Runner.DryRun] gave; [ErrPlanChanged] when it is not that of the present plan. The principal
// in ctx is recorded as the approver, [ErrNoApprover] when there is none; whether they may is the caller's to decide.
func (r *Runner) Approve(ctx context.Context, policy, hash string) error {
	who, ok := portalsec.PrincipalFrom(ctx)
	if !ok {
		return ErrNoApprover
	}
	by := who.ID
	if who.Impersonator != "" {
		by = who.Impersonator
	}
	p, _, present, err := r.find(ctx, policy)
	if err != nil {
		return err
	}
	if hash != present {
		return fmt.Errorf("%w: policy %q", ErrPlanChanged, policy)
	}
	a := Approval{Policy: policy, Hash: hash, By: by, At: r.now()}
	// Recorded first: an approval that is in the log and not in the store deletes nothing.
	if err := r.audit.Record(ctx, approvedEvent(p, a)); err != nil {
		return fmt.Errorf("retention: record the approval: %w", err)
	}
	if err := r.store.Approve(ctx, a); err != nil {
		return fmt.Errorf("retention: approve policy %q: %w", policy, err)
	}
	return nil
}

// checkClock compares the present with the last time that a run or an approval saw.
func (r *Runner) checkClock(now, seen time.Time) error {
	switch {
	case seen.IsZero():
		return nil
	case now.Before(seen.Add(-clockSlack)):
		return fmt.Errorf("%w: it is %s and was %s already", ErrClock, now.Format(time.RFC3339), seen.Format(time.RFC3339))
	case now.After(seen.Add(r.maxGap)):
		return fmt.Errorf("%w: it is %s and was last %s", ErrClock, now.Format(time.RFC3339), seen.Format(time.RFC3339))
	}
	return nil
}
