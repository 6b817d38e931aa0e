// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"bytes"
	"database/sql"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/auth/throttle/throttletest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAttempts(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		throttletest.Run(t, func(t *testing.T) throttle.Store {
			s, _ := b.open(t)
			return s.Attempts()
		})
	})
}

// Several processes that share a file let no more attempts through than one would.
func TestAttemptsSeveralPools(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	var name, path string
	var seq int
	require.NoError(t, db.QueryRow(`PRAGMA database_list`).Scan(&seq, &name, &path))
	stores := []*sqlstore.Attempts{s.Attempts()}
	for range 3 {
		db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(path))
		require.NoError(t, err)
		t.Cleanup(func() { _ = db.Close() })
		s, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite)
		require.NoError(t, err)
		stores = append(stores, s.Attempts())
	}
	lane := throttle.Lane{Kind: throttle.KindAccount, Limit: throttle.Limit{Free: 1000, Cap: 10, MaxWait: time.Hour}}
	var allowed atomic.Int32
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			d, err := stores[i%len(stores)].TakeAttempt(t.Context(), []throttle.Lane{lane}, time.Unix(1, 0))
			assert.NoError(t, err)
			if d.Allowed {
				allowed.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 10, allowed.Load())
}

// Neither the table nor the files behind it hold the login name or the address.
func TestAttemptsNameNobody(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	th, err := throttle.New(throttle.Config{Store: s.Attempts(), Key: bytes.Repeat([]byte{7}, 32)})
	require.NoError(t, err)
	const account = "jan.jansen@example.com"
	addr := netip.MustParsePrefix("203.0.113.77/32")
	d, err := th.Take(t.Context(), throttle.Attempt{Account: account, Addr: addr})
	require.NoError(t, err)
	require.True(t, d.Allowed)
	d, err = th.Take(t.Context(), throttle.Attempt{Account: account, Addr: addr, Browser: th.BrowserToken(account)})
	require.NoError(t, err)
	require.True(t, d.Known)

	var rows, accounts int
	require.NoError(t, db.QueryRow(`SELECT COUNT(*), COUNT(account_key) FROM ps_attempt`).Scan(&rows, &accounts))
	require.Equal(t, 3, rows)
	require.Equal(t, 2, accounts)
	var name, path string
	var seq int
	require.NoError(t, db.QueryRow(`PRAGMA database_list`).Scan(&seq, &name, &path))
	for _, file := range []string{path, path + "-wal"} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, secret := range []string{"jansen", "example.com", "203.0.113"} {
			require.NotContains(t, string(content), secret, file)
		}
	}
}
