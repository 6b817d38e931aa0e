// SPDX-License-Identifier: Apache-2.0

package authtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth"
)

// RunOneTime tests a store of one-time tokens. newStore gives an empty one; it is called once for each subtest.
func RunOneTime(t *testing.T, newStore func(t *testing.T) auth.OneTimeStore) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s tokens)
	}{
		{"a created token is found whole, also when it is over", oneTimeRoundTrip},
		{"an unknown token gives ErrNoToken", oneTimeUnknown},
		{"a token of another purpose is unknown", oneTimePurpose},
		{"a token is consumed once", consume},
		{"of concurrent consumers exactly one wins", raceConsume},
		{"revoke removes the tokens of an account that have one of the purposes", revoke},
		{"a revoked token is consumed by nobody", raceRevoke},
		{"prune removes what is over", pruneOneTime},
		{"slices are not shared with the caller", oneTimeNotShared},
		{"an act under an ended context does nothing", oneTimeEnded},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, tokens{newStore(t), t})
		})
	}
}

// tokens calls an auth.OneTimeStore and fails the test on an error.
type tokens struct {
	auth.OneTimeStore
	t *testing.T
}

func (s tokens) create(r auth.OneTimeRecord) auth.OneTimeRecord {
	s.t.Helper()
	if err := s.CreateOneTime(s.t.Context(), r); err != nil {
		s.t.Fatalf("CreateOneTime: %v", err)
	}
	return r
}

func (s tokens) want(want auth.OneTimeRecord) {
	s.t.Helper()
	got, err := s.OneTime(s.t.Context(), want.Purpose, want.Token)
	if err != nil || !reflect.DeepEqual(got, want) {
		s.t.Errorf("OneTime = %+v, %v, want %+v", got, err, want)
	}
}

func (s tokens) wantNone(p auth.Purpose, token auth.TokenHash) {
	s.t.Helper()
	got, err := s.OneTime(s.t.Context(), p, token)
	if !errors.Is(err, auth.ErrNoToken) || !reflect.DeepEqual(got, auth.OneTimeRecord{}) {
		s.t.Errorf("OneTime = %+v, %v, want ErrNoToken", got, err)
	}
}

func oneTime(name string) auth.OneTimeRecord {
	return auth.OneTimeRecord{
		Token: sha256.Sum256([]byte(name)), Purpose: auth.PurposeReset, ID: "id of " + name, Account: "account of " + name,
		Version: 3, Data: []byte{0, 0xff, 'd'}, Created: start, Expires: start.Add(10 * time.Minute),
	}
}

func oneTimeRoundTrip(t *testing.T, s tokens) {
	a, b, c := oneTime("a"), oneTime("b"), oneTime("c")
	b.Account, b.Version, b.Data = "", 0, nil
	b.Expires = start.Add(-24 * 365 * time.Hour)
	c.Purpose, c.ID = auth.Purpose(strings.Repeat("p", 32)), strings.Repeat("i", 64)
	c.Version, c.Data = 1<<40, bytes.Repeat([]byte{0, 0xff}, 4<<10)
	for _, r := range []auth.OneTimeRecord{a, b, c} {
		s.create(r)
	}
	for _, r := range []auth.OneTimeRecord{a, b, c, a} { // reading is not consuming
		s.want(r)
	}
	got, _ := s.OneTime(t.Context(), a.Purpose, a.Token)
	if got.Created.Location() != time.UTC || got.Expires.Location() != time.UTC {
		t.Errorf("times are not in UTC: %+v", got)
	}
}

func oneTimeUnknown(t *testing.T, s tokens) {
	a := s.create(oneTime("a"))
	for _, token := range []auth.TokenHash{{}, oneTime("b").Token} {
		s.wantNone(a.Purpose, token)
		if won, err := s.ConsumeOneTime(t.Context(), a.Purpose, token); won || err != nil {
			t.Errorf("ConsumeOneTime of an unknown token = %v, %v, want false", won, err)
		}
	}
	s.want(a)
}

func oneTimePurpose(t *testing.T, s tokens) {
	a := s.create(oneTime("a"))
	for _, p := range []auth.Purpose{"", auth.PurposeLogin, "Reset", "reset ", "rese"} {
		s.wantNone(p, a.Token)
		if won, err := s.ConsumeOneTime(t.Context(), p, a.Token); won || err != nil {
			t.Errorf("ConsumeOneTime for purpose %q = %v, %v, want false", p, won, err)
		}
	}
	s.want(a)
}

func consume(t *testing.T, s tokens) {
	a, b := s.create(oneTime("a")), s.create(oneTime("b"))
	for i, want := range []bool{true, false, false} {
		if won, err := s.ConsumeOneTime(t.Context(), a.Purpose, a.Token); won != want || err != nil {
			t.Errorf("ConsumeOneTime number %d = %v, %v, want %v", i+1, won, err, want)
		}
		s.wantNone(a.Purpose, a.Token)
	}
	s.want(b)
}

