// SPDX-License-Identifier: Apache-2.0

// Package authtest is the conformance kit for implementations of auth.AccountStore and auth.OneTimeStore. A
// store's own test calls [RunAccounts] and [RunOneTime]; each subtest is a sentence of an interface's comment. A store
// needs no more than a few connections: what races waits for its turn.
package authtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth"
)

// start is a time of whole microseconds, as the interface promises.
var start = time.Date(2026, 3, 29, 0, 59, 59, 999_999_000, time.UTC)

// How many goroutines race for an act that one may win: many once, and a few again and again.
const (
	many = 1000
	few  = 16
)

// RunAccounts tests an account store. newStore gives an empty one; it is called once for each subtest.
func RunAccounts(t *testing.T, newStore func(t *testing.T) auth.AccountStore) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s accounts)
	}{
		{"a created account is found whole", roundTrip},
		{"a login is taken once, over all tenants", loginTaken},
		{"of concurrent creations with one login exactly one succeeds", raceCreate},
		{"an account is found by any candidate", byLogin},
		{"an unknown ID gives ErrNoAccount", unknownID},
		{"a list is of one tenant, in order, in pages", listPages},
		{"a password is set against its version", setPassword},
		{"of concurrent changes of a password exactly one wins", raceSetPassword},
		{"a replaced password goes to the history, of which the newest stay", history},
		{"a hash is upgraded against the old one and keeps the version", upgrade},
		{"of concurrent upgrades exactly one wins", raceUpgrade},
		{"an upgrade does not undo a change", raceUpgradeAgainstSet},
		{"a login is replaced against the version", setLogin},
		{"of concurrent changes to one login exactly one succeeds", raceSetLogin},
		{"a profile is replaced against the old one and keeps the version", setProfile},
		{"of concurrent changes of a profile exactly one wins", raceSetProfile},
		{"freezing keeps the version", setFrozen},
		{"disabling raises the version each time", setDisabled},
		{"marking a login never sets it back", markLogin},
		{"a deleted account is gone and its login free", deleteAccount},
		{"slices are not shared with the caller", accountNotShared},
		{"an act under an ended context does nothing", accountsEnded},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, accounts{newStore(t), t})
		})
	}
}

// accounts calls an auth.AccountStore and fails the test on an error.
type accounts struct {
	auth.AccountStore
	t *testing.T
}

func (s accounts) create(a auth.AccountRecord) auth.AccountRecord {
	s.t.Helper()
	if err := s.CreateAccount(s.t.Context(), a); err != nil {
		s.t.Fatalf("CreateAccount(%s): %v", a.ID, err)
	}
	return a
}

func (s accounts) want(want auth.AccountRecord) {
	s.t.Helper()
	got, err := s.Account(s.t.Context(), want.ID)
	if err != nil || !reflect.DeepEqual(got, want) {
		s.t.Errorf("Account(%s) = %+v, %v, want %+v", want.ID, got, err, want)
	}
}

func account(tenant, id string) auth.AccountRecord {
	return auth.AccountRecord{
		ID: id, Tenant: tenant, Login: []byte("\x00login of " + id), Profile: []byte{0, 0xff, 'p'},
		PasswordHash: "$hash$" + id, PasswordSet: start, Version: 1, Created: start,
	}
}

func roundTrip(t *testing.T, s accounts) {
	a, b := account("acme", "a"), account("", "b")
	b.Disabled, b.LastLogin, b.Version = true, start.Add(time.Microsecond), 1<<40
	b.FrozenUntil, b.Profile = start.Add(time.Hour), bytes.Repeat([]byte{0xff, 0}, 1<<10)
	b.PasswordHash = strings.Repeat("h", 512)
	c := account("", "c")
	c.PasswordHash, c.PasswordSet = "", time.Time{}
	for _, a := range []auth.AccountRecord{a, b, c} {
		s.create(a)
	}
	for _, a := range []auth.AccountRecord{a, b, c} {
		s.want(a)
	}
	got, _ := s.Account(t.Context(), "b")
	for _, at := range []time.Time{got.Created, got.LastLogin, got.PasswordSet, got.FrozenUntil} {
		if at.Location() != time.UTC {
			t.Errorf("%v is not in UTC", at)
		}
	}
}

