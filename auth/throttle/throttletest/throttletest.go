// SPDX-License-Identifier: Apache-2.0

// Package throttletest is the conformance kit for implementations of throttle.Store. A store's own test calls
// [Run]; each subtest is a sentence of the interface's comment.
package throttletest

import (
	"bytes"
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth/throttle"
)

// start is a time of whole microseconds, as the interface promises.
var start = time.Date(2026, 3, 29, 0, 59, 59, 999_999_000, time.UTC)

// The limits of the kit. In none but the last does an attempt ever wait.
var (
	capped   = throttle.Limit{Free: 1000, Cap: 10}
	windowed = throttle.Limit{Free: 3, Wait: time.Minute, MaxWait: time.Hour, Window: 24 * time.Hour}
	waiting  = throttle.Limit{Free: 2, Wait: 30 * time.Second, MaxWait: 2 * time.Minute, Cap: 100}
)

// Run tests a store. newStore gives an empty one; it is called once for each subtest, and those run at the same time. The
// largest race is of 1,000 goroutines, or of 100 with go test -short.
func Run(t *testing.T, newStore func(t *testing.T) throttle.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store)
	}{
		{"a lane without a counter has the zero Counter", zeroCounter},
		{"counters are written as Decide gives them", roundTrip},
		{"an attempt counts in all lanes", countsInAll},
		{"a refused attempt changes nothing", refusedChangesNothing},
		{"a slow clock opens no lane early", slowClock},
		{"clocks that differ by minutes open no lane early in a race", raceSlowClock},
		{"concurrent attempts are decided one after the other", raceOneLane},
		{"concurrent attempts that share a lane lose no count and do not deadlock", raceSharedLane},
		{"a removed counter starts anew and others stay", settleRemoves},
		{"an attempt given back is counted no more", settleGivesBack},
		{"no counter falls below zero", settleNotBelowZero},
		{"giving back leaves times as they are", settleKeepsTimes},
		{"a key without a counter is passed over", settleUnknown},
		{"concurrent settling loses no count", raceSettle},
		{"reset removes all lanes of the account and no others", reset},
		{"prune removes old counters of its kind that are below", prune},
		{"prune knows every kind", pruneKinds},
		{"an act under an ended context does nothing", ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, store{newStore(t), t})
		})
	}
}

// store calls a throttle.Store and fails the test on an error.
type store struct {
	throttle.Store
	t *testing.T
}

