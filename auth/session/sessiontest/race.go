// SPDX-License-Identifier: Apache-2.0

package sessiontest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth/session"
)

const (
	// rivals is how many goroutines race for one rotation.
	rivals = 1000
	// logouts is how many sessions end while they are used, as far as budget suffices, and on how many browsers at once.
	logouts, browsers = 10_000, 16
	// budget bounds the time of the logouts of one subtest of Run. A store in memory is through long before.
	budget = 2 * time.Second
	// shorter is by how much each of these is divided with go test -short.
	shorter = 20
)

// scaled gives n, or less of it with go test -short.
func scaled(n int) int {
	if testing.Short() {
		return max(1, n/shorter)
	}
	return n
}

// raceEnd ends sessions while acts of other requests are under way, each given the session and the number of its round,
// and none may be there afterwards.
func raceEnd(t *testing.T, s store, acts ...func(r session.Record, i int) error) {
	var round atomic.Int64
	until := time.Now().Add(s.budget)
	var wg sync.WaitGroup
	for b := range browsers {
		user := fmt.Sprint("ann", b)
		wg.Go(func() {
			version, err := s.UserVersion(t.Context(), "acme", user)
			if err != nil {
				t.Error(err)
				return
			}
			for !t.Failed() && time.Now().Before(until) {
				i := int(round.Add(1))
				if i > scaled(logouts) {
					return
				}
				s.raceEndOnce(record("acme", user, "s"+strconv.Itoa(i)), version, i, acts)
			}
		})
	}
	wg.Wait()
	for b := range browsers {
		s.want("acme", fmt.Sprint("ann", b))
	}
	t.Logf("%d sessions ended in the midst of requests", min(int(round.Load()), scaled(logouts)))
}

func (s store) raceEndOnce(r session.Record, version int64, i int, acts []func(session.Record, int) error) {
	if err := s.CreateSession(s.t.Context(), r, version); err != nil {
		s.t.Errorf("CreateSession: %v", err)
		return
	}
	all := []func() error{func() error {
		ok, err := s.DeleteSession(s.t.Context(), r.Tenant, r.User, r.ID)
		if err == nil && !ok {
			err = errors.New("DeleteSession = false, want true")
		}
		return err
	}}
	for _, act := range acts {
		all = append(all, func() error {
			if err := act(r, i); !errors.Is(err, session.ErrNoSession) {
				return err
			}
			return nil
		})
	}
	race(s.t, all...)
	s.wantDead(r.Token)
}

func (s store) use(r session.Record) error {
	_, err := s.TouchSession(s.t.Context(), r.Token, session.Touch{
		Now: start, AliveAfter: start.Add(-time.Hour), WriteBefore: start.Add(time.Hour),
	})
	return err
}

func raceTouch(t *testing.T, s store) {
	use := func(r session.Record, _ int) error { return s.use(r) }
	raceEnd(t, s, use, use)
}

func raceDataDelete(t *testing.T, s store) {
	raceEnd(t, s, func(r session.Record, _ int) error {
		_, err := s.SetSessionData(t.Context(), r.Token, r.Data, []byte("new"))
		return err
	})
}

func raceRotateDelete(t *testing.T, s store) {
	raceEnd(t, s, func(r session.Record, i int) error {
		next := r
		next.Token = token(fmt.Sprint("next", i))
		return s.RotateSession(t.Context(), r.Token, next)
	})
	for i := range 100 {
		s.wantDead(token(fmt.Sprint("next", i)))
	}
}