func loginTaken(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	b := account("zeta", "b")
	b.Login = a.Login
	if err := s.CreateAccount(t.Context(), b); !errors.Is(err, auth.ErrEmailTaken) {
		t.Errorf("CreateAccount with a taken login: %v, want ErrEmailTaken", err)
	}
	if _, err := s.Account(t.Context(), "b"); !errors.Is(err, auth.ErrNoAccount) {
		t.Errorf("Account of a refused creation: %v, want ErrNoAccount", err)
	}
	s.want(a)
}

func raceCreate(t *testing.T, s accounts) {
	won := race(t, many, func(i int) (bool, error) {
		a := account("acme", fmt.Sprint(i))
		a.Login = []byte("one login")
		err := s.CreateAccount(t.Context(), a)
		if errors.Is(err, auth.ErrEmailTaken) {
			return false, nil
		}
		return err == nil, err
	})
	list, err := s.ListAccounts(t.Context(), "acme", "", 2*many)
	if won != 1 || len(list) != 1 || err != nil {
		t.Errorf("%d creations succeeded, %d accounts, %v, want 1 of each", won, len(list), err)
	}
}

func byLogin(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	s.create(account("acme", "b"))
	for name, candidates := range map[string][][]byte{
		"alone": {a.Login}, "first": {a.Login, []byte("x")}, "last": {[]byte("x"), []byte("y"), a.Login},
	} {
		if got, err := s.AccountByLogin(t.Context(), candidates); err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("%s: AccountByLogin = %+v, %v, want %+v", name, got, err, a)
		}
	}
	for name, candidates := range map[string][][]byte{"none": nil, "unknown": {[]byte("x")}, "beginning": {a.Login[:4]}, "empty": {{}}} {
		if got, err := s.AccountByLogin(t.Context(), candidates); !errors.Is(err, auth.ErrNoAccount) {
			t.Errorf("%s: AccountByLogin = %q, %v, want ErrNoAccount", name, got.ID, err)
		}
	}
}

func unknownID(t *testing.T, s accounts) {
	s.create(account("acme", "a"))
	for _, id := range []string{"", "b", "A"} {
		for name, act := range s.acts(t.Context(), id) {
			if err := act(); !errors.Is(err, auth.ErrNoAccount) {
				t.Errorf("%s(%q): %v, want ErrNoAccount", name, id, err)
			}
		}
	}
	s.want(account("acme", "a"))
}

// acts gives all acts on one account.
func (s accounts) acts(ctx context.Context, id string) map[string]func() error {
	return map[string]func() error{
		"Account":             func() error { _, err := s.Account(ctx, id); return err },
		"SetPassword":         func() error { _, err := s.SetPassword(ctx, id, 1, password("x", 1)); return err },
		"PasswordHistory":     func() error { _, err := s.PasswordHistory(ctx, id); return err },
		"UpgradePasswordHash": func() error { _, err := s.UpgradePasswordHash(ctx, id, "$hash$a", "x"); return err },
		"SetLogin":            func() error { _, err := s.SetLogin(ctx, id, 1, []byte("x"), []byte("y")); return err },
		"SetProfile":          func() error { _, err := s.SetProfile(ctx, id, account("", "a").Profile, []byte("y")); return err },
		"SetFrozen":           func() error { return s.SetFrozen(ctx, id, start) },
		"SetDisabled":         func() error { return s.SetDisabled(ctx, id, true) },
		"MarkLogin":           func() error { return s.MarkLogin(ctx, id, start) },
		"DeleteAccount":       func() error { return s.DeleteAccount(ctx, id) },
	}
}

func listPages(t *testing.T, s accounts) {
	for _, id := range []string{"d", "b", "e", "a", "c"} {
		s.create(account("acme", id))
	}
	s.create(account("acme2", "bb"))
	for _, id := range []string{"b", "B", "a", "~", "-"} { // byte order, and a tenant that differs in the case of its letters
		s.create(account("ACME", "x"+id))
	}
	for _, c := range []struct {
		tenant, after string
		limit         int
		want          []string
	}{
		{"acme", "", 10, []string{"a", "b", "c", "d", "e"}},
		{"acme", "", 5, []string{"a", "b", "c", "d", "e"}},
		{"acme", "", 2, []string{"a", "b"}},
		{"acme", "b", 2, []string{"c", "d"}},
		{"acme", "bb", 2, []string{"c", "d"}},
		{"acme", "d", 2, []string{"e"}},
		{"acme", "e", 2, nil},
		{"acme2", "", 2, []string{"bb"}},
		{"ACME", "", 9, []string{"x-", "xB", "xa", "xb", "x~"}},
		{"ACME", "xB", 2, []string{"xa", "xb"}},
		{"", "", 2, nil},
	} {
		records, err := s.ListAccounts(t.Context(), c.tenant, c.after, c.limit)
		var got []string
		for _, r := range records {
			got = append(got, r.ID)
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("ListAccounts(%q, %q, %d) = %q, %v, want %q", c.tenant, c.after, c.limit, got, err, c.want)
		}
	}
	records, err := s.ListAccounts(t.Context(), "acme2", "", 1)
	if err != nil || !reflect.DeepEqual(records, []auth.AccountRecord{account("acme2", "bb")}) {
		t.Errorf("ListAccounts = %+v, %v", records, err)
	}
}

