// SPDX-License-Identifier: Apache-2.0

package retention_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/retention"
	"github.com/portalsec/portalsec/retention/retentiontest"
	"github.com/stretchr/testify/require"
)

const name = "closed-tickets"

func TestMemory(t *testing.T) {
	t.Parallel()
	retentiontest.Run(t, func(*testing.T) retention.Store { return retention.NewMemory() })
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*retention.Config){
		"Config.Store is required":                    func(c *retention.Config) { c.Store = nil },
		"Config.Policies is required":                 func(c *retention.Config) { c.Policies = nil },
		`Config.Targets has no "tickets"`:             func(c *retention.Config) { c.Targets = nil },
		`"closed-tickets" is given twice`:             func(c *retention.Config) { c.Policies = append(c.Policies, tickets()) },
		"purpose: is required":                        func(c *retention.Config) { c.Policies[0].Purpose = "" },
		"Config.BatchSize is negative":                func(c *retention.Config) { c.BatchSize = -1 },
		"Config.Lease is shorter":                     func(c *retention.Config) { c.Lease = time.Millisecond },
		"Config.MaxGap is negative":                   func(c *retention.Config) { c.MaxGap = -1 },
		"Config.MaxGap 12h0m0s is not longer than ev": func(c *retention.Config) { c.MaxGap = 12 * time.Hour },
	} {
		cfg := retention.Config{Policies: []retention.Policy{tickets()}, Store: retention.NewMemory(),
			Targets: map[string]retention.Target{"tickets": &shelf{}}}
		spoil(&cfg)
		_, err := retention.New(cfg)
		require.ErrorContains(t, err, want)
	}
}

func TestObservesUntilApproved(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	plan, err := b.DryRun(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, int64(10), plan.Count)
	require.Equal(t, int64(30), plan.Total)
	require.Equal(t, noon.AddDate(-2, 0, 0), plan.Cutoff)
	require.Equal(t, noon.AddDate(-3, 0, 0), plan.Oldest)
	require.Len(t, plan.PlanHash, 64)
	require.False(t, plan.Approved)
	require.False(t, plan.TooMany)
	require.Len(t, b.shelf.things, 30)
	e := b.journal.last(t)
	require.Equal(t, audit.RetentionPlanned, e.Kind)
	require.Equal(t, "10", detail(e, "count"))

	_, err = b.RunOnce(t.Context(), name)
	require.ErrorIs(t, err, retention.ErrNotApproved)
	require.Len(t, b.shelf.things, 30)
	e = b.journal.last(t)
	require.Equal(t, audit.RetentionRun, e.Kind)
	require.Equal(t, audit.Denied, e.Outcome)
	require.Equal(t, "not-approved", e.Reason)

	require.NoError(t, b.Approve(officer(t.Context()), name, plan.PlanHash))
	e = b.journal.last(t)
	require.Equal(t, audit.RetentionApproved, e.Kind)
	require.Equal(t, audit.Pseudonym("officer"), e.Actor)
	require.Equal(t, plan.PlanHash, e.Rule)

	rep, err := b.RunOnce(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, int64(10), rep.Deleted)
	require.Equal(t, int64(3), rep.Batches)
	require.Zero(t, rep.Remaining)
	require.Equal(t, plan.Cutoff, rep.Cutoff)
	require.Equal(t, noon, rep.Finished)
	require.Len(t, b.shelf.things, 20)
	e = b.journal.last(t)
	require.Equal(t, audit.RetentionRun, e.Kind)
	require.Equal(t, "finished", phase(e))
	require.Equal(t, "10", detail(e, "deleted"))
	require.Equal(t, rep.ID, detail(e, "run"))
}

func TestApproveRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	plan, err := b.DryRun(t.Context(), name)
	require.NoError(t, err)
	require.ErrorIs(t, b.Approve(t.Context(), name, plan.PlanHash), retention.ErrNoApprover)
	require.ErrorIs(t, b.Approve(officer(t.Context()), name, ""), retention.ErrPlanChanged)
	require.ErrorIs(t, b.Approve(officer(t.Context()), "other", plan.PlanHash), retention.ErrUnknownPolicy)
	b.journal.fail = func(audit.Event) error { return errors.New("log full") }
	require.ErrorContains(t, b.Approve(officer(t.Context()), name, plan.PlanHash), "log full")
	st, err := b.store.State(t.Context(), name)
	require.NoError(t, err)
	require.Zero(t, st.Approval, "no approval without its event")
}

func TestApproverOfAnImpersonation(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	plan, err := b.DryRun(t.Context(), name)
	require.NoError(t, err)
	ctx := portalsec.WithPrincipal(t.Context(), portalsec.Principal{ID: "customer", Impersonator: "staff"})
	require.NoError(t, b.Approve(ctx, name, plan.PlanHash))
	st, err := b.store.State(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, "staff", st.Approval.By)
}

