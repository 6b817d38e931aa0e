// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/crypto"
	"github.com/portalsec/portalsec/crypto/cryptotest"
	"github.com/stretchr/testify/require"
)

func TestKeys(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		cryptotest.Run(t, func(t *testing.T) crypto.KeyStore {
			db, _ := b.open(t)
			return db.Keys()
		})
	})
}

// TestKeysOneActive starts many key rings over several connections on an empty database at once.
func TestKeysOneActive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := filepath.Join(dir, "root.key")
	require.NoError(t, crypto.GenerateKeyFile(root))
	dsn := sqlstore.SQLiteDSN(filepath.Join(dir, "keys.db"))

	row := crypto.Row{Tenant: "acme", Subject: "ann", ID: "1"}
	var mu sync.Mutex
	var sealed [][]byte
	var fields []*crypto.Field
	var wg sync.WaitGroup
	for range 3 { // as three processes would
		db, err := sql.Open("sqlite", dsn)
		require.NoError(t, err)
		t.Cleanup(func() { _ = db.Close() })
		store, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite)
		require.NoError(t, err)
		for range 6 {
			wg.Go(func() {
				file, err := crypto.OpenKeyFile(root)
				if !noError(t, err) {
					return
				}
				ring, err := crypto.New(t.Context(), crypto.Config{Root: file, Store: store.Keys(), Audit: audit.Discard})
				if !noError(t, err) {
					return
				}
				f := ring.Field("customers", "email")
				v, err := f.Seal(t.Context(), row, []byte("ann@example.org"))
				if !noError(t, err) {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				sealed, fields = append(sealed, v), append(fields, f)
			})
		}
	}
	wg.Wait()
	require.Len(t, sealed, 18)
	for i, v := range sealed {
		require.Equal(t, sealed[0][:9], v[:9], "all under one key")
		got, err := fields[(i+7)%len(fields)].Open(t.Context(), row, v)
		require.NoError(t, err)
		require.Equal(t, "ann@example.org", string(got))
	}
	db, err := sql.Open("sqlite", dsn)
	require.NoError(t, err)
	defer db.Close()
	var n int
	require.NoError(t, db.QueryRow(`SELECT COUNT(*) FROM ps_crypto_key`).Scan(&n))
	require.Equal(t, 3, n, "root, tenant and subject")
}

// noError is for goroutines that are not the test's own, which must not stop it.
func noError(t *testing.T, err error) bool {
	if err != nil {
		t.Errorf("unexpected error: %v", err)
	}
	return err == nil
}

// TestKeysShreddedOnDisk looks for the wrapped key in the bytes of the database.
func TestKeysShreddedOnDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.db")
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(path))
	require.NoError(t, err)
	defer db.Close()
	store, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite)
	require.NoError(t, err)
	rec := crypto.KeyRecord{
		ID: crypto.KeyID{1}, Scope: crypto.Scope{Kind: crypto.KindSubject, Tenant: "a", Subject: "b"}, Version: 1,
		Wrapped: bytes.Repeat([]byte("wrapped!"), 9), Created: time.Unix(1, 0),
	}
	_, err = store.Keys().EnsureKey(t.Context(), rec)
	require.NoError(t, err)
	onDisk := func() bool {
		_, err := db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
		require.NoError(t, err)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		return bytes.Contains(content, []byte("wrapped!"))
	}
	require.True(t, onDisk())
	require.NoError(t, store.Keys().ShredSubject(t.Context(), "a", "b", crypto.KeyID{2}, time.Unix(2, 0)))
	require.False(t, onDisk())
}
