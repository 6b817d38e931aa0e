// SPDX-License-Identifier: Apache-2.0

// Package retentiontest checks that a store keeps the rules of retention.Store. Start with [Run].
//
// It checks AdvanceRun without a transaction; that a SQL store joins one is for the store's own tests to show.
package retentiontest

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/retention"
)

var start = time.Date(2026, 3, 31, 12, 0, 0, 123456000, time.UTC)

// Run checks a store. The function newStore gives an empty one for each test.
func Run(t *testing.T, newStore func(t *testing.T) retention.Store) {
	for _, test := range []struct {
		name string
		f    func(t *testing.T, s retention.Store)
	}{
		{"an unknown policy has the zero state", unknownPolicy},
		{"an approval replaces the one before", approvalReplaces},
		{"an approval ends the lease", approvalEndsLease},
		{"an approval sets seen back", approvalSetsSeen},
		{"a run needs the approved hash", runNeedsApproval},
		{"a held lease keeps others out until it ends", leaseKeepsOut},
		{"of concurrent beginnings one wins", oneBegins},
		{"an unfinished run is continued as it was left", runContinues},
		{"an unfinished run of another hash is closed", otherHashCloses},
		{"advancing prolongs the lease", advanceProlongs},
		{"a stale runner changes nothing", staleRunner},
		{"of concurrent ends one wins", oneEnds},
		{"giving the lease back leaves the run open", giveBack},
		{"a finished run is the last one", finishedIsLast},
		{"policies are apart", policiesApart},
		{"times keep their microseconds", timesKept},
	} {
		t.Run(test.name, func(t *testing.T) { test.f(t, newStore(t)) })
	}
}

func fresh(policy, id, hash string) retention.Run {
	return retention.Run{Report: retention.Report{ID: id, Policy: policy, Hash: hash,
		Cutoff: start.AddDate(-2, 0, 0), Started: start}}
}

func approve(t *testing.T, s retention.Store, policy, hash string, at time.Time) {
	t.Helper()
	if err := s.Approve(t.Context(), retention.Approval{Policy: policy, Hash: hash, By: "officer", At: at}); err != nil {
		t.Fatalf("Approve: %v", err)
	}
}

func begin(t *testing.T, s retention.Store, r retention.Run, now time.Time) retention.Run {
	t.Helper()
	got, err := s.BeginRun(t.Context(), r, now, now.Add(time.Minute))
	if err != nil {
		t.Fatalf("BeginRun: %v", err)
	}
	return got
}

func state(t *testing.T, s retention.Store, policy string) retention.State {
	t.Helper()
	st, err := s.State(t.Context(), policy)
	if err != nil {
		t.Fatalf("State: %v", err)
	}
	return st
}

func advance(t *testing.T, s retention.Store, r retention.Run, now time.Time) {
	t.Helper()
	if err := s.AdvanceRun(t.Context(), nil, r, now, now.Add(time.Minute)); err != nil {
		t.Fatalf("AdvanceRun: %v", err)
	}
}

func end(t *testing.T, s retention.Store, r retention.Run, now time.Time) {
	t.Helper()
	if err := s.EndRun(t.Context(), r, now); err != nil {
		t.Fatalf("EndRun: %v", err)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s is %+v, want %+v", what, got, want)
	}
}

func unknownPolicy(t *testing.T, s retention.Store) {
	equal(t, "the state", state(t, s, "tickets"), retention.State{})
}

func approvalReplaces(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "old", start)
	approve(t, s, "tickets", "new", start.Add(time.Hour))
	want := retention.Approval{Policy: "tickets", Hash: "new", By: "officer", At: start.Add(time.Hour)}
	equal(t, "the approval", state(t, s, "tickets").Approval, want)
	_, err := s.BeginRun(t.Context(), fresh("tickets", "1", "old"), start, start.Add(time.Minute))
	wantErr(t, "BeginRun with the earlier hash", err, retention.ErrNotApproved)
}

func approvalEndsLease(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	r := begin(t, s, fresh("tickets", "1", "h"), start)
	approve(t, s, "tickets", "h", start)
	equal(t, "the lease's end", state(t, s, "tickets").LeasedUntil, time.Time{})
	wantErr(t, "AdvanceRun", s.AdvanceRun(t.Context(), nil, r, start, start.Add(time.Minute)), retention.ErrLeaseLost)
	begin(t, s, fresh("tickets", "2", "h"), start)
	wantErr(t, "AdvanceRun beside the new runner",
		s.AdvanceRun(t.Context(), nil, r, start, start.Add(time.Minute)), retention.ErrLeaseLost)
}

