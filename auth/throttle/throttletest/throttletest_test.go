// SPDX-License-Identifier: Apache-2.0

package throttletest_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/auth/throttle/throttletest"
	"github.com/stretchr/testify/require"
)

// faults are mistakes that a store can make, and the subtest that must find each.
var faults = map[string]string{
	"lets others in between":       "concurrent attempts are decided one after the other",
	"counts in one lane only":      "an attempt counts in all lanes",
	"decides lanes apart":          "a refused attempt changes nothing",
	"counts refused attempts":      "a refused attempt changes nothing",
	"writes its own time":          "a slow clock opens no lane early",
	"keeps whole seconds":          "counters are written as Decide gives them",
	"forgets since":                "counters are written as Decide gives them",
	"removes what is given back":   "an attempt given back is counted no more",
	"gives back to the removed":    "a key without a counter is passed over",
	"falls below zero":             "no counter falls below zero",
	"settling moves times":         "giving back leaves times as they are",
	"resets one lane":              "reset removes all lanes of the account and no others",
	"resets all":                   "reset removes all lanes of the account and no others",
	"prunes all kinds":             "prune removes old counters of its kind that are below",
	"prunes closed lanes":          "prune removes old counters of its kind that are below",
	"ignores the context":          "an act under an ended context does nothing",
	"refuses everything":           "a lane without a counter has the zero Counter",
	"knows three kinds":            "prune knows every kind",
	"reads times before the count": "clocks that differ by minutes open no lane early in a race",
	"settles what it read":         "concurrent settling loses no count",
}

const faultVariable = "PORTALSEC_THROTTLETEST_FAULT"

// TestFaultyStore is run by TestKitFindsFaults, in a process of its own because it must fail there. By itself it
// shows that the store of this file without a fault passes.
func TestFaultyStore(t *testing.T) {
	throttletest.Run(t, func(*testing.T) throttle.Store {
		return &faulty{fault: os.Getenv(faultVariable), rows: make(map[throttle.Key]row)}
	})
}

func TestKitFindsFaults(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		finder := faults[fault]
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFaultyStore$/^"+underscored(finder)+"$", "-test.count=1", "-test.short")
			cmd.Env = append(os.Environ(), faultVariable+"="+fault)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "the kit passes a store that %s", fault)
			name := "TestFaultyStore/" + underscored(finder)
			require.Contains(t, string(out), "--- FAIL: "+name)
		})
	}
}

// underscored gives the name that package testing makes of a subtest's.
func underscored(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == ' ' {
			b[i] = '_'
		}
	}
	return string(b)
}

type row struct {
	lane    throttle.Lane
	counter throttle.Counter
}

// faulty is a store with one fault, or with none.
type faulty struct {
	fault string
	mu    sync.Mutex
	rows  map[throttle.Key]row
}

func (s *faulty) enter(ctx context.Context) (leave func(), err error) {
	s.mu.Lock()
	if s.fault == "ignores the context" {
		return s.mu.Unlock, nil
	}
	return s.mu.Unlock, ctx.Err()
}

func (s *faulty) TakeAttempt(ctx context.Context, lanes []throttle.Lane, now time.Time) (throttle.Decision, error) {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return throttle.Decision{}, err
	}
	if s.fault == "refuses everything" {
		return throttle.Decision{RetryAfter: time.Hour, By: throttle.KindAccount, Closed: true}, nil
	}
	if s.fault == "decides lanes apart" {
		worst := throttle.Decision{Allowed: true}
		for _, l := range lanes {
			if d := s.take([]throttle.Lane{l}, now); !d.Allowed {
				worst = d
			}
		}
		return worst, nil
	}
	return s.take(lanes, now), nil
}

func (s *faulty) take(lanes []throttle.Lane, now time.Time) throttle.Decision {
	have := make([]throttle.Counter, len(lanes))
	for i, l := range lanes {
		have[i] = s.rows[l.Key].counter
	}
	if s.fault == "lets others in between" {
		s.mu.Unlock()
		time.Sleep(time.Millisecond) // a round trip to a server: the window of the race
		s.mu.Lock()
	}
	if s.fault == "reads times before the count" {
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
		s.mu.Lock()
		for i, l := range lanes {
			have[i].Failures = s.rows[l.Key].counter.Failures
		}
	}
	d, next := throttle.Decide(lanes, have, now)
	if s.fault == "counts refused attempts" && next == nil {
		for i := range have {
			have[i].Failures++
		}
		next = have
	}
	for i, c := range next {
		switch {
		case s.fault == "counts in one lane only" && i > 0:
			continue
		case s.fault == "writes its own time":
			c.Last = now
		case s.fault == "keeps whole seconds":
			c.Since, c.Last = c.Since.Truncate(time.Second), c.Last.Truncate(time.Second)
		case s.fault == "forgets since":
			c.Since = c.Last
		}
		s.rows[lanes[i].Key] = row{lanes[i], c}
	}
	return d
}

func (s *faulty) SettleAttempt(ctx context.Context, remove, giveBack []throttle.Key) error {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return err
	}
	if s.fault == "removes what is given back" {
		remove = slices.Concat(remove, giveBack)
	}
	for _, k := range remove {
		delete(s.rows, k)
	}
	for _, k := range giveBack {
		r, ok := s.rows[k]
		if s.fault == "gives back to the removed" && !ok {
			s.rows[k] = row{counter: throttle.Counter{Failures: 1}}
			continue
		}
		if !ok || r.counter.Failures == 0 && s.fault != "falls below zero" {
			continue
		}
		if s.fault == "settles what it read" {
			s.mu.Unlock()
			time.Sleep(time.Millisecond)
			s.mu.Lock()
		}
		r.counter.Failures--
		if s.fault == "settling moves times" {
			r.counter.Last = r.counter.Since
		}
		s.rows[k] = r
	}
	return nil
}

func (s *faulty) ResetAccount(ctx context.Context, account throttle.Key) error {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return err
	}
	maps.DeleteFunc(s.rows, func(k throttle.Key, r row) bool {
		switch s.fault {
		case "resets all":
			return true
		case "resets one lane":
			return k == account
		default:
			return r.lane.Account == account
		}
	})
	return nil
}

func (s *faulty) PruneAttempts(ctx context.Context, kind throttle.Kind, before time.Time, below int) (int64, error) {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return 0, err
	}
	n := len(s.rows)
	maps.DeleteFunc(s.rows, func(_ throttle.Key, r row) bool {
		if s.fault == "knows three kinds" && (r.lane.Kind == throttle.KindMail || r.lane.Kind == throttle.KindMailAddress) {
			return false
		}
		return (r.lane.Kind == kind || s.fault == "prunes all kinds") &&
			r.counter.Last.Before(before) &&
			(r.counter.Failures < below || s.fault == "prunes closed lanes")
	})
	return int64(n - len(s.rows)), nil
}
