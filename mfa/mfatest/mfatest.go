// SPDX-License-Identifier: Apache-2.0

// Package mfatest tests implementations of mfa.Store.
//
// Start with [Run]: each of its subtests is a sentence of the interface's comment. It needs the standard library
// only. It does not reach what takes several processes, nor a store that breaks halfway.
package mfatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/mfa"
)

// racers is how many goroutines go for one thing that only one may get.
const racers = 200

// now is when everything happens. Stores never read a clock, so it may be any time.
var now = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// Run tests the stores that newStore gives. Each subtest takes a new, empty one.
func Run(t *testing.T, newStore func(t *testing.T) mfa.Store) {
	tests := []struct {
		name string
		test func(*testing.T, mfa.Store)
	}{
		{"PutPending forgets the enrolment before", putPendingForgets},
		{"Pending gives what was put, until it expires", pendingExpires},
		{"Enrol gives the factor and its codes, and ends the enrolment", enrolGives},
		{"Enrol needs the pending enrolment", enrolNeedsPending},
		{"Enrol replaces the factor that it names and no other", enrolReplaces},
		{"Enrol has one winner", enrolRace},
		{"Factors belong to one user of one tenant", factorsOfOne},
		{"Factors come oldest first", factorsOldestFirst},
		{"AdvanceTOTP accepts each step once and never goes back", advanceOnce},
		{"AdvanceTOTP has one winner", advanceRace},
		{"AdvanceTOTP refuses what is no TOTP factor", advanceUnknown},
		{"ConsumeCode accepts each code once", consumeOnce},
		{"ConsumeCode has one winner", consumeRace},
		{"Remove deletes the user's factor only", removeOwn},
		{"Remove takes recovery codes along with the last factor", removeLast},
		{"Remove of the recovery codes leaves the factor", removeRecovery},
		{"Remove has one winner", removeRace},
		{"TakeTry counts and orders waits", tryWaits},
		{"TakeTry refused changes nothing", tryRefused},
		{"TakeTry sees concurrent tries", tryRace},
		{"ClearTries forgets this user's tries only", clearTries},
		{"Policy gives what was put last", policy},
		{"Times are in UTC", timesUTC},
		{"Slices are not shared", slicesNotShared},
		{"A cancelled context wins nothing or is ignored", cancelled},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, newStore(t))
		})
	}
}

func pendingOf(id, tenant, user string) mfa.Pending {
	return mfa.Pending{ID: id, Tenant: tenant, User: user, Visit: "visit " + id, Secret: []byte("sealed " + id), Expires: now.Add(15 * time.Minute)}
}

func totpOf(p mfa.Pending, step int64) mfa.Factor {
	return mfa.Factor{
		ID: p.ID, Tenant: p.Tenant, User: p.User, Kind: portalsec.FactorTOTP, Secret: p.Secret, Step: step, Created: now,
	}
}

func recoveryOf(id, tenant, user string) mfa.Factor {
	f := mfa.Factor{
		ID: id, Tenant: tenant, User: user, Kind: portalsec.FactorRecovery, Secret: []byte("salt of " + id), Created: now,
	}
	for i := range 3 {
		f.Codes = append(f.Codes, mfa.RecoveryCode{Hash: bytes.Repeat([]byte{byte(i)}, 32)})
	}
	return f
}

// enrol gives a user a factor "T-<user>" at step 100 and codes "R-<user>".
func enrol(t *testing.T, s mfa.Store, tenant, user string) (totp, recovery mfa.Factor) {
	t.Helper()
	p := pendingOf("T-"+user, tenant, user)
	must(t, s.PutPending(t.Context(), p))
	totp, recovery = totpOf(p, 100), recoveryOf("R-"+user, tenant, user)
	won, err := s.Enrol(t.Context(), totp, recovery, "")
	wantWon(t, won, err, true)
	return totp, recovery
}

