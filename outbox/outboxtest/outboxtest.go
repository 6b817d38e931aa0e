// SPDX-License-Identifier: Apache-2.0

// Package outboxtest is the conformance kit for implementations of outbox.Store. A store's own test calls
// [Run]; each subtest is a sentence of the interface's comment.
package outboxtest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/outbox"
)

// start is a time of whole microseconds, as the interface promises.
var start = time.Date(2026, 3, 29, 0, 59, 59, 999_999_000, time.UTC)

// Run tests a store. newStore gives an empty one; it is called once for each subtest.
func Run(t *testing.T, newStore func(t *testing.T) outbox.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store)
	}{
		{"an added letter is claimed whole", roundTrip},
		{"a letter is not claimed before it is due", notBeforeDue},
		{"letters are claimed earliest due first, or near it", order},
		{"a leased letter is not claimed", leased},
		{"a letter whose lease is over is claimed again", leaseOver},
		{"of concurrent claims each letter goes to one", raceClaim},
		{"of concurrent claims of a lease that is over exactly one gets the letter", raceLeaseOver},
		{"finish removes the letter", finish},
		{"finish does nothing under another lease", finishOther},
		{"finish works after the lease's end while nobody has claimed the letter since", finishLate},
		{"return ends the lease and writes what it is given", giveBack},
		{"return does nothing under another lease", giveBackOther},
		{"a failed letter is not claimed", failedNotClaimed},
		{"revive makes a letter due as a new one", revive},
		{"revive leaves a leased letter alone", reviveLeased},
		{"drop removes a letter that is not leased", drop},
		{"failed letters are listed latest first, at most limit, without Sealed", failedLetters},
		{"count counts waiting, retrying and failed", count},
		{"prune removes the letters that failed before", prune},
		{"slices are not shared with the caller", notShared},
		{"an act under an ended context does nothing", ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, store{newStore(t), t})
		})
	}
}

// store calls an outbox.Store and fails the test on an error.
type store struct {
	outbox.Store
	t *testing.T
}

func letter(id string) outbox.Record {
	return outbox.Record{
		ID: id, Kind: "auth.reset", Tenant: "acme", Account: "u-1", Sealed: []byte{0, 0xff, 's'},
		Created: start, Expires: start.Add(24 * time.Hour), Due: start,
	}
}

func (s store) add(r outbox.Record) outbox.Record {
	s.t.Helper()
	if err := s.AddLetter(s.t.Context(), r); err != nil {
		s.t.Fatalf("AddLetter(%s): %v", r.ID, err)
	}
	return r
}

func (s store) claim(lease string, now time.Time) outbox.Record {
	s.t.Helper()
	r, ok, err := s.ClaimLetter(s.t.Context(), lease, now, now.Add(time.Minute))
	if err != nil || !ok {
		s.t.Fatalf("ClaimLetter(%s) = %v, %v, want a letter", lease, ok, err)
	}
	return r
}

func (s store) noClaim(lease string, now time.Time) {
	s.t.Helper()
	r, ok, err := s.ClaimLetter(s.t.Context(), lease, now, now.Add(time.Minute))
	if err != nil || ok {
		s.t.Errorf("ClaimLetter(%s) = %s, %v, %v, want no letter", lease, r.ID, ok, err)
	}
}

func (s store) want(what string, want bool, got bool, err error) {
	s.t.Helper()
	if err != nil || got != want {
		s.t.Errorf("%s = %v, %v, want %v", what, got, err, want)
	}
}

func (s store) finish(id, lease string, want bool) {
	s.t.Helper()
	ok, err := s.FinishLetter(s.t.Context(), id, lease)
	s.want("FinishLetter", want, ok, err)
}

func (s store) giveBack(id, lease string, ret outbox.Return, want bool) {
	s.t.Helper()
	ok, err := s.ReturnLetter(s.t.Context(), id, lease, ret)
	s.want("ReturnLetter", want, ok, err)
}

func (s store) revive(id string, now time.Time, want bool) {
	s.t.Helper()
	ok, err := s.ReviveLetter(s.t.Context(), id, now, now.Add(time.Hour))
	s.want("ReviveLetter", want, ok, err)
}

func (s store) drop(id string, now time.Time, want bool) {
	s.t.Helper()
	ok, err := s.DropLetter(s.t.Context(), id, now)
	s.want("DropLetter", want, ok, err)
}