// raceRotateBump ends all sessions of a user while one of them gets a new token.
func raceRotateBump(t *testing.T, s store) {
	for i := range max(30, scaled(200)) {
		r := s.create(record("acme", "ann", fmt.Sprint("s", i)))
		next := r
		next.Token = token(fmt.Sprint("next", i))
		acts := []func() error{func() error {
			if n, err := s.BumpUser(t.Context(), "acme", "ann", ""); n != 1 || err != nil {
				return fmt.Errorf("BumpUser = %d, %v, want 1", n, err)
			}
			return nil
		}, func() error {
			if err := s.RotateSession(t.Context(), r.Token, next); !errors.Is(err, session.ErrNoSession) {
				return err
			}
			return nil
		}}
		if i%2 == 1 {
			slices.Reverse(acts) // a scheduler often runs the last first
		}
		race(t, acts...)
		s.wantDead(r.Token)
		s.wantDead(next.Token)
	}
	s.want("acme", "ann")
}

// raceRotateList lists a user's sessions while one of them gets one new token after the other.
func raceRotateList(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	s.create(record("acme", "ann", "b"))
	rotated := make(chan struct{})
	rotate := func() error {
		defer close(rotated)
		for i := range scaled(100) {
			next := r
			next.Token = token(fmt.Sprint("next", i))
			if err := s.RotateSession(t.Context(), r.Token, next); err != nil {
				return err
			}
			r = next
		}
		return nil
	}
	list := func() error {
		for {
			select {
			case <-rotated:
				return nil
			default:
			}
			records, err := s.ListSessions(t.Context(), "acme", "ann")
			if err != nil {
				return err
			}
			if len(records) != 2 || records[0].ID == records[1].ID {
				return fmt.Errorf("%d sessions are listed, want 2", len(records))
			}
		}
	}
	race(t, rotate, list)
}

func raceRotate(t *testing.T, s store) {
	n := scaled(rivals)
	r := s.create(record("acme", "ann", "a"))
	rival := func(j int) session.Hash { return token(fmt.Sprint("rival", j)) }
	var won atomic.Int32
	var acts []func() error
	for j := range n {
		acts = append(acts, func() error {
			next := r
			next.Token = rival(j)
			err := s.RotateSession(t.Context(), r.Token, next)
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, session.ErrNoSession):
				return err
			}
			return nil
		})
	}
	race(t, acts...)
	if won.Load() != 1 {
		t.Errorf("%d of %d rotations of one token succeeded, want 1", won.Load(), n)
	}
	live := 0
	for j := range n {
		if _, err := s.TouchSession(t.Context(), rival(j), alive()); err == nil {
			live++
		}
	}
	if live != 1 {
		t.Errorf("%d tokens are good after the race, want 1", live)
	}
	s.wantDead(r.Token)
	s.want("acme", "ann", "a")
}

// skew has processes use one session whose clocks differ by minutes.
func skew(t *testing.T, s store) {
	fast := start.Add(7 * time.Minute)
	touch := func(r session.Record, now time.Time) (session.Record, error) {
		return s.TouchSession(t.Context(), r.Token, session.Touch{
			Now: now, AliveAfter: now.Add(-time.Hour), WriteBefore: now.Add(-time.Millisecond),
		})
	}
	until := time.Now().Add(budget / 2)
	for i := range max(10, scaled(5000)) {
		if i >= 10 && time.Now().After(until) {
			break
		}
		r := s.create(record("acme", "bob", fmt.Sprint("s", i)))
		var acts []func() error
		for _, clock := range []time.Time{start, fast, start.Add(-5 * time.Minute), start.Add(3 * time.Minute)} {
			acts = append(acts, func() error {
				last := r.LastSeen
				for range 2 {
					got, err := touch(r, clock)
					if err != nil {
						return err
					}
					if got.LastSeen.Before(last) {
						return fmt.Errorf("LastSeen went back from %v to %v", last, got.LastSeen)
					}
					last = got.LastSeen
				}
				return nil
			})
		}
		race(t, acts...)
		if got := s.wantAlive(r.Token); !got.LastSeen.Equal(fast) {
			t.Fatalf("LastSeen is %v, want that of the fastest clock, %v", got.LastSeen, fast)
		}
	}
	if _, err := s.BumpUser(t.Context(), "acme", "bob", ""); err != nil {
		t.Fatal(err)
	}

	// What is over by the fast clock and was pruned does not live on by the slow one.
	r := s.create(record("acme", "ann", "a"))
	over := r.Expires.Add(time.Minute)
	if _, err := touch(r, over); !errors.Is(err, session.ErrNoSession) {
		t.Errorf("TouchSession past the end: %v, want ErrNoSession", err)
	}
	if n, err := s.PruneSessions(t.Context(), over, start.Add(-time.Hour)); n != 1 || err != nil {
		t.Errorf("PruneSessions = %d, %v, want 1", n, err)
	}
	if _, err := touch(r, start); !errors.Is(err, session.ErrNoSession) {
		t.Errorf("TouchSession of a pruned session by a slow clock: %v, want ErrNoSession", err)
	}
	s.want("acme", "ann")
}

