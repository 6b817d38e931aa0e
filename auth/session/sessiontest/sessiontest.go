// SPDX-License-Identifier: Apache-2.0

// Package sessiontest is the conformance kit for implementations of session.Store. A store's own test calls
// [Run]; each subtest is a sentence of the interface's comment.
package sessiontest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth/session"
)

// start is a time of whole microseconds, as the interface promises.
var start = time.Date(2026, 3, 29, 0, 59, 59, 999_999_000, time.UTC)

// Run tests a store. newStore gives an empty one; it is called once for each subtest.
func Run(t *testing.T, newStore func(t *testing.T) session.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store)
	}{
		{"a created session is found whole", roundTrip},
		{"create adds nothing when the version has risen", createStale},
		{"an unknown user has a version of at least 1, twice the same", versionUnknown},
		{"touch finds no unknown token", touchUnknown},
		{"touch finds no session that is over", touchOver},
		{"touch writes LastSeen when it is before WriteBefore", touchWrites},
		{"touch never sets LastSeen back", touchNotBack},
		{"touch brings no session back", raceTouch},
		{"rotate sets token, factors, AuthTime and LastSeen and nothing else", rotate},
		{"rotate kills the old token at once", rotateOld},
		{"of concurrent rotations exactly one succeeds", raceRotate},
		{"delete removes the session of that user only", deleteOne},
		{"bump removes all sessions of the user but one", bump},
		{"bump raises the version also without sessions", bumpVersion},
		{"no session created with an old version outlives a bump", raceBump},
		{"delete tenant leaves other tenants alone", deleteTenant},
		{"list gives all sessions of the user, oldest first", list},
		{"prune removes the sessions that are over", prune},
		{"slices are not shared with the caller", notShared},
		{"an act under an ended context does nothing", ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, store{newStore(t), t})
		})
	}
}

// store calls a session.Store and fails the test on an error.
type store struct {
	session.Store
	t *testing.T
}

func (s store) create(r session.Record) session.Record {
	s.t.Helper()
	if err := s.CreateSession(s.t.Context(), r, s.version(r.Tenant, r.User)); err != nil {
		s.t.Fatalf("CreateSession(%s): %v", r.ID, err)
	}
	return r
}

func (s store) version(tenant, user string) int64 {
	s.t.Helper()
	v, err := s.UserVersion(s.t.Context(), tenant, user)
	if err != nil {
		s.t.Fatalf("UserVersion(%q, %q): %v", tenant, user, err)
	}
	return v
}

func (s store) ids(tenant, user string) (ids []string) {
	s.t.Helper()
	records, err := s.ListSessions(s.t.Context(), tenant, user)
	if err != nil {
		s.t.Fatalf("ListSessions(%q, %q): %v", tenant, user, err)
	}
	for _, r := range records {
		ids = append(ids, r.ID)
	}
	return ids
}

// want fails the test unless the user has exactly the sessions with these IDs, in this order.
func (s store) want(tenant, user string, want ...string) {
	s.t.Helper()
	if got := s.ids(tenant, user); !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
		s.t.Errorf("sessions of %q in %q = %q, want %q", user, tenant, got, want)
	}
}

// alive is the touch of a request at start that writes nothing.
func alive() session.Touch {
	return session.Touch{Now: start, AliveAfter: start.Add(-time.Hour), WriteBefore: start.Add(-time.Hour)}
}

func (s store) wantDead(token session.Hash) {
	s.t.Helper()
	if r, err := s.TouchSession(s.t.Context(), token, alive()); !errors.Is(err, session.ErrNoSession) {
		s.t.Errorf("TouchSession = %q, %v, want ErrNoSession", r.ID, err)
	}
}

func (s store) wantAlive(token session.Hash) session.Record {
	s.t.Helper()
	r, err := s.TouchSession(s.t.Context(), token, alive())
	if err != nil {
		s.t.Fatalf("TouchSession: %v", err)
	}
	return r
}