func (s store) count(want outbox.Counts) {
	s.t.Helper()
	if got, err := s.CountLetters(s.t.Context()); err != nil || got != want {
		s.t.Errorf("CountLetters = %+v, %v, want %+v", got, err, want)
	}
}

// fail adds a letter that has failed.
func (s store) fail(id string, at time.Time) {
	s.t.Helper()
	s.add(letter(id))
	s.claim("lease of "+id, start)
	s.giveBack(id, "lease of "+id, outbox.Return{Due: at, Tried: at, Reason: "refused", Failed: at}, true)
}

func equal(t *testing.T, got, want outbox.Record) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("letter = %+v, want %+v", got, want)
	}
}

func roundTrip(t *testing.T, s store) {
	want := s.add(letter("a"))
	want.Tries = 1
	equal(t, s.claim("x", start), want)

	empty := outbox.Record{ID: "b", Kind: "k.k", Sealed: []byte("s"), Created: start, Expires: start.Add(time.Microsecond), Due: start}
	s.add(empty)
	empty.Tries = 1
	equal(t, s.claim("y", start), empty)
}

func notBeforeDue(t *testing.T, s store) {
	s.add(letter("a"))
	s.noClaim("x", start.Add(-time.Microsecond))
	if r := s.claim("x", start); r.Tries != 1 {
		t.Errorf("Tries = %d, want 1: a claim that found nothing counts for none", r.Tries)
	}
}

// order allows a store to pass over letters that are near, so that concurrent claims need not queue; but what waits
// for an hour goes before a crowd that has just come.
func order(t *testing.T, s store) {
	for i := range 50 {
		r := letter(fmt.Sprintf("new-%02d", i))
		r.Due = start.Add(time.Hour)
		s.add(r)
	}
	s.add(letter("old"))
	for i := range 40 {
		if s.claim(fmt.Sprintf("x-%d", i), start.Add(2*time.Hour)).ID == "old" {
			return
		}
	}
	t.Error("40 of 50 letters that were due an hour later were claimed before the oldest")
}

func leased(t *testing.T, s store) {
	s.add(letter("a"))
	s.claim("x", start)
	s.noClaim("y", start)
	s.noClaim("x", start)
	s.noClaim("y", start.Add(time.Minute-time.Microsecond))
}

func leaseOver(t *testing.T, s store) {
	want := s.add(letter("a"))
	s.claim("x", start)
	want.Tries = 2
	equal(t, s.claim("y", start.Add(time.Minute)), want)
	s.noClaim("z", start.Add(time.Minute))
}

// racers is how many goroutines race.
const racers = 1000

// race calls f in many goroutines at once.
func race(f func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-gate
			f(i)
		})
	}
	close(gate)
	wg.Wait()
}

func raceClaim(t *testing.T, s store) {
	const letters = 50
	for i := range letters {
		s.add(letter(fmt.Sprintf("l-%02d", i)))
	}
	var mu sync.Mutex
	claimed := make(map[string]int)
	race(func(i int) {
		r, ok, err := s.ClaimLetter(t.Context(), fmt.Sprintf("x-%d", i), start, start.Add(time.Minute))
		if err != nil {
			t.Errorf("ClaimLetter: %v", err)
		}
		if ok {
			mu.Lock()
			defer mu.Unlock()
			claimed[r.ID]++
			if r.Tries != 1 {
				t.Errorf("%s: Tries = %d, want 1", r.ID, r.Tries)
			}
		}
	})
	if len(claimed) != letters {
		t.Errorf("%d letters were claimed, want %d", len(claimed), letters)
	}
	for i := range letters {
		if id := fmt.Sprintf("l-%02d", i); claimed[id] != 1 {
			t.Errorf("%s was claimed %d times", id, claimed[id])
		}
	}
}

func raceLeaseOver(t *testing.T, s store) {
	s.add(letter("a"))
	s.claim("dead", start)
	var mu sync.Mutex
	var winners []string
	race(func(i int) {
		lease := fmt.Sprintf("x-%d", i)
		_, ok, err := s.ClaimLetter(t.Context(), lease, start.Add(time.Hour), start.Add(2*time.Hour))
		if err != nil {
			t.Errorf("ClaimLetter: %v", err)
		}
		if ok {
			mu.Lock()
			defer mu.Unlock()
			winners = append(winners, lease)
		}
	})
	if len(winners) != 1 {
		t.Fatalf("%d claims got the letter, want 1", len(winners))
	}
	s.finish("a", "dead", false)
	s.finish("a", winners[0], true)
}

