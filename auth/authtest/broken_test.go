// SPDX-License-Identifier: Apache-2.0

package authtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/authtest"
)

// store is both of the kits' stores.
type store interface {
	auth.AccountStore
	auth.OneTimeStore
}

// broken are stores with one mistake each. The kits must find every one.
var broken = map[string]func(*auth.Memory) store{
	"create looks before it writes":         func(m *auth.Memory) store { return looksFirst{m} },
	"set password writes whatever is there": func(m *auth.Memory) store { return overwrites{m} },
	"set password leaves the version":       func(m *auth.Memory) store { return sameVersion{m} },
	"history grows without end":             func(m *auth.Memory) store { return endless{m} },
	"history is oldest first":               func(m *auth.Memory) store { return oldestFirst{m} },
	"history is given by a deleted account": func(m *auth.Memory) store { return remembers{m} },
	"upgrade looks before it writes":        func(m *auth.Memory) store { return staleUpgrade{m} },
	"set login looks before it writes":      func(m *auth.Memory) store { return sharedLogin{m} },
	"set profile writes whatever is there":  func(m *auth.Memory) store { return lostUpdate{m} },
	"freezing raises the version":           func(m *auth.Memory) store { return freezes{m} },
	"marking a login sets it back":          func(m *auth.Memory) store { return marksBack{Memory: m, at: map[string]time.Time{}} },
	"list has no pages":                     func(m *auth.Memory) store { return onePage{m} },
	"an ended context is not seen":          func(m *auth.Memory) store { return goesOn{m} },
	"consume looks before it removes":       func(m *auth.Memory) store { return twice{m} },
	"consume removes nothing":               func(m *auth.Memory) store { return forever{m} },
	"consume does not look at the purpose":  func(m *auth.Memory) store { return anyPurpose{m} },
	"revoke does not look at the purpose":   func(m *auth.Memory) store { return revokesAll{m} },
	"prune removes what has not ended":      func(m *auth.Memory) store { return early{m} },
	"one-time data is cut short":            func(m *auth.Memory) store { return short{m} },
}

// latency is a round trip to a server: the window of a race.
func latency() { time.Sleep(time.Millisecond) }

type looksFirst struct{ *auth.Memory }

func (s looksFirst) CreateAccount(ctx context.Context, a auth.AccountRecord) error {
	if _, err := s.AccountByLogin(ctx, [][]byte{a.Login}); !errors.Is(err, auth.ErrNoAccount) {
		return errors.Join(err, auth.ErrEmailTaken)
	}
	latency()
	err := s.Memory.CreateAccount(ctx, a)
	if errors.Is(err, auth.ErrEmailTaken) { // no unique index behind it
		return nil
	}
	return err
}

type overwrites struct{ *auth.Memory }

func (s overwrites) SetPassword(ctx context.Context, id string, _ int64, p auth.NewPassword) (bool, error) {
	a, err := s.Account(ctx, id)
	if err != nil {
		return false, err
	}
	return s.Memory.SetPassword(ctx, id, a.Version, p)
}

type sameVersion struct{ *auth.Memory }

func (s sameVersion) SetPassword(ctx context.Context, id string, version int64, p auth.NewPassword) (bool, error) {
	a, err := s.Account(ctx, id)
	if err != nil || a.Version != version {
		return false, err
	}
	return s.UpgradePasswordHash(ctx, id, a.PasswordHash, p.Hash)
}

type endless struct{ *auth.Memory }

func (s endless) SetPassword(ctx context.Context, id string, version int64, p auth.NewPassword) (bool, error) {
	p.Keep = 1000
	return s.Memory.SetPassword(ctx, id, version, p)
}

type oldestFirst struct{ *auth.Memory }

func (s oldestFirst) PasswordHistory(ctx context.Context, id string) ([]string, error) {
	h, err := s.Memory.PasswordHistory(ctx, id)
	slices.Reverse(h)
	return h, err
}

type remembers struct{ *auth.Memory }

func (s remembers) PasswordHistory(ctx context.Context, id string) ([]string, error) {
	h, err := s.Memory.PasswordHistory(ctx, id)
	if errors.Is(err, auth.ErrNoAccount) {
		return nil, nil
	}
	return h, err
}

type sharedLogin struct{ *auth.Memory }

func (s sharedLogin) SetLogin(ctx context.Context, id string, version int64, login, profile []byte) (bool, error) {
	if other, err := s.AccountByLogin(ctx, [][]byte{login}); err == nil && other.ID != id {
		return false, auth.ErrEmailTaken
	}
	latency()
	won, err := s.Memory.SetLogin(ctx, id, version, login, profile)
	if errors.Is(err, auth.ErrEmailTaken) { // no unique index behind it
		return true, nil
	}
	return won, err
}

type lostUpdate struct{ *auth.Memory }

func (s lostUpdate) SetProfile(ctx context.Context, id string, _, profile []byte) (bool, error) {
	a, err := s.Account(ctx, id)
	if err != nil {
		return false, err
	}
	return s.Memory.SetProfile(ctx, id, a.Profile, profile)
}

type freezes struct{ *auth.Memory }

func (s freezes) SetFrozen(ctx context.Context, id string, until time.Time) error {
	a, err := s.Account(ctx, id)
	if err != nil {
		return err
	}
	return errors.Join(s.Memory.SetFrozen(ctx, id, until), s.SetDisabled(ctx, id, a.Disabled))
}

type marksBack struct {
	*auth.Memory
	at map[string]time.Time
}

func (s marksBack) MarkLogin(ctx context.Context, id string, at time.Time) error {
	s.at[id] = at
	return s.Memory.MarkLogin(ctx, id, at)
}