func approvalSetsSeen(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	approve(t, s, "tickets", "h", start.AddDate(-10, 0, 0))
	equal(t, "seen", state(t, s, "tickets").Seen, start.AddDate(-10, 0, 0))
}

func runNeedsApproval(t *testing.T, s retention.Store) {
	_, err := s.BeginRun(t.Context(), fresh("tickets", "1", "h"), start, start.Add(time.Minute))
	wantErr(t, "BeginRun without an approval", err, retention.ErrNotApproved)
	approve(t, s, "tickets", "h", start)
	_, err = s.BeginRun(t.Context(), fresh("tickets", "1", "other"), start, start.Add(time.Minute))
	wantErr(t, "BeginRun with another hash", err, retention.ErrNotApproved)
	equal(t, "unfinished", state(t, s, "tickets").Unfinished, false)
}

func leaseKeepsOut(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	first := begin(t, s, fresh("tickets", "1", "h"), start)
	equal(t, "the lease's end", state(t, s, "tickets").LeasedUntil, start.Add(time.Minute))
	_, err := s.BeginRun(t.Context(), fresh("tickets", "2", "h"), start.Add(59*time.Second), start.Add(time.Hour))
	wantErr(t, "BeginRun within the lease", err, retention.ErrBusy)
	second := begin(t, s, fresh("tickets", "2", "h"), start.Add(time.Minute))
	if second.Epoch <= first.Epoch {
		t.Fatalf("epoch %d follows %d, want a higher one", second.Epoch, first.Epoch)
	}
}

func oneBegins(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	errs := race(32, func(i int) error {
		_, err := s.BeginRun(t.Context(), fresh("tickets", fmt.Sprint(i), "h"), start, start.Add(time.Minute))
		return err
	})
	oneWinner(t, errs, retention.ErrBusy)
}

func runContinues(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	r := begin(t, s, fresh("tickets", "1", "h"), start)
	r.Cursor, r.Batches, r.Deleted, r.Cascaded = "c", 2, 1000, map[string]int64{"messages": 7}
	advance(t, s, r, start)
	equal(t, "unfinished", state(t, s, "tickets").Unfinished, true)
	later := fresh("tickets", "2", "h")
	later.Cutoff = start
	got := begin(t, s, later, start.Add(time.Hour))
	r.Epoch = got.Epoch
	equal(t, "the continued run", got, r)
}

func otherHashCloses(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	r := begin(t, s, fresh("tickets", "1", "h"), start)
	r.Cursor, r.Deleted = "c", 1
	advance(t, s, r, start)
	approve(t, s, "tickets", "other", start)
	got := begin(t, s, fresh("tickets", "2", "other"), start)
	want := fresh("tickets", "2", "other")
	want.Epoch = got.Epoch
	equal(t, "the run", got, want)
	equal(t, "the last run", state(t, s, "tickets").Last, retention.Report{})
	approve(t, s, "tickets", "h", start)
	got = begin(t, s, fresh("tickets", "3", "h"), start)
	equal(t, "the run's ID after the first hash is approved again", got.ID, "3")
}

func advanceProlongs(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	r := begin(t, s, fresh("tickets", "1", "h"), start)
	advance(t, s, r, start.Add(30*time.Second))
	st := state(t, s, "tickets")
	equal(t, "seen", st.Seen, start.Add(30*time.Second))
	equal(t, "the lease's end", st.LeasedUntil, start.Add(90*time.Second))
	_, err := s.BeginRun(t.Context(), fresh("tickets", "2", "h"), start.Add(80*time.Second), start.Add(time.Hour))
	wantErr(t, "BeginRun within the prolonged lease", err, retention.ErrBusy)
	advance(t, s, r, start.Add(time.Hour)) // an expired lease that nobody took is still held
}

