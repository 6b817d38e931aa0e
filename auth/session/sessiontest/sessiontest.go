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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth/session"
)

// start is a time of whole microseconds, as the interface promises.
var start = time.Date(2026, 3, 29, 0, 59, 59, 999_999_000, time.UTC)

// Run tests a store. newStore gives an empty one; it is called once for each subtest, and those run at the same time. The
// races take seconds where each act is a round trip, and much less with go test -short.
func Run(t *testing.T, newStore func(t *testing.T) session.Store) { run(t, newStore, budget) }

// RunWhole is [Run] without a bound of time, for the slow part of a test plan: 10,000 sessions end in the midst of
// each kind of request, however long that takes.
func RunWhole(t *testing.T, newStore func(t *testing.T) session.Store) {
	run(t, newStore, 24*time.Hour)
}

func run(t *testing.T, newStore func(t *testing.T) session.Store, budget time.Duration) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store)
	}{
		{"a created session is found whole", roundTrip},
		{"names are compared byte by byte", names},
		{"create adds nothing when the version has risen", createStale},
		{"an unknown user has a version of at least 1, twice the same", versionUnknown},
		{"touch finds no unknown token", touchUnknown},
		{"touch finds no session that is over", touchOver},
		{"touch writes LastSeen when it is before WriteBefore", touchWrites},
		{"touch never sets LastSeen back", touchNotBack},
		{"clocks that differ by minutes set LastSeen back at no time", skew},
		{"touch brings no session back", raceTouch},
		{"rotate sets token, stamp, factors, AuthTime and LastSeen and nothing else", rotate},
		{"rotate kills the old token at once", rotateOld},
		{"of concurrent rotations exactly one succeeds", raceRotate},
		{"rotate brings no session back", raceRotateDelete},
		{"no rotation outlives a bump", raceRotateBump},
		{"list gives a session that rotates meanwhile once", raceRotateList},
		{"data is replaced only when it is the old", data},
		{"setting data changes nothing else", dataOnly},
		{"there is no data without a session", dataUnknown},
		{"concurrent changes of data are not lost", raceData},
		{"setting data brings no session back", raceDataDelete},
		{"delete removes the session of that user only", deleteOne},
		{"bump removes all sessions of the user but one", bump},
		{"bump removes the sessions in which the user acts as somebody else", bumpActing},
		{"bump raises the version also without sessions", bumpVersion},
		{"no session created with an old version outlives a bump", raceBump},
		{"concurrent bumps are all counted", raceBumps},
		{"delete tenant leaves other tenants alone", deleteTenant},
		{"list gives all sessions of the user, oldest first", list},
		{"prune removes the sessions that are over", prune},
		{"factors are not shared with the caller", notShared},
		{"an act under an ended context does nothing", ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, store{newStore(t), t, budget})
		})
	}
}

