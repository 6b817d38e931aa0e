// SPDX-License-Identifier: Apache-2.0

package cryptotest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec/crypto"
	"github.com/portalsec/portalsec/crypto/cryptotest"
	"github.com/stretchr/testify/require"
)

// broken gives stores that each break one promise.
var broken = map[string]func() crypto.KeyStore{
	"last candidate wins": func() crypto.KeyStore { return &bad{ensure: lastWins} },
	"check, then act":     func() crypto.KeyStore { return &bad{ensure: checkThenAct} },
	"returns the candidate": func() crypto.KeyStore {
		return &bad{ensure: func(b *bad, ctx context.Context, r crypto.KeyRecord) (crypto.KeyRecord, error) {
			_, err := b.good().EnsureKey(ctx, r)
			return r, err
		}}
	},
	"no tombstone": func() crypto.KeyStore {
		return &bad{shred: func(b *bad, _ context.Context, _, _ string, _ crypto.KeyID, _ time.Time) error {
			b.memory.Store(crypto.NewMemory())
			return nil
		}}
	},
	"shreds nothing": func() crypto.KeyStore {
		return &bad{shred: func(*bad, context.Context, string, string, crypto.KeyID, time.Time) error { return nil }}
	},
	"shreds in any tenant": func() crypto.KeyStore {
		return &bad{shred: func(b *bad, ctx context.Context, tenant, subject string, id crypto.KeyID, at time.Time) error {
			other := id
			other[0]++
			return errors.Join(b.good().ShredSubject(ctx, tenant, subject, id, at), b.good().ShredSubject(ctx, "", subject, other, at))
		}}
	},
	"ignores its context": func() crypto.KeyStore {
		return &bad{ensure: func(b *bad, _ context.Context, r crypto.KeyRecord) (crypto.KeyRecord, error) {
			return b.good().EnsureKey(context.Background(), r)
		}}
	},
}

// bad is a good store, but for what is set.
type bad struct {
	memory atomic.Pointer[crypto.Memory]
	ensure func(*bad, context.Context, crypto.KeyRecord) (crypto.KeyRecord, error)
	shred  func(*bad, context.Context, string, string, crypto.KeyID, time.Time) error
}

func (b *bad) good() *crypto.Memory {
	b.memory.CompareAndSwap(nil, crypto.NewMemory())
	return b.memory.Load()
}

func (b *bad) ActiveKey(ctx context.Context, s crypto.Scope) (crypto.KeyRecord, error) {
	return b.good().ActiveKey(ctx, s)
}

func (b *bad) Key(ctx context.Context, id crypto.KeyID) (crypto.KeyRecord, error) {
	return b.good().Key(ctx, id)
}

func (b *bad) EnsureKey(ctx context.Context, r crypto.KeyRecord) (crypto.KeyRecord, error) {
	if b.ensure == nil {
		return b.good().EnsureKey(ctx, r)
	}
	return b.ensure(b, ctx, r)
}

func (b *bad) ShredSubject(ctx context.Context, tenant, subject string, tombstone crypto.KeyID, at time.Time) error {
	if b.shred == nil {
		return b.good().ShredSubject(ctx, tenant, subject, tombstone, at)
	}
	return b.shred(b, ctx, tenant, subject, tombstone, at)
}

// lastWins forgets what it had.
func lastWins(b *bad, ctx context.Context, r crypto.KeyRecord) (crypto.KeyRecord, error) {
	if _, err := b.ActiveKey(ctx, r.Scope); err == nil {
		b.memory.Store(crypto.NewMemory())
	}
	return b.good().EnsureKey(ctx, r)
}

// checkThenAct looks and stores in two steps, as a store without a unique index does.
func checkThenAct(b *bad, ctx context.Context, r crypto.KeyRecord) (crypto.KeyRecord, error) {
	got, err := b.ActiveKey(ctx, r.Scope)
	if !errors.Is(err, crypto.ErrNotFound) {
		return got, err
	}
	runtime.Gosched() // where a real store waits for its disk
	_, err = b.good().EnsureKey(ctx, r)
	return r, err
}

// TestRunCatches asserts that the kit fails each broken store. A failing test is run in a process of its own.
func TestRunCatches(t *testing.T) {
	t.Parallel()
	const env = "CRYPTOTEST_BROKEN"
	if name := os.Getenv(env); name != "" {
		cryptotest.Run(t, func(*testing.T) crypto.KeyStore { return broken[name]() })
		return
	}
	for name := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRunCatches$", "-test.count=1")
			cmd.Env = append(os.Environ(), env+"="+name)
			out, err := cmd.CombinedOutput()
			var failed *exec.ExitError
			require.ErrorAs(t, err, &failed, "the kit passed it:\n%s", out)
			require.Contains(t, string(out), "--- FAIL: TestRunCatches/")
		})
	}
}