func staleRunner(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	stale := begin(t, s, fresh("tickets", "1", "h"), start)
	now := start.Add(2 * time.Minute)
	live := begin(t, s, fresh("tickets", "2", "h"), now)
	before := state(t, s, "tickets")

	stale.Cursor, stale.Deleted = "wrong", 99
	wantErr(t, "AdvanceRun", s.AdvanceRun(t.Context(), nil, stale, now.Add(time.Hour), now.Add(2*time.Hour)), retention.ErrLeaseLost)
	wantErr(t, "EndRun", s.EndRun(t.Context(), stale, now.Add(time.Hour)), retention.ErrLeaseLost)
	stale.Finished = now
	wantErr(t, "EndRun of a finished run", s.EndRun(t.Context(), stale, now.Add(time.Hour)), retention.ErrLeaseLost)
	equal(t, "the state", state(t, s, "tickets"), before)

	end(t, s, live, now)
	got := begin(t, s, fresh("tickets", "3", "h"), now)
	live.Epoch = got.Epoch
	equal(t, "the continued run", got, live)
}

func oneEnds(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	r := begin(t, s, fresh("tickets", "1", "h"), start)
	r.Finished = start
	oneWinner(t, race(32, func(int) error { return s.EndRun(t.Context(), r, start) }), retention.ErrLeaseLost)
}

func giveBack(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	r := begin(t, s, fresh("tickets", "1", "h"), start)
	end(t, s, r, start.Add(time.Second))
	st := state(t, s, "tickets")
	equal(t, "unfinished", st.Unfinished, true)
	equal(t, "the lease's end", st.LeasedUntil, time.Time{})
	equal(t, "seen", st.Seen, start.Add(time.Second))
	wantErr(t, "AdvanceRun", s.AdvanceRun(t.Context(), nil, r, start, start.Add(time.Minute)), retention.ErrLeaseLost)
	got := begin(t, s, fresh("tickets", "2", "h"), start.Add(time.Second))
	equal(t, "the run's ID", got.ID, "1")
}

func finishedIsLast(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	for i := range 3 {
		now := start.Add(time.Duration(i) * time.Hour)
		f := fresh("tickets", fmt.Sprint(i), "h")
		f.Started = now
		r := begin(t, s, f, now)
		equal(t, "the run's ID", r.ID, f.ID)
		r.Cursor, r.Batches, r.Deleted, r.Cascaded = "c", 1, 5, map[string]int64{"files": 2}
		advance(t, s, r, now)
		r.Finished, r.Remaining = now.Add(time.Minute), int64(i)
		end(t, s, r, r.Finished)
		st := state(t, s, "tickets")
		equal(t, "the last run", st.Last, r.Report)
		equal(t, "unfinished", st.Unfinished, false)
		wantErr(t, "a second EndRun", s.EndRun(t.Context(), r, now), retention.ErrLeaseLost)
	}
}

func policiesApart(t *testing.T, s retention.Store) {
	approve(t, s, "tickets", "h", start)
	approve(t, s, "appointments", "h", start)
	a := begin(t, s, fresh("tickets", "1", "h"), start)
	b := begin(t, s, fresh("appointments", "2", "h"), start)
	a.Finished = start
	end(t, s, a, start)
	equal(t, "the other policy's last run", state(t, s, "appointments").Last, retention.Report{})
	advance(t, s, b, start)
}

func timesKept(t *testing.T, s retention.Store) {
	zone := time.FixedZone("", 3600)
	odd := start.Add(789 * time.Nanosecond)
	approve(t, s, "tickets", "h", odd.In(zone))
	equal(t, "the approval's time", state(t, s, "tickets").Approval.At, start)
	f := fresh("tickets", "1", "h")
	f.Cutoff, f.Started = odd.In(zone), odd.In(zone)
	r := begin(t, s, f, odd.In(zone))
	equal(t, "the cutoff", r.Cutoff, start)
	r.Finished = odd.In(zone)
	end(t, s, r, odd.In(zone))
	st := state(t, s, "tickets")
	equal(t, "the start", st.Last.Started, start)
	equal(t, "the end", st.Last.Finished, start)
	equal(t, "seen", st.Seen, start)
}

// race calls f n times at once.
func race(n int, f func(i int) error) []error {
	errs := make([]error, n)
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-gate
			errs[i] = f(i)
		})
	}
	close(gate)
	wg.Wait()
	return errs
}

func oneWinner(t *testing.T, errs []error, loss error) {
	t.Helper()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, loss):
			t.Fatalf("error %v, want %v", err, loss)
		}
	}
	if won != 1 {
		t.Fatalf("%d of %d calls won, want 1", won, len(errs))
	}
}