// password gives a password that is set an hour after start.
func password(hash string, keep int) auth.NewPassword {
	return auth.NewPassword{Hash: hash, Set: start.Add(time.Hour), Keep: keep}
}

func setPassword(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	b := s.create(account("acme", "b"))
	for _, version := range []int64{0, 2} {
		if won, err := s.SetPassword(t.Context(), "a", version, password("wrong", 5)); won || err != nil {
			t.Errorf("SetPassword against version %d = %v, %v, want false", version, won, err)
		}
	}
	s.want(a)
	s.wantHistory("a")
	if won, err := s.SetPassword(t.Context(), "a", 1, password("new", 5)); !won || err != nil {
		t.Errorf("SetPassword = %v, %v, want true", won, err)
	}
	a.PasswordHash, a.PasswordSet, a.Version = "new", start.Add(time.Hour), 2
	s.want(a)
	if won, err := s.SetPassword(t.Context(), "a", 2, auth.NewPassword{Keep: 5}); !won || err != nil {
		t.Errorf("SetPassword that takes it away = %v, %v, want true", won, err)
	}
	a.PasswordHash, a.PasswordSet, a.Version = "", time.Time{}, 3
	s.want(a)
	s.want(b)
	s.wantHistory("b")
}

func raceSetPassword(t *testing.T, s accounts) {
	for i, n := range []int{many, few, few, few, few} {
		a := s.create(account("acme", fmt.Sprint("account", i)))
		won := race(t, n, func(j int) (bool, error) {
			return s.SetPassword(t.Context(), a.ID, 1, password(fmt.Sprint("new", j), 5))
		})
		got, err := s.Account(t.Context(), a.ID)
		if won != 1 || got.Version != 2 || err != nil {
			t.Errorf("%d changes won, version %d, %v, want 1 and 2", won, got.Version, err)
		}
		s.wantHistory(a.ID, a.PasswordHash)
	}
}

func (s accounts) wantHistory(id string, want ...string) {
	s.t.Helper()
	got, err := s.PasswordHistory(s.t.Context(), id)
	if err != nil || !slices.Equal(got, want) {
		s.t.Errorf("PasswordHistory(%s) = %q, %v, want %q", id, got, err, want)
	}
}

func history(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	s.create(account("acme", "b"))
	for i, c := range []struct {
		hash string
		keep int
		want []string
	}{
		{"1", 3, []string{a.PasswordHash}},
		{"2", 3, []string{"1", a.PasswordHash}},
		{"", 3, []string{"2", "1", a.PasswordHash}},
		{"3", 3, []string{"2", "1", a.PasswordHash}}, // no password is nothing to remember
		{"2", 3, []string{"3", "2", "1"}},
		{"4", 3, []string{"2", "3", "2"}},
		{"5", 2, []string{"4", "2"}},
		{"6", 9, []string{"5", "4", "2"}},
		{"7", 0, nil},
		{"8", 9, []string{"7"}},
	} {
		p := password(c.hash, c.keep)
		p.Set = start // one moment for all: it is no order
		if won, err := s.SetPassword(t.Context(), "a", int64(i+1), p); !won || err != nil {
			t.Fatalf("SetPassword to %q = %v, %v, want true", c.hash, won, err)
		}
		s.wantHistory("a", c.want...)
	}
	s.wantHistory("b")
	if err := s.DeleteAccount(t.Context(), "a"); err != nil {
		t.Fatalf("DeleteAccount: %v", err)
	}
	s.create(a)
	s.wantHistory("a")
}