func (s marksBack) Account(ctx context.Context, id string) (auth.AccountRecord, error) {
	a, err := s.Memory.Account(ctx, id)
	if at, ok := s.at[id]; ok {
		a.LastLogin = at
	}
	return a, err
}

type goesOn struct{ *auth.Memory }

func (s goesOn) SetProfile(ctx context.Context, id string, old, profile []byte) (bool, error) {
	return s.Memory.SetProfile(context.WithoutCancel(ctx), id, old, profile)
}

type staleUpgrade struct{ *auth.Memory }

func (s staleUpgrade) UpgradePasswordHash(ctx context.Context, id, old, hash string) (bool, error) {
	a, err := s.Account(ctx, id)
	if err != nil || a.PasswordHash != old {
		return false, err
	}
	latency()
	if a, err = s.Account(ctx, id); err != nil {
		return false, err
	}
	_, err = s.Memory.UpgradePasswordHash(ctx, id, a.PasswordHash, hash)
	return true, err
}

type onePage struct{ *auth.Memory }

func (s onePage) ListAccounts(ctx context.Context, tenant, _ string, limit int) ([]auth.AccountRecord, error) {
	return s.Memory.ListAccounts(ctx, tenant, "", limit)
}

type twice struct{ *auth.Memory }

func (s twice) ConsumeOneTime(ctx context.Context, p auth.Purpose, token auth.TokenHash) (bool, error) {
	if _, err := s.OneTime(ctx, p, token); errors.Is(err, auth.ErrNoToken) {
		return false, nil
	}
	latency()
	_, err := s.Memory.ConsumeOneTime(ctx, p, token)
	return err == nil, err
}

type forever struct{ *auth.Memory }

func (s forever) ConsumeOneTime(ctx context.Context, p auth.Purpose, token auth.TokenHash) (bool, error) {
	_, err := s.OneTime(ctx, p, token)
	if errors.Is(err, auth.ErrNoToken) {
		return false, nil
	}
	return err == nil, err
}

type anyPurpose struct{ *auth.Memory }

func (s anyPurpose) ConsumeOneTime(ctx context.Context, p auth.Purpose, token auth.TokenHash) (bool, error) {
	for _, p := range []auth.Purpose{p, auth.PurposeLogin, auth.PurposeReset, auth.PurposeEmail} {
		if won, err := s.Memory.ConsumeOneTime(ctx, p, token); won || err != nil {
			return won, err
		}
	}
	return false, nil
}

type revokesAll struct{ *auth.Memory }

func (s revokesAll) RevokeOneTime(ctx context.Context, account string, _ ...auth.Purpose) (int64, error) {
	return s.Memory.RevokeOneTime(ctx, account, auth.PurposeLogin, auth.PurposeReset, auth.PurposeEmail)
}

type early struct{ *auth.Memory }

func (s early) PruneOneTime(ctx context.Context, before time.Time) (int64, error) {
	return s.Memory.PruneOneTime(ctx, before.Add(time.Microsecond))
}

type short struct{ *auth.Memory }

func (s short) CreateOneTime(ctx context.Context, r auth.OneTimeRecord) error {
	r.Data = r.Data[:min(len(r.Data), 4<<10)]
	return s.Memory.CreateOneTime(ctx, r)
}

// slow is a good store behind a few connections to a server.
type slow struct {
	*auth.Memory
	connections chan struct{}
}

func (s slow) wait() { s.connections <- struct{}{}; latency(); <-s.connections }

func (s slow) Account(ctx context.Context, id string) (auth.AccountRecord, error) {
	s.wait()
	return s.Memory.Account(ctx, id)
}

func (s slow) CreateAccount(ctx context.Context, a auth.AccountRecord) error {
	s.wait()
	return s.Memory.CreateAccount(ctx, a)
}

func (s slow) SetPassword(ctx context.Context, id string, version int64, p auth.NewPassword) (bool, error) {
	s.wait()
	return s.Memory.SetPassword(ctx, id, version, p)
}

func (s slow) SetLogin(ctx context.Context, id string, version int64, login, profile []byte) (bool, error) {
	s.wait()
	return s.Memory.SetLogin(ctx, id, version, login, profile)
}

func (s slow) ConsumeOneTime(ctx context.Context, p auth.Purpose, token auth.TokenHash) (bool, error) {
	s.wait()
	return s.Memory.ConsumeOneTime(ctx, p, token)
}

func TestSlowStore(t *testing.T) {
	t.Parallel()
	connections := make(chan struct{}, 4)
	authtest.RunAccounts(t, func(*testing.T) auth.AccountStore { return slow{auth.NewMemory(), connections} })
	authtest.RunOneTime(t, func(*testing.T) auth.OneTimeStore { return slow{auth.NewMemory(), connections} })
}

const variable = "PORTALSEC_BROKEN_STORE"

// TestKitsFindBrokenStores runs the kits on each of them in a process of its own, where they must fail.
func TestKitsFindBrokenStores(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestBrokenStore$")
			cmd.Env = append(os.Environ(), variable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestBrokenStore/") {
				t.Errorf("the kits found nothing: %v\n%s", err, out)
			}
		})
	}
}

// TestBrokenStore is what TestKitsFindBrokenStores runs.
func TestBrokenStore(t *testing.T) {
	b, ok := broken[os.Getenv(variable)]
	if !ok {
		t.Skip("run by TestKitsFindBrokenStores")
	}
	authtest.RunAccounts(t, func(*testing.T) auth.AccountStore { return b(auth.NewMemory()) })
	authtest.RunOneTime(t, func(*testing.T) auth.OneTimeStore { return b(auth.NewMemory()) })
}