func putPendingForgets(t *testing.T, s mfa.Store) {
	first, second := pendingOf("1", "acme", "ann"), pendingOf("2", "acme", "ann")
	must(t, s.PutPending(t.Context(), first))
	must(t, s.PutPending(t.Context(), second))
	p, err := s.Pending(t.Context(), "acme", "ann", now)
	must(t, err)
	if p.ID != "2" {
		t.Errorf("Pending gives %q, want the later one", p.ID)
	}
	won, err := s.Enrol(t.Context(), totpOf(first, 1), recoveryOf("r", "acme", "ann"), "")
	wantWon(t, won, err, false)
}

func pendingExpires(t *testing.T, s mfa.Store) {
	want := pendingOf("1", "acme", "ann")
	must(t, s.PutPending(t.Context(), want))
	got, err := s.Pending(t.Context(), "acme", "ann", want.Expires.Add(-time.Microsecond))
	must(t, err)
	if got.ID != want.ID || got.Tenant != "acme" || got.User != "ann" || got.Visit != want.Visit || !bytes.Equal(got.Secret, want.Secret) || !got.Expires.Equal(want.Expires) {
		t.Errorf("Pending = %+v, want %+v", got, want)
	}
	for _, c := range []struct {
		tenant, user string
		now          time.Time
	}{{"acme", "ann", want.Expires}, {"acme", "bob", now}, {"other", "ann", now}} {
		if _, err := s.Pending(t.Context(), c.tenant, c.user, c.now); !errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("Pending(%s, %s, %s) = %v, want ErrNotFound", c.tenant, c.user, c.now, err)
		}
	}
}

func enrolGives(t *testing.T, s mfa.Store) {
	totp, recovery := enrol(t, s, "acme", "ann")
	got, err := s.Factors(t.Context(), "acme", "ann")
	must(t, err)
	if len(got) != 2 {
		t.Fatalf("%d factors, want 2", len(got))
	}
	slices.SortFunc(got, func(a, b mfa.Factor) int { return -bytes.Compare([]byte(a.Kind), []byte(b.Kind)) })
	for i, want := range []mfa.Factor{totp, recovery} {
		g := got[i]
		if g.ID != want.ID || g.Tenant != want.Tenant || g.User != want.User || g.Kind != want.Kind || g.Step != want.Step ||
			!bytes.Equal(g.Secret, want.Secret) || !g.Created.Equal(want.Created) || len(g.Codes) != len(want.Codes) {
			t.Errorf("factor = %+v, want %+v", g, want)
		}
		for _, c := range want.Codes {
			if !slices.ContainsFunc(g.Codes, func(h mfa.RecoveryCode) bool { return bytes.Equal(h.Hash, c.Hash) && h.Used.IsZero() }) {
				t.Errorf("an unused code is missing: %+v", g.Codes)
			}
		}
	}
	if _, err := s.Pending(t.Context(), "acme", "ann", now); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("Pending after Enrol = %v, want ErrNotFound", err)
	}
	won, err := s.Enrol(t.Context(), totp, recovery, totp.ID)
	wantWon(t, won, err, false)
}

func enrolNeedsPending(t *testing.T, s mfa.Store) {
	p := pendingOf("1", "acme", "ann")
	recovery := recoveryOf("r", "acme", "ann")
	won, err := s.Enrol(t.Context(), totpOf(p, 1), recovery, "")
	wantWon(t, won, err, false) // none pending

	must(t, s.PutPending(t.Context(), p))
	late := totpOf(p, 1)
	late.Created = p.Expires
	won, err = s.Enrol(t.Context(), late, recovery, "")
	wantWon(t, won, err, false)

	other := totpOf(p, 1)
	other.User = "bob"
	won, err = s.Enrol(t.Context(), other, recoveryOf("r", "acme", "bob"), "")
	wantWon(t, won, err, false)
	for _, user := range []string{"ann", "bob"} {
		if fs, err := s.Factors(t.Context(), "acme", user); err != nil || len(fs) != 0 {
			t.Errorf("after enrolments that did not win, Factors(%s) = %v, %v", user, fs, err)
		}
	}
}