func finish(t *testing.T, s store) {
	s.add(letter("a"))
	s.finish("a", "x", false)
	s.claim("x", start)
	s.add(letter("b"))
	s.finish("a", "x", true)
	s.finish("a", "x", false)
	s.finish("b", "x", false)
	s.count(outbox.Counts{Waiting: 1, Oldest: start})
	if r := s.claim("y", start.Add(time.Hour)); r.ID != "b" {
		t.Errorf("claimed %s, want b", r.ID)
	}
}

func finishOther(t *testing.T, s store) {
	s.add(letter("a"))
	s.claim("x", start)
	s.finish("a", "y", false)
	s.claim("y", start.Add(time.Minute))
	s.finish("a", "x", false)
	s.count(outbox.Counts{Waiting: 1, Oldest: start})
	s.finish("a", "y", true)
	s.count(outbox.Counts{})
}

func finishLate(t *testing.T, s store) {
	s.add(letter("a"))
	s.claim("x", start)
	s.noClaim("y", start.Add(time.Minute-time.Microsecond))
	s.finish("a", "x", true)
}

func giveBack(t *testing.T, s store) {
	want := s.add(letter("a"))
	s.claim("x", start)
	ret := outbox.Return{Due: start.Add(10 * time.Second), Tried: start.Add(time.Second), Reason: "timeout"}
	s.giveBack("a", "x", ret, true)
	s.giveBack("a", "x", ret, false)
	s.finish("a", "x", false)
	s.noClaim("y", ret.Due.Add(-time.Microsecond))
	want.Due, want.Tried, want.Reason, want.Tries = ret.Due, ret.Tried, ret.Reason, 2
	equal(t, s.claim("y", ret.Due), want)
}

func giveBackOther(t *testing.T, s store) {
	s.add(letter("a"))
	ret := outbox.Return{Due: start, Tried: start, Reason: "timeout", Failed: start}
	s.giveBack("a", "x", ret, false)
	s.claim("x", start)
	s.giveBack("a", "y", ret, false)
	s.claim("y", start.Add(time.Minute))
	s.giveBack("a", "x", ret, false)
	s.noClaim("z", start.Add(time.Minute))
	s.count(outbox.Counts{Waiting: 1, Oldest: start})
	s.giveBack("b", "y", ret, false)
}

func failedNotClaimed(t *testing.T, s store) {
	s.fail("a", start)
	s.noClaim("x", start.Add(100*time.Hour))
}

func revive(t *testing.T, s store) {
	now := start.Add(time.Hour)
	s.revive("a", now, false)
	s.fail("a", start.Add(time.Second))
	s.revive("a", now, true)
	want := letter("a")
	want.Due, want.Expires, want.Tries, want.Tried, want.Reason = now, now.Add(time.Hour), 1, start.Add(time.Second), "refused"
	s.noClaim("x", now.Add(-time.Microsecond))
	equal(t, s.claim("x", now), want)
	later := now.Add(time.Minute)
	s.giveBack("a", "x", outbox.Return{Due: later.Add(time.Hour), Tried: now, Reason: "timeout"}, true)
	s.revive("a", later, true)
	s.claim("y", later)
}

func reviveLeased(t *testing.T, s store) {
	want := s.add(letter("a"))
	s.claim("x", start)
	s.revive("a", start.Add(time.Minute-time.Microsecond), false)
	want.Tries = 2
	equal(t, s.claim("y", start.Add(time.Minute)), want)
	s.revive("a", start.Add(2*time.Minute), true)
}

func drop(t *testing.T, s store) {
	s.drop("a", start, false)
	s.add(letter("a"))
	s.add(letter("b"))
	s.drop("a", start, true)
	s.drop("a", start, false)
	s.claim("x", start)
	s.drop("b", start.Add(time.Minute-time.Microsecond), false)
	s.count(outbox.Counts{Waiting: 1, Oldest: start})
	s.drop("b", start.Add(time.Minute), true)
	s.fail("c", start)
	s.drop("c", start, true)
	s.count(outbox.Counts{})
}

