// SPDX-License-Identifier: Apache-2.0

// Package cryptotest checks that an implementation of [crypto.KeyStore] keeps that interface's promises.
//
// Call [Run] from a test of the implementation. It needs the standard library only.
package cryptotest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/crypto"
)

// at is when things happen in these tests: to the microsecond, as records are.
var at = time.Date(2026, 3, 29, 1, 30, 0, 123456000, time.UTC)

// racers is how many goroutines try at once.
const racers = 16

// Run checks a store. newStore gives an empty one for each subtest.
func Run(t *testing.T, newStore func(t *testing.T) crypto.KeyStore) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s crypto.KeyStore)
	}{
		{"a scope without a key is not found", notFound},
		{"a kept key comes back as it was given", roundTrip},
		{"a scope keeps its first key", firstStays},
		{"scopes are apart", scopesApart},
		{"of concurrent candidates one is kept and all get it", raceEnsure},
		{"an ID is not used twice", takenID},
		{"records are copies", copies},
		{"a shredded subject has no key and gets none", shred},
		{"a subject without a key is shredded too", shredUnknown},
		{"shredding twice changes nothing", shredTwice},
		{"shredding touches no other scope", shredApart},
		{"shredding wins against concurrent creation", raceShred},
		{"a cancelled call fails", cancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newStore(t)) })
	}
}

func newID() (id crypto.KeyID) {
	rand.Read(id[:]) // never fails
	return id
}

func record(s crypto.Scope) crypto.KeyRecord {
	r := crypto.KeyRecord{
		ID: newID(), Scope: s, Version: 1, Parent: newID().String(), Wrapped: make([]byte, 73), Created: at,
	}
	rand.Read(r.Wrapped)
	rand.Read(r.Commitment[:])
	return r
}

func subject(tenant, subject string) crypto.Scope {
	return crypto.Scope{Kind: crypto.KindSubject, Tenant: tenant, Subject: subject}
}

func same(a, b crypto.KeyRecord) bool {
	return a.ID == b.ID && a.Scope == b.Scope && a.Version == b.Version && a.Parent == b.Parent &&
		bytes.Equal(a.Wrapped, b.Wrapped) && a.Commitment == b.Commitment && a.Created.Equal(b.Created)
}

func ensure(t *testing.T, s crypto.KeyStore, r crypto.KeyRecord) {
	t.Helper()
	got, err := s.EnsureKey(t.Context(), r)
	if err != nil {
		t.Fatalf("EnsureKey(new) = %v", err)
	}
	if !same(got, r) {
		t.Fatalf("EnsureKey(new) = %+v, want the candidate %+v", got, r)
	}
}

func wantActive(t *testing.T, s crypto.KeyStore, scope crypto.Scope, want crypto.KeyRecord) {
	t.Helper()
	got, err := s.ActiveKey(t.Context(), scope)
	if err != nil || !same(got, want) {
		t.Fatalf("ActiveKey(%v) = %+v, %v, want %+v", scope, got, err, want)
	}
}

func wantErr(t *testing.T, call string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s = %v, want %v", call, err, want)
	}
}

func notFound(t *testing.T, s crypto.KeyStore) {
	_, err := s.ActiveKey(t.Context(), subject("a", "b"))
	wantErr(t, "ActiveKey", err, crypto.ErrNotFound)
	_, err = s.Key(t.Context(), newID())
	wantErr(t, "Key", err, crypto.ErrNotFound)
}

func roundTrip(t *testing.T, s crypto.KeyStore) {
	for _, scope := range []crypto.Scope{
		{Kind: crypto.KindRoot}, {Kind: crypto.KindTenant}, {Kind: crypto.KindTenant, Tenant: "acme"},
		{Kind: crypto.KindIndex, Tenant: "acme"}, subject("acme", "01890a5d-ac96-774b-bcce-b302099a8057"), subject("", "ü'\"%_"),
	} {
		r := record(scope)
		r.Version = 255
		ensure(t, s, r)
		wantActive(t, s, scope, r)
		got, err := s.Key(t.Context(), r.ID)
		if err != nil || !same(got, r) {
			t.Fatalf("Key(%v) = %+v, %v, want %+v", scope, got, err, r)
		}
	}
}

func firstStays(t *testing.T, s crypto.KeyStore) {
	first, second := record(subject("a", "b")), record(subject("a", "b"))
	ensure(t, s, first)
	got, err := s.EnsureKey(t.Context(), second)
	if err != nil || !same(got, first) {
		t.Fatalf("EnsureKey(second) = %+v, %v, want the first %+v", got, err, first)
	}
	_, err = s.Key(t.Context(), second.ID)
	wantErr(t, "Key(of the loser)", err, crypto.ErrNotFound)
}

func scopesApart(t *testing.T, s crypto.KeyStore) {
	var all []crypto.KeyRecord
	for _, scope := range []crypto.Scope{
		{Kind: crypto.KindTenant, Tenant: "a"}, {Kind: crypto.KindTenant, Tenant: "A"}, {Kind: crypto.KindTenant, Tenant: "a "},
		{Kind: crypto.KindIndex, Tenant: "a"}, subject("a", "b"), subject("b", "a"), subject("ab", "c"), subject("a", "bc"), subject("a", "B"),
	} {
		r := record(scope)
		ensure(t, s, r)
		all = append(all, r)
	}
	for _, r := range all {
		wantActive(t, s, r.Scope, r)
	}
}

