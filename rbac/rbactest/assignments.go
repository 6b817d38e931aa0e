// SPDX-License-Identifier: Apache-2.0

package rbactest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/rbac"
)

// start is a moment with microseconds, because stores keep those.
var start = time.Date(2026, 3, 29, 1, 59, 59, 123456000, time.UTC)

// racers is how many goroutines attack an act that only one may win.
const racers = 64

func agent(id string) rbac.Assignment {
	return rbac.Assignment{ID: id, Tenant: "acme", Subject: "u1", Role: "agent", Scope: "acme", From: start}
}

// Run tests a store. NewStore gives an empty one for each call.
func Run(t *testing.T, newStore func(t *testing.T) rbac.AssignmentStore) {
	tests := []struct {
		rule string
		test func(t *testing.T, s rbac.AssignmentStore)
	}{
		{"List gives what Add stored, sorted by scope and role", listGivesAll},
		{"An unknown subject has no assignments", listUnknown},
		{"Texts are compared byte by byte", bytewise},
		{"Add refuses an excluded role that is held at the same time", excluded},
		{"Add refuses a second assignment unless the first has ended", addTwice},
		{"A refused Add changes nothing", refusedAdd},
		{"Of racing Adds of one role, one wins", raceSame},
		{"Of racing Adds of exclusive roles, one wins", raceExclusive},
		{"Remove returns what it deleted, once", removeOnce},
		{"Of racing Removes, one wins", raceRemove},
		{"Version grows with every change and with nothing else", version},
		{"List shows at least the changes up to the Version before it", versionBeforeList},
		{"A method whose context has ended changes nothing", endedContext},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			test.test(t, newStore(t))
		})
	}
}

func listGivesAll(t *testing.T, s rbac.AssignmentStore) {
	full := rbac.Assignment{ID: "2", Tenant: "acme", Subject: "u1", Role: "lead", Scope: "acme/berlin",
		From: start, Until: start.Add(time.Hour), Grantor: "u2", Reason: "stands in for Çağla"}
	want := []rbac.Assignment{agent("1"), full}
	for _, a := range []rbac.Assignment{full, agent("1")} {
		mustAdd(t, s, a)
	}
	other := agent("3")
	other.Tenant, other.Scope = "globex", "globex"
	mustAdd(t, s, other)
	other = agent("4")
	other.Subject = "u9"
	mustAdd(t, s, other)
	if got := list(t, s, "acme", "u1"); !reflect.DeepEqual(got, want) {
		t.Errorf("List = %+v,\nwant %+v: every field, times in UTC, the zero time as such, nothing of others", got, want)
	}
}

func listUnknown(t *testing.T, s rbac.AssignmentStore) {
	if got := list(t, s, "acme", "nobody"); len(got) != 0 {
		t.Errorf("List = %+v, want none", got)
	}
}

func bytewise(t *testing.T, s rbac.AssignmentStore) {
	mustAdd(t, s, agent("1"))
	for _, other := range []struct{ tenant, subject string }{{"ACME", "u1"}, {"acme", "U1"}, {"acme ", "u1"}, {"acme", "u1 "}, {"acm%", "u1"}} {
		if got := list(t, s, other.tenant, other.subject); len(got) != 0 {
			t.Errorf("List(%q, %q) = %+v, want none: it is another name", other.tenant, other.subject, got)
		}
	}
	if _, err := s.Remove(t.Context(), "acme", "u1", "AGENT", "acme"); !errors.Is(err, rbac.ErrNotAssigned) {
		t.Errorf("Remove of role AGENT = %v, want ErrNotAssigned", err)
	}
}

func excluded(t *testing.T, s rbac.AssignmentStore) {
	held := agent("1")
	held.Until = start.Add(time.Hour)
	mustAdd(t, s, held)
	auditor := rbac.Assignment{ID: "2", Tenant: "acme", Subject: "u1", Role: "auditor", Scope: "acme/berlin", From: start.Add(time.Hour - time.Microsecond)}
	if err := s.Add(t.Context(), auditor, []string{"clerk", "agent"}); !errors.Is(err, rbac.ErrExclusive) {
		t.Errorf("Add = %v, want ErrExclusive: agent is held for one more microsecond, in another scope", err)
	}
	ends := auditor
	ends.From, ends.Until = start.Add(-time.Hour), start
	if err := s.Add(t.Context(), ends, []string{"agent"}); err != nil {
		t.Errorf("Add = %v, want nil: it ends as agent begins", err)
	}
	remove(t, s, ends)
	if err := s.Add(t.Context(), auditor, []string{"clerk"}); err != nil {
		t.Errorf("Add = %v, want nil: agent is not among the excluded roles", err)
	}
	remove(t, s, auditor)
	auditor.From = start.Add(time.Hour)
	if err := s.Add(t.Context(), auditor, []string{"agent"}); err != nil {
		t.Errorf("Add = %v, want nil: agent ends as it begins", err)
	}
	elsewhere := auditor
	elsewhere.ID, elsewhere.Tenant, elsewhere.Scope, elsewhere.From = "3", "globex", "globex", start
	if err := s.Add(t.Context(), elsewhere, []string{"agent"}); err != nil {
		t.Errorf("Add = %v, want nil: agent is held in another tenant", err)
	}
}

