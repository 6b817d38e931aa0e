// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/stretchr/testify/require"
)

// flaky is a connection whose updates fail as long as there are failures left.
type flaky struct {
	mortal
	err error
}

func (f *flaky) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if strings.HasPrefix(query, "UPDATE ps_attempt") && f.left.Add(-1) >= 0 {
		return nil, f.err
	}
	return f.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (f *flaky) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return f.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

type flakies struct {
	mortals
	err error
}

func (f flakies) Connect(context.Context) (driver.Conn, error) {
	c, err := f.from.Open(f.dsn)
	return &flaky{mortal{c, f.left}, f.err}, err
}

// A transaction that the database gave up for another is tried again, a bounded number of times, and counts once. Any
// other failure is one.
func TestRetry(t *testing.T) {
	t.Parallel()
	const often = 1000
	for name, c := range map[string]struct {
		b    backend
		err  error
		left int64
		want bool
		used int64 // of left
	}{
		"serialization":                 {postgres, &pgconn.PgError{Code: "40001"}, 5, true, 5},
		"deadlock":                      {postgres, &pgconn.PgError{Code: "40P01"}, 5, true, 5},
		"again and again in PostgreSQL": {postgres, &pgconn.PgError{Code: "40P01"}, often, false, 12},
		"unique in PostgreSQL":          {postgres, &pgconn.PgError{Code: "23505"}, often, false, 1},
		"deadlock in MariaDB":           {mariadb, &mysql.MySQLError{Number: 1213, SQLState: [5]byte([]byte("40001"))}, 5, true, 5},
		"timeout in MariaDB":            {mariadb, &mysql.MySQLError{Number: 1205, Message: "Lock wait timeout exceeded"}, 5, true, 5},
		"again and again in MariaDB":    {mariadb, &mysql.MySQLError{Number: 1213, SQLState: [5]byte([]byte("40001"))}, often, false, 12},
		"unique in MariaDB":             {mariadb, &mysql.MySQLError{Number: 1062, Message: "Error 1213 (40001): no"}, often, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := c.b.make(t)
			var left atomic.Int64
			left.Store(c.left)
			db := sql.OpenDB(flakies{mortals{dsn, c.b.connect(t, dsn).Driver(), &left}, c.err})
			defer db.Close()
			s, err := sqlstore.Open(t.Context(), db, c.b.dialect)
			require.NoError(t, err)
			lanes := []throttle.Lane{{Kind: throttle.KindAccount, Limit: throttle.Limit{Free: 9}}}
			d, err := s.Attempts().TakeAttempt(t.Context(), lanes, time.Unix(1, 0))
			require.Equal(t, c.want, d.Allowed)
			if c.want {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, c.err)
			}
			require.Equal(t, c.used, min(c.left, c.left-left.Load()))
			var rows, failures int
			require.NoError(t, db.QueryRow(`SELECT COUNT(*), COALESCE(SUM(failures), 0) FROM ps_attempt`).Scan(&rows, &failures))
			if c.want {
				require.Equal(t, 1, rows)
				require.Equal(t, 1, failures)
			} else {
				require.Zero(t, rows)
			}
		})
	}
}

// A database whose default isolation is another one gives the same answers.
func TestStrictestDefaultIsolation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		b       backend
		setting string
	}{
		{postgres, "&default_transaction_isolation=serializable"},
		{mariadb, "&tx_isolation=%27SERIALIZABLE%27"},
	} {
		t.Run(string(c.b.dialect), func(t *testing.T) {
			t.Parallel()
			s, _ := c.b.stores(t, c.b.make(t)+c.setting)
			require.NoError(t, s.Accounts().CreateAccount(t.Context(), auth.AccountRecord{ID: "a", Login: []byte("a"), Version: 1}))
			var wins atomic.Int64
			var wg sync.WaitGroup
			for range 40 {
				wg.Go(func() {
					won, err := s.Accounts().SetPassword(t.Context(), "a", 1, auth.NewPassword{Hash: "x", Keep: 1})
					if noError(t, err) && won {
						wins.Add(1)
					}
				})
			}
			wg.Wait()
			require.Equal(t, int64(1), wins.Load())
		})
	}
}
