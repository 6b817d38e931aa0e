// SPDX-License-Identifier: Apache-2.0

package authtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/authtest"
)

// store is both of the kits' stores.
type store interface {
	auth.AccountStore
	auth.PendingStore
}

// broken are stores with one mistake each. The kits must find every one.
var broken = map[string]func(*auth.Memory) store{
	"create looks before it writes":         func(m *auth.Memory) store { return looksFirst{m} },
	"set password writes whatever is there": func(m *auth.Memory) store { return overwrites{m} },
	"set password leaves the version":       func(m *auth.Memory) store { return sameVersion{m} },
	"upgrade looks before it writes":        func(m *auth.Memory) store { return staleUpgrade{m} },
	"list has no pages":                     func(m *auth.Memory) store { return onePage{m} },
	"consume looks before it removes":       func(m *auth.Memory) store { return twice{m} },
	"consume removes nothing":               func(m *auth.Memory) store { return forever{m} },
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

func (s overwrites) SetPasswordHash(ctx context.Context, id string, _ int64, hash string) (bool, error) {
	a, err := s.Account(ctx, id)
	if err != nil {
		return false, err
	}
	return s.Memory.SetPasswordHash(ctx, id, a.Version, hash)
}

type sameVersion struct{ *auth.Memory }

func (s sameVersion) SetPasswordHash(ctx context.Context, id string, version int64, hash string) (bool, error) {
	a, err := s.Account(ctx, id)
	if err != nil || a.Version != version {
		return false, err
	}
	return s.UpgradePasswordHash(ctx, id, a.PasswordHash, hash)
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

func (s twice) ConsumePending(ctx context.Context, token auth.TokenHash) (bool, error) {
	if _, err := s.Pending(ctx, token); errors.Is(err, auth.ErrNoPending) {
		return false, nil
	}
	latency()
	_, err := s.Memory.ConsumePending(ctx, token)
	return err == nil, err
}

type forever struct{ *auth.Memory }

func (s forever) ConsumePending(ctx context.Context, token auth.TokenHash) (bool, error) {
	_, err := s.Pending(ctx, token)
	if errors.Is(err, auth.ErrNoPending) {
		return false, nil
	}
	return err == nil, err
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
	authtest.RunPending(t, func(*testing.T) auth.PendingStore { return b(auth.NewMemory()) })
}