func (s store) take(now time.Time, lanes ...throttle.Lane) throttle.Decision {
	s.t.Helper()
	lanes = slices.Clone(lanes)
	slices.SortFunc(lanes, func(a, b throttle.Lane) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	d, err := s.TakeAttempt(s.t.Context(), lanes, now)
	if err != nil {
		s.t.Errorf("TakeAttempt: %v", err)
	}
	return d
}

func (s store) allow(n int, now time.Time, lanes ...throttle.Lane) {
	s.t.Helper()
	for i := range n {
		if d := s.take(now, lanes...); !d.Allowed || d.RetryAfter != 0 || d.By != "" {
			s.t.Fatalf("attempt %d of %d: %+v, want allowed", i+1, n, d)
		}
	}
}

func (s store) refuse(now time.Time, lanes ...throttle.Lane) throttle.Decision {
	s.t.Helper()
	d := s.take(now, lanes...)
	if d.Allowed || d.RetryAfter <= 0 || d.By == "" {
		s.t.Fatalf("%+v, want refused", d)
	}
	return d
}

func (s store) settle(remove, giveBack []throttle.Key) {
	s.t.Helper()
	if err := s.SettleAttempt(s.t.Context(), remove, giveBack); err != nil {
		s.t.Errorf("SettleAttempt: %v", err)
	}
}

// count tells how many failures a lane of limit capped has. It adds some, so it is the last look at the lane.
func (s store) count(lane throttle.Lane, now time.Time) int {
	s.t.Helper()
	lane.Limit = capped
	for n := range capped.Cap + 1 {
		if !s.take(now, lane).Allowed {
			return capped.Cap - n
		}
	}
	s.t.Fatal("the lane never closes")
	return 0
}

func key(b byte) throttle.Key { return throttle.Key{0: b, 31: ^b} }

// account gives the lane of an account, address one without.
func account(b byte, l throttle.Limit) throttle.Lane {
	return throttle.Lane{Key: key(b), Kind: throttle.KindAccount, Account: key(b), Limit: l}
}

func address(b byte, l throttle.Limit) throttle.Lane {
	return throttle.Lane{Key: key(b), Kind: throttle.KindAddress, Limit: l}
}

func zeroCounter(t *testing.T, s store) {
	s.allow(1, start, account(1, throttle.Limit{Free: 1, Cap: 1}))
	s.refuse(start, account(1, throttle.Limit{Free: 1, Cap: 1, MaxWait: time.Hour}))
	s.allow(1, start, account(2, throttle.Limit{Free: 1, Cap: 1}))
}

func roundTrip(t *testing.T, s store) {
	lane := account(1, waiting)
	at := start
	s.allow(2, at, lane)
	for i, wait := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 2 * time.Minute} {
		d := s.refuse(at, lane)
		if d.RetryAfter != wait || d.By != throttle.KindAccount || d.Closed {
			t.Fatalf("after %d failures: %+v, want to wait %v by the account", i+2, d, wait)
		}
		at = at.Add(wait)
		if d := s.refuse(at.Add(-time.Microsecond), lane); d.RetryAfter != time.Microsecond {
			t.Fatalf("a microsecond early: %+v", d)
		}
		s.allow(1, at, lane)
	}

	// The window starts with the first failure, not with the latest.
	addr := address(2, windowed)
	s.allow(1, start, addr)
	s.allow(2, start.Add(23*time.Hour), addr)
	s.refuse(start.Add(23*time.Hour), addr)
	s.allow(3, start.Add(24*time.Hour), addr)
	s.refuse(start.Add(24*time.Hour), addr)
}

func countsInAll(t *testing.T, s store) {
	a, b := account(1, capped), address(2, capped)
	s.allow(4, start, a, b)
	s.allow(3, start, b)
	if n := s.count(a, start); n != 4 {
		t.Errorf("account has %d failures, want 4", n)
	}
	if n := s.count(b, start); n != 7 {
		t.Errorf("address has %d failures, want 7", n)
	}
}

func refusedChangesNothing(t *testing.T, s store) {
	for i, order := range [][2]byte{{1, 2}, {4, 3}} { // the lane that refuses last, and first
		free, full := account(order[0], capped), address(order[1], capped)
		s.allow(2, start, free)
		s.allow(10, start, full)
		for range 20 {
			if d := s.refuse(start, free, full); d.By != throttle.KindAddress || !d.Closed {
				t.Fatalf("%+v, want closed by the address", d)
			}
		}
		if n := s.count(free, start); n != 2 {
			t.Errorf("order %d: the other lane has %d failures, want 2", i, n)
		}
	}
	// Nor does it make the wait longer.
	lane := account(5, waiting)
	s.allow(2, start, lane)
	for i := range 29 {
		s.refuse(start.Add(time.Duration(i)*time.Second), lane)
	}
	s.allow(1, start.Add(30*time.Second), lane)
}

func slowClock(t *testing.T, s store) {
	lane := account(1, waiting)
	slow := start.Add(-10 * time.Minute)
	s.allow(1, start, lane)
	s.allow(1, slow, lane) // must not move Last back
	s.refuse(start.Add(29*time.Second), lane)
	s.refuse(slow.Add(time.Minute), lane)
	s.allow(1, start.Add(30*time.Second), lane)
}

// raceSlowClock counts from processes whose clocks are five minutes apart.
func raceSlowClock(t *testing.T, s store) {
	const rounds, attempts = 20, 8
	slow := start.Add(-5 * time.Minute)
	for round := range byte(rounds) {
		lane := account(round, throttle.Limit{Free: attempts, Wait: 30 * time.Second, MaxWait: time.Hour})
		race(attempts, func(i int) {
			now := slow
			if i == int(round)%attempts { // first and last in turn, because a scheduler has its habits
				now = start
			}
			if d := s.take(now, lane); !d.Allowed {
				t.Errorf("%+v, want allowed", d)
			}
		})
		if d := s.refuse(start.Add(29*time.Second), lane); d.RetryAfter != time.Second {
			t.Errorf("%+v, want to wait a second more by the fast clock", d)
		}
		if d := s.refuse(slow.Add(30*time.Second), lane); d.RetryAfter != 5*time.Minute {
			t.Errorf("%+v, want to wait five minutes more by the slow clock", d)
		}
		s.allow(1, start.Add(30*time.Second), lane)
	}
}

