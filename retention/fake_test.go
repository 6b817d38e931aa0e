// SPDX-License-Identifier: Apache-2.0

package retention_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/retention"
	"github.com/stretchr/testify/require"
)

// shelf is a target without transactions: things with a name and the time from which they are kept. Tests of a
// SQLTarget are in adapters/sqlstore, because this module has no database driver.
type shelf struct {
	mu       sync.Mutex
	things   map[string]time.Time
	schema   string
	describe error
	asked    int          // how often Describe was called
	step     func() error // called before each batch
}

func (s *shelf) Describe(context.Context) (retention.Description, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return retention.Description{Schema: s.schema}, s.describe
}

func (s *shelf) described() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *shelf) due(sc retention.Scope) []string {
	var names []string
	for name, at := range s.things {
		if at.Before(sc.Cutoff) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s *shelf) Plan(_ context.Context, sc retention.Scope) (retention.Plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := retention.Plan{Total: int64(len(s.things))}
	for _, name := range s.due(sc) {
		p.Count++
		at := s.things[name]
		if p.Oldest.IsZero() || at.Before(p.Oldest) {
			p.Oldest = at
		}
		p.Sample = append(p.Sample, retention.Sample{Key: name, Anchor: at})
	}
	return p, nil
}

func (s *shelf) Step(ctx context.Context, sc retention.Scope, b retention.Batch) (retention.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.step != nil {
		if err := s.step(); err != nil {
			return retention.Progress{}, err
		}
	}
	p := retention.Progress{Cursor: b.Cursor, Done: true}
	var batch []string
	for _, name := range s.due(sc) {
		if name > b.Cursor && len(batch) == b.Limit {
			p.Done = false
			break
		}
		if name > b.Cursor {
			batch = append(batch, name)
		}
	}
	if len(batch) == 0 {
		return p, nil
	}
	for _, name := range batch {
		delete(s.things, name)
	}
	p.Cursor, p.Deleted = batch[len(batch)-1], int64(len(batch))
	return p, b.Commit(ctx, nil, p)
}

func (s *shelf) Verify(_ context.Context, sc retention.Scope) (retention.Residue, error) {
	p, err := s.Plan(context.Background(), sc)
	return retention.Residue{Count: p.Count, Oldest: p.Oldest}, err
}

// journal is a recorder that tests can read and break.
type journal struct {
	mu     sync.Mutex
	events []audit.Event
	fail   func(audit.Event) error
}

func (j *journal) Record(ctx context.Context, e audit.Event) error {
	e = audit.Prepare(ctx, e)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fail != nil {
		if err := j.fail(e); err != nil {
			return err
		}
	}
	j.events = append(j.events, e)
	return nil
}

func (j *journal) last(t *testing.T) audit.Event {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	require.NotEmpty(t, j.events)
	return j.events[len(j.events)-1]
}

func detail(e audit.Event, name string) string {
	for _, d := range e.Details {
		if d.Name == name {
			return d.Value
		}
	}
	return ""
}

func phase(e audit.Event) string { return detail(e, "phase") }

// bench is a runner on a shelf, with a clock that tests set.
type bench struct {
	*retention.Runner
	shelf   *shelf
	journal *journal
	store   *retention.Memory
	now     time.Time
}

var noon = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

// newBench makes a runner for closed tickets, kept two years. Ten of 30 things are older.
func newBench(t *testing.T, change func(*retention.Config)) *bench {
	t.Helper()
	b := &bench{journal: &journal{}, store: retention.NewMemory(), now: noon,
		shelf: &shelf{schema: "things", things: map[string]time.Time{}}}
	for i := range 30 {
		age := -3
		if i >= 10 {
			age = -1
		}
		b.shelf.things[string(rune('A'+i))] = noon.AddDate(age, 0, i)
	}
	cfg := retention.Config{Policies: []retention.Policy{tickets()}, Targets: map[string]retention.Target{"tickets": b.shelf},
		Store: b.store, BatchSize: 4, Audit: b.journal, Clock: func() time.Time { return b.now }}
	if change != nil {
		change(&cfg)
	}
	r, err := retention.New(cfg)
	require.NoError(t, err)
	b.Runner = r
	return b
}

func officer(ctx context.Context) context.Context {
	return portalsec.WithPrincipal(ctx, portalsec.Principal{ID: "officer", Tenant: "acme"})
}

func (b *bench) approve(t *testing.T) {
	t.Helper()
	plan, err := b.DryRun(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.NoError(t, b.Approve(officer(t.Context()), "closed-tickets", plan.PlanHash))
}