func enrolReplaces(t *testing.T, s mfa.Store) {
	old, _ := enrol(t, s, "acme", "ann")
	p := pendingOf("new", "acme", "ann")
	must(t, s.PutPending(t.Context(), p))
	for _, replaces := range []string{"", "somebody-else"} {
		won, err := s.Enrol(t.Context(), totpOf(p, 1), recoveryOf("R2", "acme", "ann"), replaces)
		wantWon(t, won, err, false)
	}
	if ids := idsOf(t, s, "acme", "ann"); !slices.Equal(ids, []string{"R-ann", "T-ann"}) {
		t.Fatalf("factors %v after an Enrol that did not win", ids)
	}
	won, err := s.Enrol(t.Context(), totpOf(p, 1), recoveryOf("R2", "acme", "ann"), old.ID)
	wantWon(t, won, err, true)
	if ids := idsOf(t, s, "acme", "ann"); !slices.Equal(ids, []string{"R2", "new"}) {
		t.Errorf("factors %v, want the new ones only", ids)
	}
	won, err = s.AdvanceTOTP(t.Context(), old.ID, 1000)
	wantWon(t, won, err, false)
	won, err = s.ConsumeCode(t.Context(), "R-ann", bytes.Repeat([]byte{0}, 32), now)
	wantWon(t, won, err, false)
}

func enrolRace(t *testing.T, s mfa.Store) {
	p := pendingOf("1", "acme", "ann")
	must(t, s.PutPending(t.Context(), p))
	oneWinner(t, func(i int) (bool, error) {
		return s.Enrol(t.Context(), totpOf(p, 1), recoveryOf(fmt.Sprintf("r%d", i), "acme", "ann"), "")
	})
	if ids := idsOf(t, s, "acme", "ann"); len(ids) != 2 {
		t.Errorf("factors %v after the race, want 2", ids)
	}
}

func factorsOfOne(t *testing.T, s mfa.Store) {
	enrol(t, s, "acme", "ann")
	for _, c := range [][2]string{{"acme", "bob"}, {"other", "ann"}, {"", "ann"}} {
		if fs, err := s.Factors(t.Context(), c[0], c[1]); err != nil || len(fs) != 0 {
			t.Errorf("Factors(%q, %q) = %v, %v, want none", c[0], c[1], fs, err)
		}
	}
}

func factorsOldestFirst(t *testing.T, s mfa.Store) {
	for user, later := range map[string]time.Duration{"ann": time.Microsecond, "bob": -time.Microsecond} {
		p := pendingOf("T-"+user, "acme", user)
		must(t, s.PutPending(t.Context(), p))
		totp, recovery := totpOf(p, 1), recoveryOf("R-"+user, "acme", user)
		totp.Created = recovery.Created.Add(later)
		won, err := s.Enrol(t.Context(), totp, recovery, "")
		wantWon(t, won, err, true)
		fs, err := s.Factors(t.Context(), "acme", user)
		if must(t, err); len(fs) != 2 || !fs[0].Created.Before(fs[1].Created) {
			t.Errorf("Factors(%s) = %+v, want the older of two first", user, fs)
		}
	}
}

func advanceOnce(t *testing.T, s mfa.Store) {
	f, _ := enrol(t, s, "acme", "ann")
	for _, c := range []struct {
		step int64
		want bool
	}{{99, false}, {100, false}, {101, true}, {101, false}, {102, true}, {101, false}, {105, true}, {104, false}, {105, false}} {
		won, err := s.AdvanceTOTP(t.Context(), f.ID, c.step)
		if must(t, err); won != c.want {
			t.Errorf("AdvanceTOTP(%d) = %t, want %t", c.step, won, c.want)
		}
	}
	fs, err := s.Factors(t.Context(), "acme", "ann")
	must(t, err)
	if i := slices.IndexFunc(fs, func(g mfa.Factor) bool { return g.ID == f.ID }); i < 0 || fs[i].Step != 105 {
		t.Errorf("factors %+v, want step 105", fs)
	}
}

func advanceRace(t *testing.T, s mfa.Store) {
	f, _ := enrol(t, s, "acme", "ann")
	for step := int64(101); step < 104; step++ {
		oneWinner(t, func(int) (bool, error) { return s.AdvanceTOTP(t.Context(), f.ID, step) })
	}
}