func addTwice(t *testing.T, s rbac.AssignmentStore) {
	first := agent("1")
	first.Until = start.Add(time.Hour)
	mustAdd(t, s, first)
	second := agent("2")
	second.From = start.Add(time.Hour - time.Microsecond)
	if err := s.Add(t.Context(), second, nil); !errors.Is(err, rbac.ErrAssigned) {
		t.Errorf("Add = %v, want ErrAssigned: the first still holds", err)
	}
	second.From = start.Add(time.Hour)
	if err := s.Add(t.Context(), second, nil); err != nil {
		t.Errorf("Add = %v, want nil: the first has ended", err)
	}
	if got := list(t, s, "acme", "u1"); !reflect.DeepEqual(got, []rbac.Assignment{second}) {
		t.Errorf("List = %+v, want the second in place of the first", got)
	}
	third := agent("3")
	third.From = start.Add(1000 * time.Hour)
	if err := s.Add(t.Context(), third, nil); !errors.Is(err, rbac.ErrAssigned) {
		t.Errorf("Add = %v, want ErrAssigned: the second has no end", err)
	}
}

func refusedAdd(t *testing.T, s rbac.AssignmentStore) {
	mustAdd(t, s, agent("1"))
	before := mustVersion(t, s)
	_ = s.Add(t.Context(), agent("2"), nil)
	_ = s.Add(t.Context(), rbac.Assignment{ID: "3", Tenant: "acme", Subject: "u1", Role: "auditor", Scope: "acme", From: start}, []string{"agent"})
	if got := list(t, s, "acme", "u1"); !reflect.DeepEqual(got, []rbac.Assignment{agent("1")}) {
		t.Errorf("List = %+v, want what was there before", got)
	}
	if after := mustVersion(t, s); after != before {
		t.Errorf("Version = %d, want %d as before", after, before)
	}
}

func raceSame(t *testing.T, s rbac.AssignmentStore) {
	won := race(t, rbac.ErrAssigned, func(i int) error {
		return s.Add(t.Context(), agent(string(rune('A'+i))), nil)
	})
	if got := list(t, s, "acme", "u1"); won != 1 || len(got) != 1 {
		t.Errorf("%d Adds won and %d are stored, want 1 and 1", won, len(got))
	}
}

func raceExclusive(t *testing.T, s rbac.AssignmentStore) {
	roles := [2]string{"agent", "auditor"}
	won := race(t, rbac.ErrExclusive, func(i int) error {
		a := agent(string(rune('A' + i)))
		a.Role = roles[i%2]
		err := s.Add(t.Context(), a, []string{roles[(i+1)%2]})
		if errors.Is(err, rbac.ErrAssigned) {
			err = rbac.ErrExclusive // another goroutine won with the same role
		}
		return err
	})
	if got := list(t, s, "acme", "u1"); won != 1 || len(got) != 1 {
		t.Errorf("%d Adds won and %d are stored, want 1 and 1", won, len(got))
	}
}

func removeOnce(t *testing.T, s rbac.AssignmentStore) {
	a := agent("1")
	a.Until, a.Grantor, a.Reason = start.Add(time.Hour), "u2", "because"
	mustAdd(t, s, a)
	for _, miss := range []rbac.Assignment{
		{Tenant: "globex", Subject: "u1", Role: "agent", Scope: "acme"},
		{Tenant: "acme", Subject: "u2", Role: "agent", Scope: "acme"},
		{Tenant: "acme", Subject: "u1", Role: "lead", Scope: "acme"},
		{Tenant: "acme", Subject: "u1", Role: "agent", Scope: "acme/berlin"},
	} {
		if _, err := s.Remove(t.Context(), miss.Tenant, miss.Subject, miss.Role, miss.Scope); !errors.Is(err, rbac.ErrNotAssigned) {
			t.Errorf("Remove of %+v = %v, want ErrNotAssigned", miss, err)
		}
	}
	if got, err := s.Remove(t.Context(), "acme", "u1", "agent", "acme"); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("Remove = %+v, %v, want %+v", got, err, a)
	}
	if _, err := s.Remove(t.Context(), "acme", "u1", "agent", "acme"); !errors.Is(err, rbac.ErrNotAssigned) {
		t.Errorf("second Remove = %v, want ErrNotAssigned", err)
	}
	if got := list(t, s, "acme", "u1"); len(got) != 0 {
		t.Errorf("List = %+v, want none", got)
	}
}