func raceConsume(t *testing.T, s tokens) {
	for i := range 50 {
		n := few
		if i == 0 {
			n = many
		}
		a := s.create(oneTime(fmt.Sprint(i)))
		won := race(t, n, func(int) (bool, error) { return s.ConsumeOneTime(t.Context(), a.Purpose, a.Token) })
		if won != 1 {
			t.Errorf("%d consumers won, want 1", won)
		}
		s.wantNone(a.Purpose, a.Token)
	}
}

func revoke(t *testing.T, s tokens) {
	a, b, c, d := oneTime("a"), oneTime("b"), oneTime("c"), oneTime("d")
	b.Purpose, c.Purpose = auth.PurposeLogin, auth.PurposeEmail
	b.Account, c.Account = a.Account, a.Account
	d.Account = strings.ToUpper(a.Account)
	for _, r := range []auth.OneTimeRecord{a, b, c, d} {
		s.create(r)
	}
	for _, step := range []struct {
		account  string
		purposes []auth.Purpose
		want     int64
	}{
		{a.Account, nil, 0},
		{"", []auth.Purpose{auth.PurposeReset}, 0},
		{"unknown", []auth.Purpose{auth.PurposeReset}, 0},
		{a.Account, []auth.Purpose{auth.PurposeNotMe}, 0},
		{a.Account, []auth.Purpose{auth.PurposeReset, auth.PurposeLogin, auth.PurposeNotMe}, 2},
		{a.Account, []auth.Purpose{auth.PurposeReset, auth.PurposeLogin}, 0},
	} {
		if n, err := s.RevokeOneTime(t.Context(), step.account, step.purposes...); n != step.want || err != nil {
			t.Errorf("RevokeOneTime(%q, %q) = %d, %v, want %d", step.account, step.purposes, n, err, step.want)
		}
	}
	s.wantNone(a.Purpose, a.Token)
	s.wantNone(b.Purpose, b.Token)
	s.want(c)
	s.want(d)
}

// raceRevoke lets consumers and revokers race: a token is either consumed or revoked.
func raceRevoke(t *testing.T, s tokens) {
	for i := range 20 {
		a := s.create(oneTime(fmt.Sprint(i)))
		won := race(t, few, func(j int) (bool, error) {
			if j%2 == 0 {
				return s.ConsumeOneTime(t.Context(), a.Purpose, a.Token)
			}
			n, err := s.RevokeOneTime(t.Context(), a.Account, a.Purpose)
			return n == 1, err
		})
		if won != 1 {
			t.Errorf("%d consumed or revoked it, want 1", won)
		}
	}
}

func pruneOneTime(t *testing.T, s tokens) {
	now := start.Add(10 * time.Minute)
	live, at, over := oneTime("live"), oneTime("at"), oneTime("over")
	live.Expires, over.Expires = now.Add(time.Microsecond), now.Add(-time.Microsecond)
	over.Purpose, over.Account = auth.PurposeRegistration, ""
	s.create(live)
	s.create(at)
	s.create(over)
	if n, err := s.PruneOneTime(t.Context(), now); n != 1 || err != nil {
		t.Errorf("PruneOneTime = %d, %v, want 1", n, err)
	}
	s.want(live)
	s.want(at)
	s.wantNone(over.Purpose, over.Token)
}

func oneTimeNotShared(t *testing.T, s tokens) {
	a, given := oneTime("a"), oneTime("a")
	s.create(given)
	given.Data[0] = 1
	s.want(a)
	got, err := s.OneTime(t.Context(), a.Purpose, a.Token)
	if err != nil {
		t.Fatal(err)
	}
	got.Data[0] = 1
	s.want(a)
}

func oneTimeEnded(t *testing.T, s tokens) {
	a := s.create(oneTime("a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, act := range map[string]func() error{
		"CreateOneTime":  func() error { return s.CreateOneTime(ctx, oneTime("b")) },
		"OneTime":        func() error { _, err := s.OneTime(ctx, a.Purpose, a.Token); return err },
		"ConsumeOneTime": func() error { _, err := s.ConsumeOneTime(ctx, a.Purpose, a.Token); return err },
		"RevokeOneTime":  func() error { _, err := s.RevokeOneTime(ctx, a.Account, a.Purpose); return err },
		"PruneOneTime":   func() error { _, err := s.PruneOneTime(ctx, start.Add(24*time.Hour)); return err },
	} {
		if err := act(); err == nil || errors.Is(err, auth.ErrNoToken) {
			t.Errorf("%s under an ended context: %v, want its error", name, err)
		}
	}
	s.want(a)
	s.wantNone(auth.PurposeReset, oneTime("b").Token)
}