func advanceUnknown(t *testing.T, s mfa.Store) {
	_, recovery := enrol(t, s, "acme", "ann")
	for _, id := range []string{"", "unknown", recovery.ID} {
		won, err := s.AdvanceTOTP(t.Context(), id, 1000)
		wantWon(t, won, err, false)
	}
}

func consumeOnce(t *testing.T, s mfa.Store) {
	_, f := enrol(t, s, "acme", "ann")
	_, other := enrol(t, s, "acme", "bob")
	hash := f.Codes[1].Hash
	at := now.Add(time.Hour)
	for _, id := range []string{"", "unknown", "T-ann"} {
		won, err := s.ConsumeCode(t.Context(), id, hash, at)
		wantWon(t, won, err, false)
	}
	won, err := s.ConsumeCode(t.Context(), f.ID, bytes.Repeat([]byte{9}, 32), at)
	wantWon(t, won, err, false)
	won, err = s.ConsumeCode(t.Context(), f.ID, hash, at)
	wantWon(t, won, err, true)
	won, err = s.ConsumeCode(t.Context(), f.ID, hash, at.Add(time.Hour))
	wantWon(t, won, err, false)

	for _, c := range codesOf(t, s, "acme", "ann", f.ID) {
		if used := bytes.Equal(c.Hash, hash); used != !c.Used.IsZero() || used && !c.Used.Equal(at) {
			t.Errorf("code %x used at %s", c.Hash[:1], c.Used)
		}
	}
	for _, c := range codesOf(t, s, "acme", "bob", other.ID) {
		if !c.Used.IsZero() {
			t.Error("another user's code with the same hash is used too")
		}
	}
}

func consumeRace(t *testing.T, s mfa.Store) {
	_, f := enrol(t, s, "acme", "ann")
	for _, c := range f.Codes {
		oneWinner(t, func(int) (bool, error) { return s.ConsumeCode(t.Context(), f.ID, c.Hash, now) })
	}
}

func removeOwn(t *testing.T, s mfa.Store) {
	f, _ := enrol(t, s, "acme", "ann")
	enrol(t, s, "acme", "bob")
	for _, c := range [][3]string{{"acme", "bob", f.ID}, {"other", "ann", f.ID}, {"acme", "ann", "unknown"}, {"acme", "ann", ""}} {
		won, err := s.Remove(t.Context(), c[0], c[1], c[2])
		wantWon(t, won, err, false)
	}
	won, err := s.Remove(t.Context(), "acme", "ann", f.ID)
	wantWon(t, won, err, true)
	won, err = s.Remove(t.Context(), "acme", "ann", f.ID)
	wantWon(t, won, err, false)
	won, err = s.AdvanceTOTP(t.Context(), f.ID, 1000)
	wantWon(t, won, err, false)
	if ids := idsOf(t, s, "acme", "bob"); len(ids) != 2 {
		t.Errorf("another user's factors are %v now", ids)
	}
}

func removeLast(t *testing.T, s mfa.Store) {
	f, recovery := enrol(t, s, "acme", "ann")
	won, err := s.Remove(t.Context(), "acme", "ann", f.ID)
	wantWon(t, won, err, true)
	if ids := idsOf(t, s, "acme", "ann"); len(ids) != 0 {
		t.Errorf("factors %v are left", ids)
	}
	won, err = s.ConsumeCode(t.Context(), recovery.ID, recovery.Codes[0].Hash, now)
	wantWon(t, won, err, false)
}

func removeRecovery(t *testing.T, s mfa.Store) {
	f, recovery := enrol(t, s, "acme", "ann")
	won, err := s.Remove(t.Context(), "acme", "ann", recovery.ID)
	wantWon(t, won, err, true)
	if ids := idsOf(t, s, "acme", "ann"); !slices.Equal(ids, []string{f.ID}) {
		t.Errorf("factors %v are left, want the TOTP factor", ids)
	}
	won, err = s.ConsumeCode(t.Context(), recovery.ID, recovery.Codes[0].Hash, now)
	wantWon(t, won, err, false)
}