func failedLetters(t *testing.T, s store) {
	for i, id := range []string{"a", "c", "b", "d"} {
		s.fail(id, start.Add(time.Duration(i)*time.Second))
	}
	s.add(letter("waits"))
	for _, c := range []struct {
		limit int
		want  []string
	}{{10, []string{"d", "b", "c", "a"}}, {2, []string{"d", "b"}}, {0, nil}} {
		list, err := s.FailedLetters(t.Context(), c.limit)
		if err != nil {
			t.Fatalf("FailedLetters: %v", err)
		}
		var got []string
		for _, r := range list {
			got = append(got, r.ID)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("FailedLetters(%d) = %q, want %q", c.limit, got, c.want)
		}
		if c.limit == 2 && len(list) > 0 {
			at := start.Add(3 * time.Second)
			want := letter("d")
			want.Sealed, want.Tries, want.Due, want.Tried, want.Failed, want.Reason = nil, 1, at, at, at, "refused"
			equal(t, list[0], want)
		}
	}
}

func count(_ *testing.T, s store) {
	s.count(outbox.Counts{})
	s.fail("failed", start.Add(2*time.Second))
	s.count(outbox.Counts{Failed: 1, Reason: "refused"})
	old := letter("old")
	old.Created = start.Add(-time.Hour)
	s.add(old)
	s.claim("x", start)
	s.add(letter("new"))
	s.count(outbox.Counts{Waiting: 2, Failed: 1, Oldest: old.Created, Reason: "refused"})
	s.giveBack("old", "x", outbox.Return{Due: start.Add(time.Hour), Tried: start.Add(3 * time.Second), Reason: "timeout"}, true)
	s.count(outbox.Counts{Waiting: 2, Retrying: 1, Failed: 1, Oldest: old.Created, Reason: "timeout"})
	s.claim("y", start)
	s.giveBack("new", "y", outbox.Return{Due: start.Add(time.Hour), Tried: start.Add(time.Second), Reason: "panic"}, true)
	s.count(outbox.Counts{Waiting: 2, Retrying: 2, Failed: 1, Oldest: old.Created, Reason: "timeout"})
}

func prune(t *testing.T, s store) {
	s.fail("old", start)
	s.fail("edge", start.Add(time.Second))
	s.fail("new", start.Add(2*time.Second))
	s.add(letter("waits"))
	n, err := s.PruneLetters(t.Context(), start.Add(time.Second))
	if err != nil || n != 1 {
		t.Errorf("PruneLetters = %d, %v, want 1", n, err)
	}
	s.count(outbox.Counts{Waiting: 1, Failed: 2, Oldest: start, Reason: "refused"})
	s.drop("old", start, false)
	s.drop("edge", start, true)
}

func notShared(t *testing.T, s store) {
	r := letter("a")
	want := bytes.Clone(r.Sealed)
	s.add(r)
	r.Sealed[0] = 'x'
	got := s.claim("x", start)
	if !bytes.Equal(got.Sealed, want) {
		t.Errorf("Sealed = %q, want %q", got.Sealed, want)
	}
	got.Sealed[0] = 'y'
	if again := s.claim("y", start.Add(time.Hour)); !bytes.Equal(again.Sealed, want) {
		t.Errorf("Sealed = %q, want %q", again.Sealed, want)
	}
}

func ended(t *testing.T, s store) {
	s.fail("failed", start)
	s.add(letter("leased"))
	s.claim("x", start)
	s.add(letter("waits"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	later := start.Add(time.Hour)
	for _, c := range []struct {
		name string
		act  func() error
	}{
		{"AddLetter", func() error { return s.AddLetter(ctx, letter("other")) }},
		{"ClaimLetter", func() error { _, _, err := s.ClaimLetter(ctx, "y", start, later); return err }},
		{"FinishLetter", func() error { _, err := s.FinishLetter(ctx, "leased", "x"); return err }},
		{"ReturnLetter", func() error { _, err := s.ReturnLetter(ctx, "leased", "x", outbox.Return{Failed: start}); return err }},
		{"ReviveLetter", func() error { _, err := s.ReviveLetter(ctx, "failed", start, later); return err }},
		{"DropLetter", func() error { _, err := s.DropLetter(ctx, "failed", start); return err }},
		{"FailedLetters", func() error { _, err := s.FailedLetters(ctx, 10); return err }},
		{"CountLetters", func() error { _, err := s.CountLetters(ctx); return err }},
		{"PruneLetters", func() error { _, err := s.PruneLetters(ctx, later); return err }},
	} {
		if c.act() == nil {
			t.Errorf("%s returned no error", c.name)
		}
	}
	s.count(outbox.Counts{Waiting: 2, Failed: 1, Oldest: start, Reason: "refused"})
	if r := s.claim("y", start); r.ID != "waits" || r.Tries != 1 {
		t.Errorf("claimed %s at its %d. try, want the first of waits", r.ID, r.Tries)
	}
	s.finish("leased", "x", true)
}