func record(tenant, user, id string) session.Record {
	return session.Record{
		Token: token(id), ID: id, Tenant: tenant, User: user, Impersonator: "staff",
		Factors: []portalsec.FactorProof{{Kind: portalsec.FactorPassword, At: start}, {Kind: portalsec.FactorTOTP, At: start.Add(time.Second)}},
		Client:  []byte{0, 0xff, 'c'}, Created: start.Add(-time.Minute), AuthTime: start.Add(time.Second),
		LastSeen: start.Add(-time.Second), Expires: start.Add(time.Hour),
	}
}

func token(id string) session.Hash { return sha256.Sum256([]byte(id)) }

func equal(t *testing.T, got, want session.Record) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("session = %+v, want %+v", got, want)
	}
}

func roundTrip(t *testing.T, s store) {
	a, b := record("acme", "ann", "a"), record("", "bob", "b")
	b.Impersonator = ""
	s.create(a)
	s.create(b)
	equal(t, s.wantAlive(a.Token), a)
	equal(t, s.wantAlive(b.Token), b)
	if got := s.wantAlive(a.Token); got.Created.Location() != time.UTC || got.Factors[0].At.Location() != time.UTC {
		t.Errorf("times are not in UTC: %+v", got)
	}
}

func createStale(t *testing.T, s store) {
	v := s.version("acme", "ann")
	if _, err := s.BumpUser(t.Context(), "acme", "ann", ""); err != nil {
		t.Fatal(err)
	}
	r := record("acme", "ann", "a")
	if err := s.CreateSession(t.Context(), r, v); !errors.Is(err, session.ErrNoSession) {
		t.Errorf("CreateSession with a stale version: %v, want ErrNoSession", err)
	}
	s.wantDead(r.Token)
	s.create(r)
	s.wantAlive(r.Token)
}

func versionUnknown(t *testing.T, s store) {
	v := s.version("acme", "nobody")
	if v < 1 {
		t.Errorf("UserVersion = %d, want at least 1", v)
	}
	if again := s.version("acme", "nobody"); again != v {
		t.Errorf("UserVersion = %d, and then %d", v, again)
	}
}

func touchUnknown(t *testing.T, s store) {
	s.create(record("acme", "ann", "a"))
	s.wantDead(token("b"))
	s.wantDead(session.Hash{})
}

func touchOver(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	for name, touch := range map[string]session.Touch{
		"expires now":        {Now: r.Expires, AliveAfter: start.Add(-time.Hour), WriteBefore: r.Expires},
		"expired":            {Now: r.Expires.Add(time.Microsecond), AliveAfter: start.Add(-time.Hour), WriteBefore: r.Expires},
		"idle since exactly": {Now: start, AliveAfter: r.LastSeen, WriteBefore: start},
		"idle longer":        {Now: start, AliveAfter: r.LastSeen.Add(time.Microsecond), WriteBefore: start},
	} {
		if _, err := s.TouchSession(t.Context(), r.Token, touch); !errors.Is(err, session.ErrNoSession) {
			t.Errorf("%s: TouchSession: %v, want ErrNoSession", name, err)
		}
	}
	equal(t, s.wantAlive(r.Token), r)
	just := session.Touch{Now: r.Expires.Add(-time.Microsecond), AliveAfter: r.LastSeen.Add(-time.Microsecond), WriteBefore: start.Add(-time.Hour)}
	if _, err := s.TouchSession(t.Context(), r.Token, just); err != nil {
		t.Errorf("TouchSession just before the end: %v", err)
	}
}