func removeRace(t *testing.T, s mfa.Store) {
	f, _ := enrol(t, s, "acme", "ann")
	oneWinner(t, func(int) (bool, error) { return s.Remove(t.Context(), "acme", "ann", f.ID) })
}

// wait orders none until the third try, then as many minutes as there were tries.
func wait(tries int) time.Duration {
	if tries < 3 {
		return 0
	}
	return time.Duration(tries) * time.Minute
}

func try(t *testing.T, s mfa.Store, user string, at time.Time, wantTaken bool, wantAfter time.Duration) {
	t.Helper()
	taken, after, err := s.TakeTry(t.Context(), "acme", user, at, wait)
	if must(t, err); taken != wantTaken || after != wantAfter {
		t.Errorf("TakeTry at +%s = %t, %s, want %t, %s", at.Sub(now), taken, after, wantTaken, wantAfter)
	}
}

func tryWaits(t *testing.T, s mfa.Store) {
	for range 3 {
		try(t, s, "ann", now, true, 0)
	}
	try(t, s, "ann", now, false, 3*time.Minute)
	try(t, s, "ann", now.Add(3*time.Minute-time.Microsecond), false, time.Microsecond)
	try(t, s, "ann", now.Add(3*time.Minute), true, 0) // the fourth
	try(t, s, "ann", now.Add(3*time.Minute), false, 4*time.Minute)
}

func tryRefused(t *testing.T, s mfa.Store) {
	for range 3 {
		try(t, s, "ann", now, true, 0)
	}
	for range 10 {
		try(t, s, "ann", now.Add(time.Minute), false, 2*time.Minute)
	}
	try(t, s, "ann", now.Add(3*time.Minute), true, 0)
	try(t, s, "ann", now.Add(3*time.Minute), false, 4*time.Minute)
}

func tryRace(t *testing.T, s mfa.Store) {
	if taken := race(t, func(int) (bool, error) {
		taken, _, err := s.TakeTry(t.Context(), "acme", "ann", now, wait)
		return taken, err
	}); taken != 3 {
		t.Errorf("%d of %d concurrent tries were taken, want 3", taken, racers)
	}
}

func clearTries(t *testing.T, s mfa.Store) {
	for _, user := range []string{"ann", "bob"} {
		for range 3 {
			try(t, s, user, now, true, 0)
		}
	}
	must(t, s.ClearTries(t.Context(), "other", "ann"))
	try(t, s, "ann", now, false, 3*time.Minute)
	must(t, s.ClearTries(t.Context(), "acme", "ann"))
	must(t, s.ClearTries(t.Context(), "acme", "unknown"))
	for range 3 {
		try(t, s, "ann", now, true, 0)
	}
	try(t, s, "bob", now, false, 3*time.Minute)
}

func policy(t *testing.T, s mfa.Store) {
	if _, err := s.Policy(t.Context(), "acme"); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("Policy of an unknown tenant: %v, want ErrNotFound", err)
	}
	must(t, s.PutPolicy(t.Context(), "other", mfa.Policy{}))
	for _, want := range []mfa.Policy{
		{Everyone: true, Since: now}, {Roles: []string{"a", `odd, "name"`}, Since: now.Add(time.Hour)}, {},
	} {
		must(t, s.PutPolicy(t.Context(), "acme", want))
		got, err := s.Policy(t.Context(), "acme")
		must(t, err)
		if got.Everyone != want.Everyone || !slices.Equal(got.Roles, want.Roles) || !got.Since.Equal(want.Since) {
			t.Errorf("Policy = %+v, want %+v", got, want)
		}
	}
}

