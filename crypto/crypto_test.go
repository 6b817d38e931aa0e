// SPDX-License-Identifier: Apache-2.0

package crypto_test

import (
	"context"
	"crypto/fips140"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/crypto"
	"github.com/stretchr/testify/require"
)

// events collects what is recorded, or refuses it with err.
type events struct {
	mu  sync.Mutex
	all []audit.Event
	err error
}

func (e *events) Record(_ context.Context, ev audit.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return e.err
	}
	e.all = append(e.all, ev)
	return nil
}

// take gives the events of a kind so far, and forgets all.
func (e *events) take(kind audit.Kind) []audit.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	got := slices.DeleteFunc(e.all, func(ev audit.Event) bool { return ev.Kind != kind })
	e.all = nil
	return got
}

func keyFile(t testing.TB) *crypto.KeyFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.key")
	require.NoError(t, crypto.GenerateKeyFile(path))
	f, err := crypto.OpenKeyFile(path)
	require.NoError(t, err)
	return f
}

func newRing(t testing.TB, cfg crypto.Config) *crypto.Keyring {
	t.Helper()
	if cfg.Root == nil {
		cfg.Root = keyFile(t)
	}
	if cfg.Store == nil {
		cfg.Store = crypto.NewMemory()
	}
	if cfg.Audit == nil {
		cfg.Audit = audit.Discard
	}
	k, err := crypto.New(t.Context(), cfg)
	require.NoError(t, err)
	return k
}

// clock is a clock that stands until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// counting counts the calls that reach a store.
type counting struct {
	crypto.KeyStore
	mu    sync.Mutex
	calls map[string]int
}

func (c *counting) count(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	c.calls[call]++
}

func (c *counting) ActiveKey(ctx context.Context, s crypto.Scope) (crypto.KeyRecord, error) {
	c.count("active " + string(s.Kind))
	return c.KeyStore.ActiveKey(ctx, s)
}

func (c *counting) Key(ctx context.Context, id crypto.KeyID) (crypto.KeyRecord, error) {
	c.count("key")
	return c.KeyStore.Key(ctx, id)
}

func (c *counting) EnsureKey(ctx context.Context, r crypto.KeyRecord) (crypto.KeyRecord, error) {
	c.count("ensure " + string(r.Scope.Kind))
	return c.KeyStore.EnsureKey(ctx, r)
}

func newFiles(t testing.TB, k *crypto.Keyring) (*crypto.Files, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return k.Files(root), dir
}

// create writes a file, also where fips140=only refuses counted nonces: see docs/crypto.md.
func create(ctx context.Context, s *crypto.Files, row crypto.Row, r io.Reader) (n int64, err error) {
	fips140.WithoutEnforcement(func() { n, err = s.Create(ctx, row, r) })
	return n, err
}
