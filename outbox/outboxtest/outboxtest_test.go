// SPDX-License-Identifier: Apache-2.0

package outboxtest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/outbox"
	"github.com/portalsec/portalsec/outbox/outboxtest"
	"github.com/stretchr/testify/require"
)

// faults are mistakes that a store can make, and the subtest that must find each.
var faults = map[string]string{
	"claims without a lock":      "of concurrent claims each letter goes to one",
	"forgets leases":             "a leased letter is not claimed",
	"keeps leases for ever":      "a letter whose lease is over is claimed again",
	"counts no tries":            "an added letter is claimed whole",
	"claims before due":          "a letter is not claimed before it is due",
	"claims the latest":          "letters are claimed earliest due first, or near it",
	"finishes for anybody":       "finish does nothing under another lease",
	"finishes nothing":           "finish removes the letter",
	"finishes in time only":      "finish works after the lease's end while nobody has claimed the letter since",
	"returns for anybody":        "return does nothing under another lease",
	"return keeps the lease":     "return ends the lease and writes what it is given",
	"loses why it failed":        "return ends the lease and writes what it is given",
	"claims the failed":          "a failed letter is not claimed",
	"revives the leased":         "revive leaves a leased letter alone",
	"revives nothing":            "revive makes a letter due as a new one",
	"drops the leased":           "drop removes a letter that is not leased",
	"lists the oldest":           "failed letters are listed latest first, at most limit, without Sealed",
	"counts the failed as waits": "count counts waiting, retrying and failed",
	"prunes those that wait":     "prune removes the letters that failed before",
	"keeps whole seconds":        "an added letter is claimed whole",
	"shares slices":              "slices are not shared with the caller",
	"ignores the context":        "an act under an ended context does nothing",
}

const faultVariable = "PORTALSEC_OUTBOXTEST_FAULT"

// TestFaultyStore is run by TestKitFindsFaults, in a process of its own because it must fail there. By itself it
// shows that the store of this file without a fault passes.
func TestFaultyStore(t *testing.T) {
	outboxtest.Run(t, func(*testing.T) outbox.Store {
		return &faulty{Memory: outbox.NewMemory(), fault: os.Getenv(faultVariable), leases: map[string]lease{}, given: map[string][]byte{}}
	})
}

func TestKitFindsFaults(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	for fault, finder := range faults {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFaultyStore$", "-test.count=1")
			cmd.Env = append(os.Environ(), faultVariable+"="+fault)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "the kit passes a store that %s", fault)
			require.Contains(t, string(out), "--- FAIL: TestFaultyStore/"+strings.ReplaceAll(finder, " ", "_"))
		})
	}
}

type lease struct {
	name  string
	until time.Time
}

// faulty is the store in memory with one fault, or with none.
type faulty struct {
	*outbox.Memory
	fault  string
	mu     sync.Mutex
	leases map[string]lease // by letter
	given  map[string][]byte
}

func (s *faulty) is(fault string) bool { return s.fault == fault }

// lease gives the lease of a letter.
func (s *faulty) lease(id string) lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leases[id]
}