func raceOneLane(t *testing.T, s store) {
	rivals := 1000
	if testing.Short() {
		rivals = 100
	}
	lane := account(1, capped)
	var allowed atomic.Int32
	race(rivals, func(int) {
		if s.take(start, lane).Allowed {
			allowed.Add(1)
		}
	})
	if n := allowed.Load(); n != 10 {
		t.Errorf("%d of %d attempts allowed, want exactly 10", n, rivals)
	}
}

func raceSharedLane(t *testing.T, s store) {
	wide := throttle.Limit{Free: 1000, Cap: 40}
	shared := address(100, wide)
	var allowed atomic.Int32
	race(64, func(i int) {
		// Keys on both sides of the shared one: lanes come in the order of their keys.
		if s.take(start, account(byte(93+2*(i%8)), wide), shared).Allowed {
			allowed.Add(1)
		}
	})
	if n := allowed.Load(); n != 40 {
		t.Errorf("%d of 64 attempts allowed, want exactly 40", n)
	}
}

func settleRemoves(t *testing.T, s store) {
	a, b := account(1, capped), account(2, capped)
	s.allow(3, start, a, b)
	s.settle([]throttle.Key{a.Key}, nil)
	if n := s.count(a, start); n != 0 {
		t.Errorf("removed counter has %d failures, want 0", n)
	}
	if n := s.count(b, start); n != 3 {
		t.Errorf("other counter has %d failures, want 3", n)
	}
}

func settleGivesBack(t *testing.T, s store) {
	a, b, c := account(1, capped), address(2, capped), account(3, capped)
	s.allow(4, start, a, b, c)
	s.settle([]throttle.Key{a.Key}, []throttle.Key{b.Key})
	if n := s.count(a, start); n != 0 {
		t.Errorf("removed counter has %d failures, want 0", n)
	}
	if n := s.count(b, start); n != 3 {
		t.Errorf("counter given one back has %d failures, want 3", n)
	}
	if n := s.count(c, start); n != 4 {
		t.Errorf("other counter has %d failures, want 4", n)
	}
}

func settleNotBelowZero(t *testing.T, s store) {
	lane := account(1, capped)
	s.allow(1, start, lane)
	for range 5 {
		s.settle(nil, []throttle.Key{lane.Key})
	}
	if n := s.count(lane, start); n != 0 {
		t.Errorf("%d failures, want 0", n)
	}
}

func settleKeepsTimes(t *testing.T, s store) {
	lane := account(1, waiting)
	s.allow(2, start, lane)
	s.allow(1, start.Add(30*time.Second), lane)
	s.settle(nil, []throttle.Key{lane.Key}) // two failures: the wait is half a minute after the latest attempt
	s.refuse(start.Add(59*time.Second), lane)
	s.allow(1, start.Add(60*time.Second), lane)
}

func settleUnknown(t *testing.T, s store) {
	s.settle([]throttle.Key{key(1)}, []throttle.Key{key(2)})
	s.settle(nil, nil)
	if n := s.count(account(2, capped), start); n != 0 {
		t.Errorf("%d failures, want 0", n)
	}
}

func raceSettle(t *testing.T, s store) {
	lane := account(1, throttle.Limit{Free: 1000})
	s.allow(40, start, lane)
	race(64, func(i int) {
		if i%2 == 0 {
			s.take(start, lane)
		} else {
			s.settle(nil, []throttle.Key{lane.Key})
		}
	})
	race(35, func(int) { s.settle(nil, []throttle.Key{lane.Key}) })
	if n := s.count(lane, start); n != 5 {
		t.Errorf("%d failures, want 40 + 32 - 32 - 35 = 5", n)
	}
}