func upgrade(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	if won, err := s.UpgradePasswordHash(t.Context(), "a", "other", "wrong"); won || err != nil {
		t.Errorf("UpgradePasswordHash against another hash = %v, %v, want false", won, err)
	}
	s.want(a)
	if won, err := s.UpgradePasswordHash(t.Context(), "a", a.PasswordHash, "new"); !won || err != nil {
		t.Errorf("UpgradePasswordHash = %v, %v, want true", won, err)
	}
	a.PasswordHash = "new"
	s.want(a)
}

func raceUpgrade(t *testing.T, s accounts) {
	for i, n := range []int{many, few, few} {
		a := s.create(account("acme", fmt.Sprint("account", i)))
		won := race(t, n, func(i int) (bool, error) {
			return s.UpgradePasswordHash(t.Context(), a.ID, a.PasswordHash, fmt.Sprint("new", i))
		})
		if won != 1 {
			t.Errorf("%d upgrades won, want 1", won)
		}
	}
}

func raceUpgradeAgainstSet(t *testing.T, s accounts) {
	for i := range 20 {
		a := s.create(account("acme", fmt.Sprint("account", i)))
		race(t, few, func(j int) (bool, error) {
			if j == 0 {
				return s.SetPassword(t.Context(), a.ID, 1, password("changed", 0))
			}
			return s.UpgradePasswordHash(t.Context(), a.ID, a.PasswordHash, "upgraded")
		})
		a.PasswordHash, a.PasswordSet, a.Version = "changed", start.Add(time.Hour), 2
		s.want(a)
	}
}

func setLogin(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	b := s.create(account("zeta", "b"))
	for _, version := range []int64{0, 2} {
		if won, err := s.SetLogin(t.Context(), "a", version, []byte("other"), []byte("p")); won || err != nil {
			t.Errorf("SetLogin against version %d = %v, %v, want false", version, won, err)
		}
	}
	if won, err := s.SetLogin(t.Context(), "a", 1, b.Login, []byte("p")); won || !errors.Is(err, auth.ErrEmailTaken) {
		t.Errorf("SetLogin to a taken login = %v, %v, want ErrEmailTaken", won, err)
	}
	s.want(a)
	old := a.Login
	a.Login, a.Profile = []byte("other\x00"), []byte("other profile")
	for range 2 { // the second time to its own
		if won, err := s.SetLogin(t.Context(), "a", a.Version, a.Login, a.Profile); !won || err != nil {
			t.Errorf("SetLogin = %v, %v, want true", won, err)
		}
		a.Version++
		s.want(a)
	}
	s.want(b)
	if got, err := s.AccountByLogin(t.Context(), [][]byte{old}); !errors.Is(err, auth.ErrNoAccount) {
		t.Errorf("AccountByLogin of the old login = %q, %v, want ErrNoAccount", got.ID, err)
	}
	if got, err := s.AccountByLogin(t.Context(), [][]byte{a.Login}); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("AccountByLogin of the new login = %+v, %v, want %+v", got, err, a)
	}
	c := account("acme", "c")
	c.Login = old
	s.create(c)
}