// store calls a session.Store and fails the test on an error.
type store struct {
	session.Store
	t      *testing.T
	budget time.Duration // of the sessions that end in the midst of requests
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

// wantOf is want in any order.
func (s store) wantOf(tenant, user string, want ...string) {
	s.t.Helper()
	got := s.ids(tenant, user)
	slices.Sort(got)
	if !slices.Equal(got, want) {
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
		Token: token(id), ID: id, Tenant: tenant, User: user, Impersonator: "staff", Stamp: "stamp",
		Factors: []portalsec.FactorProof{{Kind: portalsec.FactorPassword, At: start}, {Kind: portalsec.FactorTOTP, At: start.Add(time.Second)}},
		Client:  []byte{0, 0xff, 'c'}, Data: []byte{0, 0xff, 'd'}, Created: start.Add(-time.Minute), AuthTime: start.Add(time.Second),
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
	b.Impersonator, b.Stamp, b.Data = "", "", nil
	// As long as the record allows.
	c := record("acme", "ann", strings.Repeat("c", 64))
	c.Stamp, c.Data = strings.Repeat("s", 64), bytes.Repeat([]byte{0xff}, 8<<10)
	for _, r := range []session.Record{a, b, c} {
		s.create(r)
	}
	for _, r := range []session.Record{a, b, c} {
		equal(t, s.wantAlive(r.Token), r)
	}
	if got := s.wantAlive(a.Token); got.Created.Location() != time.UTC || got.Factors[0].At.Location() != time.UTC {
		t.Errorf("times are not in UTC: %+v", got)
	}
}

func names(t *testing.T, s store) {
	users := []string{"ann", "Ann", "ann ", "ánn", "a_n", "a%", "ann'--", "ann/x", "ann:x", "ann*"}
	for i, user := range users {
		s.create(record("acme", user, fmt.Sprint("u", i)))
		s.create(record(user, "bob", fmt.Sprint("t", i)))
	}
	for i, user := range users {
		s.want("acme", user, fmt.Sprint("u", i))
		s.want(user, "bob", fmt.Sprint("t", i))
		if ok, err := s.DeleteSession(t.Context(), "acme", user, fmt.Sprint("U", i)); ok || err != nil {
			t.Errorf("DeleteSession of an ID in another case = %v, %v, want false", ok, err)
		}
	}
	// Nor do tenant and user run into one another.
	s.create(record("a:b", "c", "left"))
	s.create(record("a", "b:c", "right"))
	s.want("a:b", "c", "left")
	s.want("a", "b:c", "right")
	for i, user := range users {
		if n, err := s.BumpUser(t.Context(), "acme", user, ""); n != 1 || err != nil {
			t.Errorf("BumpUser(%q) = %d, %v, want 1", user, n, err)
		}
		if n, err := s.DeleteTenant(t.Context(), user); n != 1 || err != nil {
			t.Errorf("DeleteTenant(%q) = %d, %v, want 1", user, n, err)
		}
		s.want("acme", user)
		if i+1 < len(users) {
			s.want("acme", users[i+1], fmt.Sprint("u", i+1))
			s.want(users[i+1], "bob", fmt.Sprint("t", i+1))
		}
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

func rotate(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	other := s.create(record("acme", "ann", "b"))
	next := session.Record{
		Token: token("new"), ID: "x", Tenant: "x", User: "x", Impersonator: "x", Client: []byte("x"), Data: []byte("x"),
		Stamp:   "another",
		Created: start.Add(9 * time.Hour), Expires: start.Add(9 * time.Hour),
		Factors:  []portalsec.FactorProof{{Kind: portalsec.FactorPasskey, At: start.Add(time.Minute)}},
		AuthTime: start.Add(time.Minute), LastSeen: start,
	}
	if err := s.RotateSession(t.Context(), r.Token, next); err != nil {
		t.Fatalf("RotateSession: %v", err)
	}
	r.Token, r.Stamp, r.Factors, r.AuthTime, r.LastSeen = next.Token, next.Stamp, next.Factors, next.AuthTime, next.LastSeen
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
	bob, zeta := s.version("acme", "bob"), s.version("zeta", "ann")
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
	if v := s.version("acme", "bob"); v != bob {
		t.Errorf("version of another user = %d, want %d", v, bob)
	}
	if v := s.version("zeta", "ann"); v != zeta {
		t.Errorf("version of the same user in another tenant = %d, want %d", v, zeta)
	}
}

// bumpActing has a member of staff, sue, act as ann and bob.
func bumpActing(t *testing.T, s store) {
	acting := func(tenant, user, impersonator, id string) {
		r := record(tenant, user, id)
		r.Impersonator = impersonator
		s.create(r)
	}
	setUp := func() {
		acting("acme", "sue", "", "own")
		acting("acme", "ann", "sue", "as ann")
		acting("acme", "bob", "sue", "as bob")
		acting("acme", "sue", "sue", "as herself")
	}
	setUp()
	acting("acme", "ann", "", "ann's own")
	acting("acme", "ann", "tom", "tom as ann")
	acting("zeta", "ann", "sue", "another sue")
	ann := s.version("acme", "ann")
	if n, err := s.BumpUser(t.Context(), "acme", "sue", ""); n != 4 || err != nil {
		t.Errorf("BumpUser = %d, %v, want 4", n, err)
	}
	s.want("acme", "sue")
	s.wantOf("acme", "ann", "ann's own", "tom as ann")
	s.want("acme", "bob")
	s.want("zeta", "ann", "another sue")
	s.wantDead(token("as ann"))
	if v := s.version("acme", "ann"); v != ann {
		t.Errorf("version of the user who was acted as = %d, want %d", v, ann)
	}

	// One of them may be spared.
	setUp()
	if n, err := s.BumpUser(t.Context(), "acme", "sue", "as bob"); n != 3 || err != nil {
		t.Errorf("BumpUser but one = %d, %v, want 3", n, err)
	}
	s.want("acme", "bob", "as bob")

	// The member of staff stays when the user is bumped.
	acting("acme", "sue", "", "own")
	if n, err := s.BumpUser(t.Context(), "acme", "bob", ""); n != 1 || err != nil {
		t.Errorf("BumpUser of the user acted as = %d, %v, want 1", n, err)
	}
	s.want("acme", "bob")
	s.want("acme", "sue", "own")
	// Neither a session that is gone nor an index of it comes into the next bump.
	if n, err := s.BumpUser(t.Context(), "acme", "sue", ""); n != 1 || err != nil {
		t.Errorf("BumpUser = %d, %v, want 1", n, err)
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

func deleteTenant(t *testing.T, s store) {
	s.create(record("acme", "ann", "a"))
	s.create(record("acme", "bob", "b"))
	s.create(record("acme2", "ann", "c"))
	s.create(record("acme/berlin", "ann", "d"))
	s.create(record("", "ann", "e"))
	for _, similar := range []string{"acm_", "acme%", "acme*", "ACME", "acme "} {
		if n, err := s.DeleteTenant(t.Context(), similar); n != 0 || err != nil {
			t.Errorf("DeleteTenant(%q) = %d, %v, want 0", similar, n, err)
		}
	}
	if n, err := s.DeleteTenant(t.Context(), "acme"); n != 2 || err != nil {
		t.Errorf("DeleteTenant = %d, %v, want 2", n, err)
	}
	s.want("acme", "ann")
	s.want("acme", "bob")
	s.want("acme2", "ann", "c")
	s.want("acme/berlin", "ann", "d")
	s.want("", "ann", "e")
	s.wantDead(token("a"))
	s.wantAlive(token("c"))
	if n, err := s.DeleteTenant(t.Context(), ""); n != 1 || err != nil {
		t.Errorf("DeleteTenant of the portal of one organisation = %d, %v, want 1", n, err)
	}
	s.want("acme2", "ann", "c")
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
	given.Factors = slices.Clone(r.Factors)
	s.create(given)
	given.Factors[0].Kind = "changed"
	got := s.wantAlive(r.Token)
	equal(t, got, r)
	got.Factors[0].Kind = "changed"
	equal(t, s.wantAlive(r.Token), r)
	records, err := s.ListSessions(t.Context(), "acme", "ann")
	if err != nil || len(records) != 1 {
		t.Fatalf("ListSessions = %d sessions, %v", len(records), err)
	}
	records[0].Factors[0].Kind = "changed"
	equal(t, s.wantAlive(r.Token), r)

	next := r
	next.Token, next.Factors = token("new"), slices.Clone(r.Factors)
	if err := s.RotateSession(t.Context(), r.Token, next); err != nil {
		t.Fatal(err)
	}
	next.Factors[0].Kind = "changed"
	r.Token = next.Token
	equal(t, s.wantAlive(r.Token), r)
}

func ended(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	version := s.version("acme", "ann")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	next := r
	next.Token = token("new")
	for name, act := range map[string]func() error{
		"CreateSession": func() error { return s.CreateSession(ctx, record("acme", "ann", "b"), version) },
		"UserVersion":   func() error { _, err := s.UserVersion(ctx, "acme", "ann"); return err },
		"TouchSession":  func() error { _, err := s.TouchSession(ctx, r.Token, alive()); return err },
		"RotateSession": func() error { return s.RotateSession(ctx, r.Token, next) },
		"SetSessionData": func() error {
			_, err := s.SetSessionData(ctx, r.Token, r.Data, []byte("other"))
			return err
		},
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
	if v := s.version("acme", "ann"); v != version {
		t.Errorf("version = %d, want %d", v, version)
	}
}