func touchWrites(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	touch := alive()
	touch.WriteBefore = r.LastSeen
	if got, err := s.TouchSession(t.Context(), r.Token, touch); err != nil || !got.LastSeen.Equal(r.LastSeen) {
		t.Errorf("TouchSession at WriteBefore gives LastSeen %v, %v, want it unchanged", got.LastSeen, err)
	}
	touch.WriteBefore = r.LastSeen.Add(time.Microsecond)
	if got, err := s.TouchSession(t.Context(), r.Token, touch); err != nil || !got.LastSeen.Equal(start) {
		t.Errorf("TouchSession before WriteBefore gives LastSeen %v, %v, want %v", got.LastSeen, err, start)
	}
	r.LastSeen = start
	equal(t, s.wantAlive(r.Token), r)
}

func touchNotBack(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	late := session.Touch{Now: r.LastSeen.Add(-time.Second), AliveAfter: start.Add(-time.Hour), WriteBefore: start.Add(time.Hour)}
	if _, err := s.TouchSession(t.Context(), r.Token, late); err != nil {
		t.Fatal(err)
	}
	equal(t, s.wantAlive(r.Token), r)
}

// raceTouch lets requests use a session while it is removed.
func raceTouch(t *testing.T, s store) {
	const rounds, requests = 50, 8
	for i := range rounds {
		r := s.create(record("acme", "ann", fmt.Sprint("s", i)))
		write := session.Touch{Now: start, AliveAfter: start.Add(-time.Hour), WriteBefore: start.Add(time.Hour)}
		acts := []func() error{func() error { _, err := s.DeleteSession(t.Context(), r.Tenant, r.User, r.ID); return err }}
		for range requests {
			acts = append(acts, func() error {
				if _, err := s.TouchSession(t.Context(), r.Token, write); !errors.Is(err, session.ErrNoSession) {
					return err
				}
				return nil
			})
		}
		race(t, acts...)
		s.wantDead(r.Token)
	}
	s.want("acme", "ann")
}

func rotate(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	other := s.create(record("acme", "ann", "b"))
	next := session.Record{
		Token: token("new"), ID: "x", Tenant: "x", User: "x", Impersonator: "x", Client: []byte("x"),
		Created: start.Add(9 * time.Hour), Expires: start.Add(9 * time.Hour),
		Factors:  []portalsec.FactorProof{{Kind: portalsec.FactorPasskey, At: start.Add(time.Minute)}},
		AuthTime: start.Add(time.Minute), LastSeen: start,
	}
	if err := s.RotateSession(t.Context(), r.Token, next); err != nil {
		t.Fatalf("RotateSession: %v", err)
	}
	r.Token, r.Factors, r.AuthTime, r.LastSeen = next.Token, next.Factors, next.AuthTime, next.LastSeen
	equal(t, s.wantAlive(next.Token), r)
	equal(t, s.wantAlive(other.Token), other)
}

func rotateOld(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	next := r
	next.Token = token("new")
	if err := s.RotateSession(t.Context(), r.Token, next); err != nil {
		t.Fatalf("RotateSession: %v", err)
	}
	s.wantDead(r.Token)
	again := r
	again.Token = token("newer")
	if err := s.RotateSession(t.Context(), r.Token, again); !errors.Is(err, session.ErrNoSession) {
		t.Errorf("RotateSession of a rotated token: %v, want ErrNoSession", err)
	}
	s.wantDead(again.Token)
	s.wantAlive(next.Token)
	s.want("acme", "ann", "a")
}

