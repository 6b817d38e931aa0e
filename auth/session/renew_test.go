// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/stretchr/testify/require"
)

func TestRestamp(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	w, r := httptest.NewRecorder(), b.request()
	id := f.identity("ann")
	id.Stamp = "clerk"
	s, err := f.Start(r.Context(), w, r, id)
	require.NoError(t, err)
	require.Equal(t, "clerk", s.Stamp)
	b.take(w)
	require.Equal(t, s, strip(b.wantAlive(), s))
	old := b.request()

	w = httptest.NewRecorder()
	got, err := f.Restamp(t.Context(), w, b.request(), "clerk, admin")
	require.NoError(t, err)
	b.take(w)
	require.Equal(t, "clerk, admin", got.Stamp)
	require.Equal(t, s.ID, got.ID)
	require.Equal(t, s.Factors, got.Factors, "a role proves nothing")
	require.Equal(t, s.AuthTime, got.AuthTime)
	require.Equal(t, s.Expires, got.Expires)
	require.Equal(t, got, b.wantAlive())
	_, err = f.Load(old)
	require.Equal(t, session.ErrNoSession, err, "the old token is dead")
	w = httptest.NewRecorder()
	_, err = f.Restamp(t.Context(), w, old, "admin")
	require.Equal(t, session.ErrNoSession, err)
	require.Empty(t, w.Header(), "the cookie of the winner stays")

	w = httptest.NewRecorder()
	_, err = f.Rotate(t.Context(), w, b.request())
	require.NoError(t, err)
	b.take(w)
	require.Equal(t, "clerk, admin", b.wantAlive().Stamp, "a rotation keeps the stamp")

	_, err = f.Restamp(t.Context(), httptest.NewRecorder(), b.request(), strings.Repeat("s", 65))
	require.ErrorContains(t, err, "at most 64")
	require.Equal(t, "clerk, admin", b.wantAlive().Stamp)
}

// strip gives s with what only Start tells, as in like.
func strip(s, like session.Session) session.Session {
	s.Device, s.Addr, s.Country = like.Device, like.Addr, like.Country
	return s
}

func TestRestampHasOneWinner(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	b.start("ann")
	r := b.request()
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			w := httptest.NewRecorder()
			switch _, err := f.Restamp(t.Context(), w, r, "admin"); err {
			case nil:
				won.Add(1)
			case session.ErrNoSession:
				if len(w.Header()) > 0 {
					t.Error("a loser has set a cookie")
				}
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, won.Load())
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	start := func(lifetime time.Duration) (session.Session, *browser, error) {
		b := f.browser()
		w, r := httptest.NewRecorder(), b.request()
		id := f.identity("ann")
		id.Lifetime = lifetime
		s, err := f.Start(r.Context(), w, r, id)
		b.take(w)
		return s, b, err
	}
	s, b, err := start(30 * time.Minute)
	require.NoError(t, err)
	require.Equal(t, 30*time.Minute, s.Expires.Sub(s.Created))
	f.wait(30*time.Minute - time.Microsecond)
	b.wantAlive()
	f.wait(time.Microsecond)
	b.wantDead()

	s, _, err = start(1000 * time.Hour)
	require.NoError(t, err)
	require.Equal(t, 24*time.Hour, s.Expires.Sub(s.Created), "never more than the manager's")

	_, _, err = start(-time.Second)
	require.ErrorContains(t, err, "Identity.Lifetime is negative")
}

func TestMaxSessions(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(c *session.Config) { c.MaxSessions = 3 })
	var browsers []*browser
	for range 3 {
		b := f.browser()
		b.start("ann")
		f.wait(2 * time.Minute)
		browsers = append(browsers, b)
	}
	other := f.browser()
	other.start("bob")
	staff := f.browser()
	w, r := httptest.NewRecorder(), staff.request()
	id := f.identity("ann")
	id.Impersonator = "sue"
	_, err := f.Start(r.Context(), w, r, id)
	require.NoError(t, err)
	staff.take(w)
	// The one in the middle is used least recently, and was not started first.
	browsers[0].wantAlive()
	browsers[2].wantAlive()
	f.wait(2 * time.Minute)

	f.events = nil
	fourth := f.browser()
	s := fourth.start("ann")
	browsers[1].wantDead()
	for _, b := range []*browser{browsers[0], browsers[2], fourth, other, staff} {
		b.wantAlive()
	}
	require.Equal(t, []audit.Kind{audit.AuthSessionRevoked, audit.AuthSessionStarted}, f.kinds())
	e := f.events[0]
	require.Equal(t, "too-many-sessions", e.Reason)
	require.Equal(t, audit.Pseudonym("ann"), e.Actor)
	require.Equal(t, audit.Pseudonym(s.ID), e.Session)
	require.Equal(t, "session", e.Target.Type)
	require.NotEqual(t, s.ID, e.Target.ID)

	// Signing in again on one browser replaces its session and costs nobody theirs.
	fourth.start("ann")
	browsers[0].wantAlive()
	browsers[2].wantAlive()
}

func TestMaxSessionsOfProfile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		profile portalsec.Profile
		max     int
		want    int
	}{
		{portalsec.L1, 0, 20}, {portalsec.L2, 0, 10}, {portalsec.L3, 0, 3},
		{portalsec.L3, -1, 20}, {portalsec.L1, 1, 1}, {portalsec.L3, 5, 5},
	} {
		f := setUp(t, func(cfg *session.Config) { cfg.Profile, cfg.MaxSessions = c.profile, c.max })
		for range 20 {
			f.wait(time.Second)
			f.browser().start("ann")
		}
		list, err := f.List(t.Context(), "acme", "ann")
		require.NoError(t, err)
		require.Len(t, list, c.want, "%v, %d", c.profile, c.max)
	}
}

// TestMaxSessionsFailure: a login that cannot end what is too many does not take place.
func TestMaxSessionsFailure(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(c *session.Config) { c.MaxSessions = 1 })
	first := f.browser()
	first.start("ann")
	f.full = true // no session ends that the log does not know of
	b := f.browser()
	w, r := httptest.NewRecorder(), b.request()
	_, err := f.Start(r.Context(), w, r, f.identity("ann"))
	require.ErrorIs(t, err, errBroken)
	require.Empty(t, w.Header())
	first.wantAlive()
	list, err := f.List(t.Context(), "acme", "ann")
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// TestMaxSessionsRace: whoever signs in last sees all sessions, so the limit holds at the end.
func TestMaxSessionsRace(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(c *session.Config) { c.MaxSessions = 3 })
	var wg sync.WaitGroup
	for range 50 {
		r := f.browser().request()
		wg.Go(func() {
			if _, err := f.Start(context.Background(), httptest.NewRecorder(), r, f.identity("ann")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := f.List(t.Context(), "acme", "ann")
	require.NoError(t, err)
	require.LessOrEqual(t, len(list), 3)
}

// TestLoadAllocates holds what the package's speed rests on: nothing but the factors, which callers may change.
func TestLoadAllocates(t *testing.T) {
	f := setUp(t, nil)
	b := f.browser()
	b.start("ann")
	r := b.request()
	got := testing.AllocsPerRun(100, func() {
		if _, err := f.Load(r); err != nil {
			t.Error(err)
		}
	})
	require.LessOrEqual(t, got, 2.0)
}