func raceSetLogin(t *testing.T, s accounts) {
	const accounts = 50
	for i := range accounts {
		s.create(account("acme", fmt.Sprint(i)))
	}
	won := race(t, many, func(i int) (bool, error) {
		won, err := s.SetLogin(t.Context(), fmt.Sprint(i%accounts), 1, []byte("one login"), []byte("p"))
		if errors.Is(err, auth.ErrEmailTaken) {
			return won, nil
		}
		return won, err
	})
	if won != 1 {
		t.Errorf("%d changes succeeded, want 1", won)
	}
	moved := 0
	for i := range accounts {
		a, err := s.Account(t.Context(), fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if string(a.Login) == "one login" {
			moved++
		}
	}
	if moved != 1 {
		t.Errorf("%d accounts have one login, want 1", moved)
	}
}

func setProfile(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	b := s.create(account("acme", "b"))
	if won, err := s.SetProfile(t.Context(), "a", a.Profile[:2], []byte("wrong")); won || err != nil {
		t.Errorf("SetProfile against another = %v, %v, want false", won, err)
	}
	s.want(a)
	for _, to := range []string{"new\x00", "new\x00"} { // the second time to what it is
		if won, err := s.SetProfile(t.Context(), "a", a.Profile, []byte(to)); !won || err != nil {
			t.Errorf("SetProfile = %v, %v, want true", won, err)
		}
		a.Profile = []byte(to)
		s.want(a)
	}
	s.want(b)
}

func raceSetProfile(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	won := race(t, many, func(i int) (bool, error) {
		return s.SetProfile(t.Context(), "a", a.Profile, fmt.Append(nil, "new", i))
	})
	if won != 1 {
		t.Errorf("%d changes won, want 1", won)
	}
}

func setFrozen(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	b := s.create(account("acme", "b"))
	for _, until := range []time.Time{start.Add(time.Hour), start.Add(time.Hour), start, {}, {}} {
		if err := s.SetFrozen(t.Context(), "a", until); err != nil {
			t.Fatalf("SetFrozen(%v): %v", until, err)
		}
		a.FrozenUntil = until
		s.want(a)
	}
	s.want(b)
}

func setDisabled(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	b := s.create(account("acme", "b"))
	for _, disabled := range []bool{true, true, false, false} {
		if err := s.SetDisabled(t.Context(), "a", disabled); err != nil {
			t.Fatalf("SetDisabled: %v", err)
		}
		a.Disabled = disabled
		a.Version++
		s.want(a)
	}
	s.want(b)
}

func markLogin(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	for _, d := range []time.Duration{0, time.Hour, time.Minute, time.Hour} {
		if err := s.MarkLogin(t.Context(), "a", start.Add(d)); err != nil {
			t.Fatalf("MarkLogin: %v", err)
		}
		if a.LastLogin.Before(start.Add(d)) {
			a.LastLogin = start.Add(d)
		}
		s.want(a)
	}
}

func deleteAccount(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	b := s.create(account("acme", "b"))
	if err := s.DeleteAccount(t.Context(), "a"); err != nil {
		t.Fatalf("DeleteAccount: %v", err)
	}
	for name, act := range s.acts(t.Context(), "a") {
		if err := act(); !errors.Is(err, auth.ErrNoAccount) {
			t.Errorf("%s of a deleted account: %v, want ErrNoAccount", name, err)
		}
	}
	if _, err := s.AccountByLogin(t.Context(), [][]byte{a.Login}); !errors.Is(err, auth.ErrNoAccount) {
		t.Errorf("AccountByLogin of a deleted account: %v, want ErrNoAccount", err)
	}
	s.want(b)
	again := account("zeta", "c")
	again.Login = a.Login
	s.create(again)
	s.want(again)
}

func accountNotShared(t *testing.T, s accounts) {
	a, given := account("acme", "a"), account("acme", "a")
	s.create(given)
	given.Login[0], given.Profile[0] = 1, 1
	s.want(a)
	login, profile := []byte("login"), []byte("profile")
	if _, err := s.SetLogin(t.Context(), "a", 1, login, profile); err != nil {
		t.Fatal(err)
	}
	login[0], profile[0] = 1, 1
	a.Login, a.Profile, a.Version = []byte("login"), []byte("profile"), 2
	s.want(a)
	got, err := s.Account(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	got.Login[0], got.Profile[0] = 1, 1
	s.want(a)
	profile = []byte("other")
	if _, err := s.SetProfile(t.Context(), "a", a.Profile, profile); err != nil {
		t.Fatal(err)
	}
	profile[0] = 1
	a.Profile = []byte("other")
	s.want(a)
}

func accountsEnded(t *testing.T, s accounts) {
	a := s.create(account("acme", "a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	acts := s.acts(ctx, "a")
	acts["CreateAccount"] = func() error { return s.CreateAccount(ctx, account("acme", "b")) }
	acts["AccountByLogin"] = func() error { _, err := s.AccountByLogin(ctx, [][]byte{a.Login}); return err }
	acts["ListAccounts"] = func() error { _, err := s.ListAccounts(ctx, "acme", "", 1); return err }
	for name, act := range acts {
		if err := act(); err == nil || errors.Is(err, auth.ErrNoAccount) {
			t.Errorf("%s under an ended context: %v, want its error", name, err)
		}
	}
	s.want(a)
	s.wantHistory("a")
	if _, err := s.Account(t.Context(), "b"); !errors.Is(err, auth.ErrNoAccount) {
		t.Errorf("Account of an ended creation: %v, want ErrNoAccount", err)
	}
}

// race calls act in n goroutines at once, tells how many won, and fails the test on an error of any.
func race(t *testing.T, n int, act func(i int) (won bool, err error)) int {
	t.Helper()
	var wins atomic.Int32
	var wg sync.WaitGroup
	ready := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-ready
			won, err := act(i)
			if err != nil {
				t.Error(err)
			}
			if won {
				wins.Add(1)
			}
		})
	}
	close(ready)
	wg.Wait()
	return int(wins.Load())
}