func timesUTC(t *testing.T, s mfa.Store) {
	wantUTC := func(what string, at time.Time) {
		t.Helper()
		if at.Location() != time.UTC {
			t.Errorf("%s is in the zone %s, want time.UTC", what, at.Location())
		}
	}
	must(t, s.PutPending(t.Context(), pendingOf("T-ann", "acme", "ann")))
	p, err := s.Pending(t.Context(), "acme", "ann", now)
	must(t, err)
	wantUTC("Pending.Expires", p.Expires)
	_, recovery := enrol(t, s, "acme", "ann")
	won, err := s.ConsumeCode(t.Context(), recovery.ID, recovery.Codes[0].Hash, now)
	wantWon(t, won, err, true)
	fs, err := s.Factors(t.Context(), "acme", "ann")
	must(t, err)
	for _, f := range fs {
		wantUTC("Factor.Created of "+f.Kind, f.Created)
		for _, c := range f.Codes {
			wantUTC("RecoveryCode.Used", c.Used)
		}
	}
	must(t, s.PutPolicy(t.Context(), "acme", mfa.Policy{Everyone: true, Since: now}))
	policy, err := s.Policy(t.Context(), "acme")
	must(t, err)
	wantUTC("Policy.Since", policy.Since)
}

func slicesNotShared(t *testing.T, s mfa.Store) {
	p := pendingOf("1", "acme", "ann")
	secret := bytes.Clone(p.Secret)
	must(t, s.PutPending(t.Context(), p))
	clear(p.Secret)
	got, err := s.Pending(t.Context(), "acme", "ann", now)
	if must(t, err); !bytes.Equal(got.Secret, secret) {
		t.Error("PutPending keeps the caller's slice")
	}
	f, recovery := totpOf(got, 1), recoveryOf("r", "acme", "ann")
	won, err := s.Enrol(t.Context(), f, recovery, "")
	wantWon(t, won, err, true)
	clear(f.Secret)
	clear(recovery.Codes[2].Hash)
	for range 2 {
		fs, err := s.Factors(t.Context(), "acme", "ann")
		must(t, err)
		for _, g := range fs {
			if g.Kind == portalsec.FactorTOTP && !bytes.Equal(g.Secret, secret) {
				t.Error("a factor's secret is shared")
			}
			if g.Kind == portalsec.FactorRecovery && !slices.ContainsFunc(g.Codes, func(c mfa.RecoveryCode) bool { return c.Hash[0] == 2 }) {
				t.Error("a code's hash is shared")
			}
			clear(g.Secret)
			for _, c := range g.Codes {
				clear(c.Hash)
			}
		}
	}
}

func cancelled(t *testing.T, s mfa.Store) {
	f, _ := enrol(t, s, "acme", "ann")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	won, err := s.AdvanceTOTP(ctx, f.ID, 101)
	if won == (err != nil) {
		t.Fatalf("AdvanceTOTP with a cancelled context = %t, %v", won, err)
	}
	again, err := s.AdvanceTOTP(t.Context(), f.ID, 101)
	if must(t, err); again == won {
		t.Errorf("the step was won %t with a cancelled context and %t after it", won, again)
	}
}

func idsOf(t *testing.T, s mfa.Store, tenant, user string) []string {
	t.Helper()
	fs, err := s.Factors(t.Context(), tenant, user)
	must(t, err)
	var ids []string
	for _, f := range fs {
		ids = append(ids, f.ID)
	}
	slices.Sort(ids)
	return ids
}

func codesOf(t *testing.T, s mfa.Store, tenant, user, factor string) []mfa.RecoveryCode {
	t.Helper()
	fs, err := s.Factors(t.Context(), tenant, user)
	must(t, err)
	i := slices.IndexFunc(fs, func(f mfa.Factor) bool { return f.ID == factor })
	if i < 0 || len(fs[i].Codes) == 0 {
		t.Fatalf("no codes of %s", factor)
	}
	return fs[i].Codes
}

// race lets many goroutines do act at once and counts those that won.
func race(t *testing.T, act func(i int) (bool, error)) int {
	t.Helper()
	var wins atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			won, err := act(i)
			if err != nil {
				t.Error(err)
			}
			if won {
				wins.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(wins.Load())
}

func oneWinner(t *testing.T, act func(i int) (bool, error)) {
	t.Helper()
	if wins := race(t, act); wins != 1 {
		t.Errorf("%d of %d won, want 1", wins, racers)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantWon(t *testing.T, won bool, err error, want bool) {
	t.Helper()
	if must(t, err); won != want {
		t.Fatalf("won = %t, want %t", won, want)
	}
}