// An approval lasts from day to day and ends with any change of policy or schema.
func TestApprovalCoversRuleAndSchema(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.approve(t)
	before, err := b.DryRun(t.Context(), name)
	require.NoError(t, err)
	b.now = noon.AddDate(0, 0, 7)
	delete(b.shelf.things, "A")
	after, err := b.DryRun(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, before.PlanHash, after.PlanHash)
	require.True(t, after.Approved)
	require.NotEqual(t, before.Cutoff, after.Cutoff)

	b.shelf.schema = "things, with a new column"
	_, err = b.RunOnce(t.Context(), name)
	require.ErrorIs(t, err, retention.ErrNotApproved)
	require.ErrorIs(t, b.Approve(officer(t.Context()), name, before.PlanHash), retention.ErrPlanChanged)
	b.shelf.schema = "things"

	for field, change := range map[string]func(*retention.Policy){
		"DataClass":  func(p *retention.Policy) { p.DataClass += "x" },
		"Purpose":    func(p *retention.Policy) { p.Purpose += "x" },
		"LegalBasis": func(p *retention.Policy) { p.LegalBasis += "x" },
		"Recipients": func(p *retention.Policy) { p.Recipients = nil },
		"Keep":       func(p *retention.Policy) { p.Keep = retention.MustPeriod("P731D") },
		"Floor":      func(p *retention.Policy) { p.Floor = retention.Period{} },
		"Every":      func(p *retention.Policy) { p.Every = time.Hour },
		"MaxShare":   func(p *retention.Policy) { p.MaxShare = 41 },
	} {
		other := newBench(t, func(c *retention.Config) {
			c.Store = b.store
			change(&c.Policies[0])
		})
		other.now = b.now
		_, err = other.RunOnce(t.Context(), name)
		require.ErrorIs(t, err, retention.ErrNotApproved, field)
	}
	rep, err := b.RunOnce(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, int64(9), rep.Deleted)
}

func TestDefaultsWrittenOutNeedNoNewApproval(t *testing.T) {
	t.Parallel()
	hash := func(p retention.Policy) string {
		b := newBench(t, func(c *retention.Config) { c.Policies = []retention.Policy{p} })
		plan, err := b.DryRun(t.Context(), name)
		require.NoError(t, err)
		return plan.PlanHash
	}
	short, long := tickets(), tickets()
	short.Every, short.MaxShare = 0, 0
	long.Every, long.MaxShare = 24*time.Hour, 50
	require.Equal(t, hash(long), hash(short))
}

func TestRefusesLargeShare(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.approve(t)
	b.now = noon.AddDate(0, 0, 20)
	for _, thing := range []string{"K", "L", "M"} {
		b.shelf.things[thing] = noon.AddDate(-3, 0, 0)
	}
	plan, err := b.DryRun(t.Context(), name)
	require.NoError(t, err)
	require.True(t, plan.TooMany, "13 of 30 are more than 40 %")
	_, err = b.RunOnce(t.Context(), name)
	require.ErrorIs(t, err, retention.ErrTooMany)
	require.Equal(t, "too-many", b.journal.last(t).Reason)
	require.Len(t, b.shelf.things, 30)

	for thing := range b.shelf.things { // below 20 a share means nothing
		if len(b.shelf.things) > 19 && thing > "M" {
			delete(b.shelf.things, thing)
		}
	}
	rep, err := b.RunOnce(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, int64(13), rep.Deleted)
}

func TestRefusesClockJumps(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.approve(t)
	for _, now := range []time.Time{noon.AddDate(10, 0, 0), noon.Add(31 * 24 * time.Hour), noon.Add(-6 * time.Minute), noon.AddDate(-1, 0, 0)} {
		b.now = now
		_, err := b.RunOnce(t.Context(), name)
		require.ErrorIs(t, err, retention.ErrClock, now)
		require.Equal(t, "clock", b.journal.last(t).Reason)
	}
	require.Len(t, b.shelf.things, 30)
	b.now = noon.Add(-4 * time.Minute) // within what machines differ
	_, err := b.RunOnce(t.Context(), name)
	require.NoError(t, err)

	b.now = noon.Add(60 * 24 * time.Hour)
	_, err = b.RunOnce(t.Context(), name)
	require.ErrorIs(t, err, retention.ErrClock)
	b.approve(t) // somebody says that the clock is right
	_, err = b.RunOnce(t.Context(), name)
	require.NoError(t, err)
}

func TestNoRunWithoutItsEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.approve(t)
	broken := "started"
	b.journal.fail = func(e audit.Event) error {
		if phase(e) == broken {
			return errors.New("log full")
		}
		return nil
	}
	_, err := b.RunOnce(t.Context(), name)
	require.ErrorContains(t, err, "log full")
	require.Len(t, b.shelf.things, 30, "nothing deleted")

	broken = "finished"
	rep, err := b.RunOnce(t.Context(), name)
	require.ErrorContains(t, err, "log full")
	require.Equal(t, int64(10), rep.Deleted)
	st, err := b.store.State(t.Context(), name)
	require.NoError(t, err)
	require.True(t, st.Unfinished)
	require.Zero(t, st.Last)

	b.journal.fail = nil
	again, err := b.RunOnce(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, rep.ID, again.ID)
	require.Equal(t, int64(10), again.Deleted, "counted once")
	require.Equal(t, "10", detail(b.journal.last(t), "deleted"))
}

func TestInterruptedRunGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.approve(t)
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	b.shelf.step = func() error {
		if steps++; steps == 2 {
			cancel()
		}
		return nil
	}
	rep, err := b.RunOnce(ctx, name)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, int64(8), rep.Deleted)
	require.Zero(t, rep.Finished)
	require.Equal(t, "interrupted", b.journal.last(t).Reason)

	b.now = noon.AddDate(0, 0, 1)
	again, err := b.RunOnce(t.Context(), name) // at once: the lease was given back
	require.NoError(t, err)
	require.Equal(t, rep.ID, again.ID)
	require.Equal(t, rep.Cutoff, again.Cutoff, "the cutoff is that of the start")
	require.Equal(t, int64(10), again.Deleted)
	require.Equal(t, int64(3), again.Batches)
}

func TestFailedStepIsReported(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.approve(t)
	b.shelf.step = func() error { return errors.New("disk full") }
	_, err := b.RunOnce(t.Context(), name)
	require.ErrorContains(t, err, "disk full")
	e := b.journal.last(t)
	require.Equal(t, audit.Error, e.Outcome)
	require.Equal(t, audit.Warning, e.Severity)
	require.Equal(t, "failed", e.Reason)
}

func TestReportsWhatRemains(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.approve(t)
	b.shelf.step = func() error { // behind the cursor, after the first batch
		if len(b.shelf.things) < 30 {
			b.shelf.things["0"] = noon.AddDate(-5, 0, 0)
		}
		return nil
	}
	rep, err := b.RunOnce(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, int64(1), rep.Remaining)
	e := b.journal.last(t)
	require.Equal(t, "1", detail(e, "remaining"))
	require.Equal(t, audit.Warning, e.Severity)
}

func TestBusy(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.approve(t)
	var inner error
	b.shelf.step = func() error {
		b.shelf.mu.Unlock()
		defer b.shelf.mu.Lock()
		_, inner = b.RunOnce(t.Context(), name)
		return nil
	}
	_, err := b.RunOnce(t.Context(), name)
	require.NoError(t, err)
	require.ErrorIs(t, inner, retention.ErrBusy)
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	broken := &shelf{describe: errors.New("no such table")}
	b := newBench(t, func(c *retention.Config) {
		other := tickets()
		other.Name, other.Target = "broken", "broken"
		c.Policies = append(c.Policies, other)
		c.Targets["broken"] = broken
	})
	all, err := b.Policies(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 2)
	s := all[0]
	require.Equal(t, name, s.Policy.Name)
	require.False(t, s.Approved)
	require.Zero(t, s.Next)
	require.Equal(t, retention.Residue{Count: 10, Oldest: noon.AddDate(-3, 0, 0)}, s.Overdue)
	require.ErrorContains(t, all[1].Problem, "no such table")
	require.ErrorContains(t, b.Check(t.Context()), `policy "broken": no such table`)

	b.approve(t)
	all, err = b.Policies(t.Context())
	require.NoError(t, err)
	require.True(t, all[0].Approved)
	require.Equal(t, "officer", all[0].Approval.By)
	require.Equal(t, noon, all[0].Next, "due since its approval")

	_, err = b.RunOnce(t.Context(), name)
	require.NoError(t, err)
	b.now = noon.Add(time.Hour)
	all, err = b.Policies(t.Context())
	require.NoError(t, err)
	require.Equal(t, noon.Add(12*time.Hour), all[0].Next)
	require.Equal(t, int64(10), all[0].Last.Deleted)
	require.Zero(t, all[0].Overdue)
	require.False(t, all[0].Running)

	_, err = b.RunOnce(t.Context(), "broken")
	require.ErrorContains(t, err, "no such table")
	_, err = b.DryRun(t.Context(), "nothing")
	require.ErrorIs(t, err, retention.ErrUnknownPolicy)
}

// Keys of rows are for the dry run's page; no event holds one.
func TestEventsHoldNoKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *retention.Config) { c.BatchSize = 1 })
	b.shelf.things = map[string]time.Time{"ann@example.org": noon.AddDate(-4, 0, 0)}
	b.approve(t)
	_, err := b.RunOnce(t.Context(), name)
	require.NoError(t, err)
	text, err := json.Marshal(b.journal.events)
	require.NoError(t, err)
	require.Len(t, b.journal.events, 4)
	require.NotContains(t, string(text), "ann@example.org")
}