func raceRemove(t *testing.T, s rbac.AssignmentStore) {
	mustAdd(t, s, agent("1"))
	before := mustVersion(t, s)
	won := race(t, rbac.ErrNotAssigned, func(int) error {
		_, err := s.Remove(t.Context(), "acme", "u1", "agent", "acme")
		return err
	})
	if after := mustVersion(t, s); won != 1 || after <= before {
		t.Errorf("%d Removes won and the version went from %d to %d, want 1 and a greater one", won, before, after)
	}
}

func version(t *testing.T, s rbac.AssignmentStore) {
	last := mustVersion(t, s)
	grows := func(what string) {
		t.Helper()
		now := mustVersion(t, s)
		if now <= last {
			t.Errorf("Version after %s = %d, want more than %d", what, now, last)
		}
		last = now
	}
	a := agent("1")
	a.Until = start.Add(time.Hour)
	mustAdd(t, s, a)
	grows("Add")
	later := agent("2")
	later.From = start.Add(time.Hour)
	mustAdd(t, s, later)
	grows("an Add that replaces")
	list(t, s, "acme", "u1")
	_, _ = s.Remove(t.Context(), "acme", "u1", "nothing", "acme")
	if now := mustVersion(t, s); now != last {
		t.Errorf("Version after List and a Remove of nothing = %d, want %d", now, last)
	}
	remove(t, s, later)
	grows("Remove")
}

// versionBeforeList looks for a store in which a change can be seen at another moment than its version. While
// only Adds run, a List between two equal Versions belongs to that version, and every greater version has more.
func versionBeforeList(t *testing.T, s rbac.AssignmentStore) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range racers {
			a := agent(string(rune('A' + i)))
			a.Scope = "acme/" + a.ID
			if err := s.Add(t.Context(), a, nil); err != nil {
				t.Errorf("Add = %v", err)
				return
			}
		}
	}()
	var lastVersion uint64
	last := -1
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		v := mustVersion(t, s)
		n := len(list(t, s, "acme", "u1"))
		if mustVersion(t, s) != v {
			continue
		}
		switch {
		case last >= 0 && v == lastVersion && n != last:
			t.Errorf("List gave %d and then %d assignments at version %d", last, n, v)
		case last >= 0 && v > lastVersion && n <= last:
			t.Errorf("List gave %d assignments at version %d and %d at version %d: a change must be seen with its version",
				last, lastVersion, n, v)
		}
		lastVersion, last = v, n
	}
	if last != racers {
		t.Errorf("List gave %d assignments in the end, want %d", last, racers)
	}
}

func endedContext(t *testing.T, s rbac.AssignmentStore) {
	mustAdd(t, s, agent("1"))
	before := mustVersion(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Add(ctx, rbac.Assignment{ID: "2", Tenant: "acme", Subject: "u1", Role: "lead", Scope: "acme", From: start}, nil); err == nil {
		t.Error("Add = nil, want an error")
	}
	if _, err := s.Remove(ctx, "acme", "u1", "agent", "acme"); err == nil || errors.Is(err, rbac.ErrNotAssigned) {
		t.Errorf("Remove = %v, want an error that is not ErrNotAssigned", err)
	}
	if _, err := s.List(ctx, "acme", "u1"); err == nil {
		t.Error("List = nil, want an error: none would mean that nothing is held")
	}
	if _, err := s.Version(ctx); err == nil {
		t.Error("Version = nil, want an error")
	}
	if got := list(t, s, "acme", "u1"); len(got) != 1 || mustVersion(t, s) != before {
		t.Errorf("List = %+v, want what was there before", got)
	}
}

// race calls act from many goroutines at once and counts those that won. The others must lose with an error.
func race(t *testing.T, lost error, act func(i int) error) int {
	t.Helper()
	var wg sync.WaitGroup
	begin := make(chan struct{})
	results := make([]error, racers)
	for i := range racers {
		wg.Go(func() {
			<-begin
			results[i] = act(i)
		})
	}
	close(begin)
	wg.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, lost):
			t.Errorf("the loser of a race got %v, want %v", err, lost)
		}
	}
	return won
}

func mustAdd(t *testing.T, s rbac.AssignmentStore, a rbac.Assignment) {
	t.Helper()
	if err := s.Add(t.Context(), a, nil); err != nil {
		t.Fatalf("Add(%+v) = %v", a, err)
	}
}

func remove(t *testing.T, s rbac.AssignmentStore, a rbac.Assignment) {
	t.Helper()
	if _, err := s.Remove(t.Context(), a.Tenant, a.Subject, a.Role, a.Scope); err != nil {
		t.Fatalf("Remove(%+v) = %v", a, err)
	}
}

func list(t *testing.T, s rbac.AssignmentStore, tenant, subject string) []rbac.Assignment {
	t.Helper()
	got, err := s.List(t.Context(), tenant, subject)
	if err != nil {
		t.Fatalf("List = %v", err)
	}
	return got
}

func mustVersion(t *testing.T, s rbac.AssignmentStore) uint64 {
	t.Helper()
	v, err := s.Version(t.Context())
	if err != nil {
		t.Fatalf("Version = %v", err)
	}
	return v
}
