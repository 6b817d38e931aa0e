// SPDX-License-Identifier: Apache-2.0

package authtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth"
)

// RunPending tests a store of pending logins. newStore gives an empty one; it is called once for each subtest.
func RunPending(t *testing.T, newStore func(t *testing.T) auth.PendingStore) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s pendings)
	}{
		{"a created pending login is found whole, also when it is over", pendingRoundTrip},
		{"an unknown token gives ErrNoPending", pendingUnknown},
		{"a pending login is consumed once", consume},
		{"of concurrent consumers exactly one wins", raceConsume},
		{"prune removes what is over", prunePending},
		{"an act under an ended context does nothing", pendingEnded},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, pendings{newStore(t), t})
		})
	}
}

// pendings calls an auth.PendingStore and fails the test on an error.
type pendings struct {
	auth.PendingStore
	t *testing.T
}

func (s pendings) create(p auth.PendingRecord) auth.PendingRecord {
	s.t.Helper()
	if err := s.CreatePending(s.t.Context(), p); err != nil {
		s.t.Fatalf("CreatePending: %v", err)
	}
	return p
}

func (s pendings) want(want auth.PendingRecord) {
	s.t.Helper()
	if got, err := s.Pending(s.t.Context(), want.Token); err != nil || got != want {
		s.t.Errorf("Pending = %+v, %v, want %+v", got, err, want)
	}
}

func (s pendings) wantNone(token auth.TokenHash) {
	s.t.Helper()
	if got, err := s.Pending(s.t.Context(), token); !errors.Is(err, auth.ErrNoPending) {
		s.t.Errorf("Pending = %+v, %v, want ErrNoPending", got, err)
	}
}

func pending(name string) auth.PendingRecord {
	return auth.PendingRecord{
		Token: sha256.Sum256([]byte(name)), Account: "account of " + name, Version: 3, Next: auth.NextTOTP,
		Proven: start, Expires: start.Add(10 * time.Minute),
	}
}

func pendingRoundTrip(t *testing.T, s pendings) {
	a, b := pending("a"), pending("b")
	b.Next, b.Expires = auth.NextEnrol, start.Add(-24*365*time.Hour)
	s.create(a)
	s.create(b)
	s.want(a)
	s.want(b)
	s.want(a)
}

func pendingUnknown(t *testing.T, s pendings) {
	a := s.create(pending("a"))
	for _, token := range []auth.TokenHash{{}, pending("b").Token} {
		s.wantNone(token)
		if won, err := s.ConsumePending(t.Context(), token); won || err != nil {
			t.Errorf("ConsumePending of an unknown token = %v, %v, want false", won, err)
		}
	}
	s.want(a)
}

func consume(t *testing.T, s pendings) {
	a, b := s.create(pending("a")), s.create(pending("b"))
	for i, want := range []bool{true, false, false} {
		if won, err := s.ConsumePending(t.Context(), a.Token); won != want || err != nil {
			t.Errorf("ConsumePending number %d = %v, %v, want %v", i+1, won, err, want)
		}
		s.wantNone(a.Token)
	}
	s.want(b)
}

func raceConsume(t *testing.T, s pendings) {
	for i := range 50 {
		a := s.create(pending(fmt.Sprint(i)))
		won := race(t, func(int) (bool, error) { return s.ConsumePending(t.Context(), a.Token) })
		if won != 1 {
			t.Errorf("%d consumers won, want 1", won)
		}
		s.wantNone(a.Token)
	}
}

func prunePending(t *testing.T, s pendings) {
	now := start.Add(10 * time.Minute)
	live, at, over := pending("live"), pending("at"), pending("over")
	live.Expires, over.Expires = now.Add(time.Microsecond), now.Add(-time.Microsecond)
	s.create(live)
	s.create(at)
	s.create(over)
	if n, err := s.PrunePending(t.Context(), now); n != 1 || err != nil {
		t.Errorf("PrunePending = %d, %v, want 1", n, err)
	}
	s.want(live)
	s.want(at)
	s.wantNone(over.Token)
}

func pendingEnded(t *testing.T, s pendings) {
	a := s.create(pending("a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, act := range map[string]func() error{
		"CreatePending":  func() error { return s.CreatePending(ctx, pending("b")) },
		"Pending":        func() error { _, err := s.Pending(ctx, a.Token); return err },
		"ConsumePending": func() error { _, err := s.ConsumePending(ctx, a.Token); return err },
		"PrunePending":   func() error { _, err := s.PrunePending(ctx, start.Add(24*time.Hour)); return err },
	} {
		if err := act(); err == nil || errors.Is(err, auth.ErrNoPending) {
			t.Errorf("%s under an ended context: %v, want its error", name, err)
		}
	}
	s.want(a)
	s.wantNone(pending("b").Token)
}