func raceEnsure(t *testing.T, s crypto.KeyStore) {
	for round := range 8 {
		scope := subject("a", fmt.Sprint(round))
		got, errs := race(func(int) (crypto.KeyRecord, error) { return s.EnsureKey(t.Context(), record(scope)) })
		for i := range racers {
			if errs[i] != nil {
				t.Fatalf("EnsureKey(concurrent) = %v", errs[i])
			}
			if !same(got[i], got[0]) {
				t.Fatalf("two concurrent calls got keys %s and %s, want one", got[0].ID, got[i].ID)
			}
		}
		wantActive(t, s, scope, got[0])
	}
}

// race runs f in many goroutines that start together.
func race(f func(i int) (crypto.KeyRecord, error)) (got [racers]crypto.KeyRecord, errs [racers]error) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			got[i], errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return got, errs
}

func takenID(t *testing.T, s crypto.KeyStore) {
	first, second := record(subject("a", "b")), record(subject("a", "c"))
	second.ID = first.ID
	ensure(t, s, first)
	if got, err := s.EnsureKey(t.Context(), second); err == nil {
		t.Fatalf("EnsureKey(taken ID) = %+v, nil, want an error", got)
	}
	wantActive(t, s, first.Scope, first)
	_, err := s.ActiveKey(t.Context(), second.Scope)
	wantErr(t, "ActiveKey(after a taken ID)", err, crypto.ErrNotFound)
}

func copies(t *testing.T, s crypto.KeyStore) {
	r := record(subject("a", "b"))
	given := r
	given.Wrapped = bytes.Clone(r.Wrapped)
	got, err := s.EnsureKey(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	clear(given.Wrapped)
	clear(got.Wrapped)
	wantActive(t, s, r.Scope, r)
	got, err = s.Key(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	clear(got.Wrapped)
	wantActive(t, s, r.Scope, r)
}

func shredIt(t *testing.T, s crypto.KeyStore, tenant, subject string) {
	t.Helper()
	if err := s.ShredSubject(t.Context(), tenant, subject, newID(), at); err != nil {
		t.Fatalf("ShredSubject = %v", err)
	}
}

func wantShredded(t *testing.T, s crypto.KeyStore, scope crypto.Scope) {
	t.Helper()
	_, err := s.ActiveKey(t.Context(), scope)
	wantErr(t, "ActiveKey(shredded)", err, crypto.ErrShredded)
	candidate := record(scope)
	_, err = s.EnsureKey(t.Context(), candidate)
	wantErr(t, "EnsureKey(shredded)", err, crypto.ErrShredded)
	if _, err = s.Key(t.Context(), candidate.ID); err == nil {
		t.Fatal("a key was kept for a shredded subject")
	}
}

func shred(t *testing.T, s crypto.KeyStore) {
	r := record(subject("a", "b"))
	ensure(t, s, r)
	shredIt(t, s, "a", "b")
	wantShredded(t, s, r.Scope)
	_, err := s.Key(t.Context(), r.ID)
	wantErr(t, "Key(shredded)", err, crypto.ErrShredded)
}

func shredUnknown(t *testing.T, s crypto.KeyStore) {
	shredIt(t, s, "a", "b")
	wantShredded(t, s, subject("a", "b"))
}

func shredTwice(t *testing.T, s crypto.KeyStore) {
	r := record(subject("a", "b"))
	ensure(t, s, r)
	for _, who := range []string{"b", "b", "never had one", "never had one"} {
		shredIt(t, s, "a", who)
		wantShredded(t, s, subject("a", who))
	}
}

func shredApart(t *testing.T, s crypto.KeyStore) {
	var others []crypto.KeyRecord
	for _, scope := range []crypto.Scope{
		{Kind: crypto.KindRoot}, {Kind: crypto.KindTenant, Tenant: "a"}, {Kind: crypto.KindIndex, Tenant: "a"},
		subject("a", "c"), subject("b", "b"), subject("", "b"),
	} {
		r := record(scope)
		ensure(t, s, r)
		others = append(others, r)
	}
	ensure(t, s, record(subject("a", "b")))
	shredIt(t, s, "a", "b")
	for _, r := range others {
		wantActive(t, s, r.Scope, r)
	}
}

func raceShred(t *testing.T, s crypto.KeyStore) {
	for round := range 8 {
		who := fmt.Sprint(round)
		_, errs := race(func(i int) (crypto.KeyRecord, error) {
			if i == racers/2 {
				return crypto.KeyRecord{}, s.ShredSubject(t.Context(), "a", who, newID(), at)
			}
			return s.EnsureKey(t.Context(), record(subject("a", who)))
		})
		for i, err := range errs {
			if err != nil && (i == racers/2 || !errors.Is(err, crypto.ErrShredded)) {
				t.Fatalf("concurrent call = %v", err)
			}
		}
		wantShredded(t, s, subject("a", who))
	}
}

func cancelled(t *testing.T, s crypto.KeyStore) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := record(subject("a", "b"))
	if _, err := s.EnsureKey(ctx, r); err == nil {
		t.Fatal("EnsureKey(cancelled) = nil, want an error")
	}
	if _, err := s.ActiveKey(ctx, r.Scope); err == nil || errors.Is(err, crypto.ErrNotFound) {
		t.Fatalf("ActiveKey(cancelled) = %v, want the context's error", err)
	}
	if _, err := s.Key(ctx, r.ID); err == nil || errors.Is(err, crypto.ErrNotFound) {
		t.Fatalf("Key(cancelled) = %v, want the context's error", err)
	}
	if err := s.ShredSubject(ctx, "a", "b", newID(), at); err == nil {
		t.Fatal("ShredSubject(cancelled) = nil, want an error")
	}
	_, err := s.ActiveKey(t.Context(), r.Scope)
	wantErr(t, "ActiveKey(after cancelled calls)", err, crypto.ErrNotFound)
}