func (s *faulty) context(ctx context.Context) context.Context {
	if s.is("ignores the context") {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

func (s *faulty) AddLetter(ctx context.Context, r outbox.Record) error {
	if s.is("keeps whole seconds") {
		r.Created = r.Created.Truncate(time.Second)
	}
	s.mu.Lock()
	s.given[r.ID] = r.Sealed
	s.mu.Unlock()
	return s.Memory.AddLetter(s.context(ctx), r)
}

func (s *faulty) ClaimLetter(ctx context.Context, name string, now, until time.Time) (outbox.Record, bool, error) {
	given, at := until, now
	switch s.fault {
	case "claims without a lock":
		// Two steps instead of one: who comes in between finds the letter free.
		r, ok, err := s.Memory.ClaimLetter(ctx, name, now, now)
		if !ok || err != nil {
			return r, ok, err
		}
		time.Sleep(time.Millisecond) // a round trip to a server: the window of the race
		again, ok, err := s.Memory.ClaimLetter(ctx, name, now, until)
		again.Tries = 1
		if !ok {
			r.Tries, again = 1, r
		}
		return again, true, err
	case "forgets leases":
		until = now
	case "keeps leases for ever":
		until = now.Add(10_000 * time.Hour)
	case "claims before due":
		at = now.Add(time.Second)
	case "claims the failed":
		if list, _ := s.FailedLetters(ctx, 1); len(list) > 0 {
			return list[0], true, nil
		}
	case "claims the latest":
		return s.claimLatest(ctx, name, now, until)
	}
	r, ok, err := s.Memory.ClaimLetter(s.context(ctx), name, at, until)
	if ok {
		s.mu.Lock()
		s.leases[r.ID] = lease{name, given}
		if s.is("shares slices") {
			r.Sealed = s.given[r.ID]
		}
		s.mu.Unlock()
	}
	if s.is("counts no tries") {
		r.Tries = 0
	}
	return r, ok, err
}

// claimLatest claims all that is due and gives all back but the letter that is due last.
func (s *faulty) claimLatest(ctx context.Context, name string, now, until time.Time) (last outbox.Record, ok bool, err error) {
	for {
		r, more, err := s.Memory.ClaimLetter(ctx, name, now, until)
		if err != nil || !more {
			return last, ok, err
		}
		if ok {
			_, err = s.Memory.ReturnLetter(ctx, last.ID, name, outbox.Return{Due: last.Due, Tried: last.Tried, Reason: last.Reason, Failed: now})
			if err == nil {
				defer s.Memory.ReviveLetter(ctx, last.ID, last.Due, last.Expires)
			}
		}
		last, ok = r, true
	}
}

func (s *faulty) FinishLetter(ctx context.Context, id, name string) (bool, error) {
	switch l := s.lease(id); {
	case s.is("finishes for anybody") && l.name != "":
		name = l.name
	case s.is("finishes nothing"):
		return true, nil
	case s.is("finishes in time only") && l.name == name:
		return false, nil
	}
	return s.Memory.FinishLetter(s.context(ctx), id, name)
}

func (s *faulty) ReturnLetter(ctx context.Context, id, name string, ret outbox.Return) (bool, error) {
	l := s.lease(id)
	switch {
	case s.is("returns for anybody") && l.name != "":
		name = l.name
	case s.is("loses why it failed"):
		ret.Reason = ""
	case s.is("return keeps the lease"):
		return true, nil
	}
	return s.Memory.ReturnLetter(s.context(ctx), id, name, ret)
}

func (s *faulty) ReviveLetter(ctx context.Context, id string, now, expires time.Time) (bool, error) {
	switch l := s.lease(id); {
	case s.is("revives the leased") && l.until.After(now):
		return s.Memory.ReviveLetter(ctx, id, l.until, expires)
	case s.is("revives nothing") && l.name != "":
		return true, nil
	}
	return s.Memory.ReviveLetter(s.context(ctx), id, now, expires)
}

func (s *faulty) DropLetter(ctx context.Context, id string, now time.Time) (bool, error) {
	if l := s.lease(id); s.is("drops the leased") && l.until.After(now) {
		now = l.until
	}
	return s.Memory.DropLetter(s.context(ctx), id, now)
}

func (s *faulty) FailedLetters(ctx context.Context, limit int) ([]outbox.Record, error) {
	list, err := s.Memory.FailedLetters(s.context(ctx), 100)
	if s.is("lists the oldest") {
		for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
			list[i], list[j] = list[j], list[i]
		}
	}
	return list[:min(limit, len(list)):len(list)], err
}

func (s *faulty) CountLetters(ctx context.Context) (outbox.Counts, error) {
	c, err := s.Memory.CountLetters(s.context(ctx))
	if s.is("counts the failed as waits") {
		c.Waiting += c.Failed
	}
	return c, err
}

func (s *faulty) PruneLetters(ctx context.Context, before time.Time) (int64, error) {
	if s.is("prunes those that wait") {
		if _, err := s.Memory.DropLetter(ctx, "waits", before.Add(1000*time.Hour)); err != nil {
			return 0, err
		}
	}
	return s.Memory.PruneLetters(s.context(ctx), before)
}