func reset(t *testing.T, s store) {
	mine, other, addr := account(1, capped), account(2, capped), address(3, capped)
	browser := throttle.Lane{Key: key(4), Kind: throttle.KindBrowser, Account: mine.Account, Limit: capped}
	s.allow(4, start, mine, browser, other, addr)
	s.allow(6, start, mine)
	s.refuse(start, mine)
	if err := s.ResetAccount(t.Context(), mine.Account); err != nil {
		t.Fatal(err)
	}
	for lane, want := range map[throttle.Lane]int{mine: 0, browser: 0, other: 4, addr: 4} {
		if n := s.count(lane, start); n != want {
			t.Errorf("%s lane has %d failures, want %d", lane.Kind, n, want)
		}
	}
	if err := s.ResetAccount(t.Context(), key(99)); err != nil {
		t.Errorf("reset of an account without counters: %v", err)
	}
}

func prune(t *testing.T, s store) {
	old, full, recent := account(1, capped), account(2, capped), account(3, capped)
	addr := address(4, capped)
	s.allow(2, start, old, full, addr)
	s.allow(8, start, full)
	s.allow(1, start.Add(-time.Hour), recent)
	s.allow(1, start.Add(time.Hour), recent)
	for _, c := range []struct {
		kind   throttle.Kind
		before time.Time
		below  int
		want   int64
	}{
		{throttle.KindAccount, start, 10, 0}, // Last is not before
		{throttle.KindBrowser, start.Add(time.Minute), math.MaxInt, 0},
		{throttle.KindAccount, start.Add(time.Minute), 10, 1},
		{throttle.KindAccount, start.Add(time.Minute), 10, 0},
	} {
		n, err := s.PruneAttempts(t.Context(), c.kind, c.before, c.below)
		if err != nil || n != c.want {
			t.Errorf("PruneAttempts(%s, %v, %d) = %d, %v, want %d", c.kind, c.before, c.below, n, err, c.want)
		}
	}
	for lane, want := range map[throttle.Lane]int{old: 0, full: 10, recent: 2, addr: 2} {
		if n := s.count(lane, start.Add(time.Hour)); n != want {
			t.Errorf("lane %d has %d failures, want %d", lane.Key[0], n, want)
		}
	}
	if n, err := s.PruneAttempts(t.Context(), throttle.KindAddress, start.Add(48*time.Hour), math.MaxInt); err != nil || n != 1 {
		t.Errorf("PruneAttempts of addresses = %d, %v, want 1", n, err)
	}
}

func pruneKinds(t *testing.T, s store) {
	kinds := []throttle.Kind{
		throttle.KindAccount, throttle.KindBrowser, throttle.KindAddress, throttle.KindMail, throttle.KindMailAddress,
	}
	for i, kind := range kinds {
		s.allow(1, start, throttle.Lane{Key: key(byte(i)), Kind: kind, Limit: capped})
	}
	for _, kind := range kinds {
		if n, err := s.PruneAttempts(t.Context(), kind, start.Add(time.Minute), math.MaxInt); n != 1 || err != nil {
			t.Errorf("PruneAttempts(%s) = %d, %v, want 1", kind, n, err)
		}
	}
}

func ended(t *testing.T, s store) {
	lane := account(1, capped)
	s.allow(4, start, lane)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := s.TakeAttempt(ctx, []throttle.Lane{lane}, start); err == nil || d.Allowed {
		t.Errorf("TakeAttempt = %+v, %v, want an error and nothing allowed", d, err)
	}
	if err := s.SettleAttempt(ctx, []throttle.Key{lane.Key}, nil); err == nil {
		t.Error("SettleAttempt: want an error")
	}
	if err := s.ResetAccount(ctx, lane.Account); err == nil {
		t.Error("ResetAccount: want an error")
	}
	if _, err := s.PruneAttempts(ctx, lane.Kind, start.Add(time.Hour), 100); err == nil {
		t.Error("PruneAttempts: want an error")
	}
	if n := s.count(lane, start); n != 4 {
		t.Errorf("%d failures, want 4", n)
	}
}

// race runs f n times at once.
func race(n int, f func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			f(i)
		})
	}
	close(gate)
	wg.Wait()
}