func raceRotate(t *testing.T, s store) {
	const rounds, rivals = 20, 16
	for i := range rounds {
		r := s.create(record("acme", "ann", fmt.Sprint("s", i)))
		var won atomic.Int32
		var acts []func() error
		for j := range rivals {
			acts = append(acts, func() error {
				next := r
				next.Token = token(fmt.Sprint(r.ID, "/", j))
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
			t.Errorf("%d rotations of one token succeeded, want 1", won.Load())
		}
		live := 0
		for j := range rivals {
			if _, err := s.TouchSession(t.Context(), token(fmt.Sprint(r.ID, "/", j)), alive()); err == nil {
				live++
			}
		}
		if live != 1 {
			t.Errorf("%d tokens are good after the race, want 1", live)
		}
	}
}

func deleteOne(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	s.create(record("acme", "ann", "b"))
	for name, c := range map[string][3]string{
		"other tenant": {"zeta", "ann", "a"}, "other user": {"acme", "bob", "a"}, "unknown": {"acme", "ann", "c"}, "empty": {"acme", "ann", ""},
	} {
		if ok, err := s.DeleteSession(t.Context(), c[0], c[1], c[2]); ok || err != nil {
			t.Errorf("%s: DeleteSession = %v, %v, want false", name, ok, err)
		}
	}
	s.wantAlive(r.Token)
	if ok, err := s.DeleteSession(t.Context(), "acme", "ann", "a"); !ok || err != nil {
		t.Errorf("DeleteSession = %v, %v, want true", ok, err)
	}
	if ok, err := s.DeleteSession(t.Context(), "acme", "ann", "a"); ok || err != nil {
		t.Errorf("second DeleteSession = %v, %v, want false", ok, err)
	}
	s.wantDead(r.Token)
	s.want("acme", "ann", "b")
}

func bump(t *testing.T, s store) {
	for _, id := range []string{"a", "b", "c"} {
		s.create(record("acme", "ann", id))
	}
	s.create(record("acme", "bob", "d"))
	s.create(record("zeta", "ann", "e"))
	if n, err := s.BumpUser(t.Context(), "acme", "ann", "b"); n != 2 || err != nil {
		t.Errorf("BumpUser = %d, %v, want 2", n, err)
	}
	s.want("acme", "ann", "b")
	s.wantDead(token("a"))
	s.wantAlive(token("b"))
	if n, err := s.BumpUser(t.Context(), "acme", "ann", "e"); n != 1 || err != nil {
		t.Errorf("BumpUser but another user's session = %d, %v, want 1", n, err)
	}
	s.want("acme", "ann")
	s.want("acme", "bob", "d")
	s.want("zeta", "ann", "e")
	if v := s.version("acme", "bob"); v != 1 {
		t.Errorf("version of another user = %d, want 1", v)
	}
	if v := s.version("zeta", "ann"); v != 1 {
		t.Errorf("version of the same user in another tenant = %d, want 1", v)
	}
}

func bumpVersion(t *testing.T, s store) {
	last := s.version("acme", "ann")
	for range 3 {
		if n, err := s.BumpUser(t.Context(), "acme", "ann", ""); n != 0 || err != nil {
			t.Errorf("BumpUser = %d, %v, want 0", n, err)
		}
		v := s.version("acme", "ann")
		if v <= last {
			t.Errorf("version = %d after %d, want more", v, last)
		}
		last = v
	}
}

// raceBump starts sessions with a version that was read before all sessions of the user are ended.
func raceBump(t *testing.T, s store) {
	const rounds, logins = 30, 8
	for i := range rounds {
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
		race(t, acts...)
		s.want("acme", "ann")
	}
}

func deleteTenant(t *testing.T, s store) {
	s.create(record("acme", "ann", "a"))
	s.create(record("acme", "bob", "b"))
	s.create(record("acme2", "ann", "c"))
	s.create(record("acme/berlin", "ann", "d"))
	s.create(record("", "ann", "e"))
	if n, err := s.DeleteTenant(t.Context(), "acme"); n != 2 || err != nil {
		t.Errorf("DeleteTenant = %d, %v, want 2", n, err)
	}
	s.want("acme", "ann")
	s.want("acme", "bob")
	s.want("acme2", "ann", "c")
	s.want("acme/berlin", "ann", "d")
	s.want("", "ann", "e")
}

func list(t *testing.T, s store) {
	s.want("acme", "ann")
	for i, id := range []string{"c", "a", "b"} {
		r := record("acme", "ann", id)
		r.Created = start.Add(time.Duration(i) * time.Microsecond)
		s.create(r)
	}
	over := record("acme", "ann", "d")
	over.Created, over.Expires = start.Add(-48*time.Hour), start.Add(-24*time.Hour)
	s.create(over)
	s.want("acme", "ann", "d", "c", "a", "b")
	records, err := s.ListSessions(t.Context(), "acme", "ann")
	if err != nil || len(records) != 4 {
		t.Fatalf("ListSessions = %d sessions, %v", len(records), err)
	}
	equal(t, records[0], over)
}

func prune(t *testing.T, s store) {
	r := record("acme", "ann", "a")
	for id, c := range map[string]struct{ expires, seen time.Time }{
		"live":      {start.Add(time.Hour), start.Add(-time.Minute)},
		"at expiry": {start, start.Add(-time.Minute)},
		"expired":   {start.Add(-time.Microsecond), start.Add(-time.Minute)},
		"at idle":   {start.Add(time.Hour), start.Add(-time.Hour)},
		"idle":      {start.Add(time.Hour), start.Add(-time.Hour - time.Microsecond)},
	} {
		r.ID, r.Token, r.User, r.Expires, r.LastSeen = id, token(id), id, c.expires, c.seen
		s.create(r)
	}
	if n, err := s.PruneSessions(t.Context(), start, start.Add(-time.Hour)); n != 2 || err != nil {
		t.Errorf("PruneSessions = %d, %v, want 2", n, err)
	}
	for _, id := range []string{"live", "at expiry", "at idle"} {
		s.want("acme", id, id)
	}
	s.want("acme", "expired")
	s.want("acme", "idle")
}

func notShared(t *testing.T, s store) {
	r := record("acme", "ann", "a")
	given := r
	given.Factors, given.Client = append([]portalsec.FactorProof(nil), r.Factors...), bytes.Clone(r.Client)
	s.create(given)
	given.Factors[0].Kind, given.Client[0] = "changed", 1
	got := s.wantAlive(r.Token)
	equal(t, got, r)
	got.Factors[0].Kind, got.Client[0] = "changed", 1
	equal(t, s.wantAlive(r.Token), r)

	next := r
	next.Token, next.Factors = token("new"), append([]portalsec.FactorProof(nil), r.Factors...)
	if err := s.RotateSession(t.Context(), r.Token, next); err != nil {
		t.Fatal(err)
	}
	next.Factors[0].Kind = "changed"
	r.Token = next.Token
	equal(t, s.wantAlive(r.Token), r)
}

func ended(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	next := r
	next.Token = token("new")
	for name, act := range map[string]func() error{
		"CreateSession": func() error { return s.CreateSession(ctx, record("acme", "ann", "b"), 1) },
		"UserVersion":   func() error { _, err := s.UserVersion(ctx, "acme", "ann"); return err },
		"TouchSession":  func() error { _, err := s.TouchSession(ctx, r.Token, alive()); return err },
		"RotateSession": func() error { return s.RotateSession(ctx, r.Token, next) },
		"DeleteSession": func() error { _, err := s.DeleteSession(ctx, "acme", "ann", "a"); return err },
		"BumpUser":      func() error { _, err := s.BumpUser(ctx, "acme", "ann", ""); return err },
		"DeleteTenant":  func() error { _, err := s.DeleteTenant(ctx, "acme"); return err },
		"ListSessions":  func() error { _, err := s.ListSessions(ctx, "acme", "ann"); return err },
		"PruneSessions": func() error { _, err := s.PruneSessions(ctx, start.Add(24*time.Hour), start); return err },
	} {
		if err := act(); err == nil || errors.Is(err, session.ErrNoSession) {
			t.Errorf("%s under an ended context: %v, want its error", name, err)
		}
	}
	equal(t, s.wantAlive(r.Token), r)
	s.want("acme", "ann", "a")
	if v := s.version("acme", "ann"); v != 1 {
		t.Errorf("version = %d, want 1", v)
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