// raceData counts in a session's data from several requests, while it is used.
func raceData(t *testing.T, s store) {
	r := record("acme", "ann", "a")
	r.Data = nil
	s.create(r)
	const requests = 8
	each := max(5, scaled(40))
	count := func() error {
		for range each {
			for won := false; !won; {
				got, err := s.TouchSession(t.Context(), r.Token, alive())
				if err != nil {
					return err
				}
				n, _ := strconv.Atoi(string(got.Data))
				if won, err = s.SetSessionData(t.Context(), r.Token, got.Data, []byte(strconv.Itoa(n+1))); err != nil {
					return err
				}
			}
		}
		return nil
	}
	seen := func() error {
		for i := range each {
			now := start.Add(time.Duration(i) * time.Second)
			if _, err := s.TouchSession(t.Context(), r.Token, session.Touch{Now: now, WriteBefore: now}); err != nil {
				return err
			}
		}
		return nil
	}
	acts := []func() error{seen}
	for range requests {
		acts = append(acts, count)
	}
	race(t, acts...)
	if got := string(s.wantAlive(r.Token).Data); got != strconv.Itoa(requests*each) {
		t.Errorf("counted to %s, want %d", got, requests*each)
	}
}

// raceBump starts sessions with a version that was read before all sessions of the user are ended.
func raceBump(t *testing.T, s store) {
	const logins = 8
	for i := range 30 {
		v := s.version("acme", "ann")
		acts := []func() error{func() error { _, err := s.BumpUser(t.Context(), "acme", "ann", ""); return err }}
		for j := range logins {
			acts = append(acts, func() error {
				err := s.CreateSession(t.Context(), record("acme", "ann", fmt.Sprint(i, "/", j)), v)
				if errors.Is(err, session.ErrNoSession) {
					return nil
				}
				return err
			})
		}
		if i%2 == 1 {
			slices.Reverse(acts)
		}
		race(t, acts...)
		s.want("acme", "ann")
	}
}

// raceBumps has several administrators end a user's sessions at once: no version may serve two of them.
func raceBumps(t *testing.T, s store) {
	const admins = 16
	seen := make([]int64, admins)
	before := s.version("acme", "ann")
	var acts []func() error
	for i := range admins {
		acts = append(acts, func() (err error) {
			if _, err = s.BumpUser(t.Context(), "acme", "ann", ""); err == nil {
				seen[i], err = s.UserVersion(t.Context(), "acme", "ann")
			}
			return err
		})
	}
	race(t, acts...)
	after := s.version("acme", "ann")
	for _, v := range seen {
		if v <= before || v > after {
			t.Errorf("version after a bump = %d, want more than %d and at most %d", v, before, after)
		}
	}
	if after < before+admins {
		t.Errorf("version = %d after %d bumps of %d, want each to raise it", after, admins, before)
	}
}

// race runs acts at once and fails the test on an error of any.
func race(t *testing.T, acts ...func() error) {
	t.Helper()
	var wg sync.WaitGroup
	ready := make(chan struct{})
	for _, act := range acts {
		wg.Go(func() {
			<-ready
			if err := act(); err != nil {
				t.Error(err)
			}
		})
	}
	close(ready)
	wg.Wait()
}
