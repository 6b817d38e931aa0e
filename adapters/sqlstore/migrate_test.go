// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/stretchr/testify/require"
)

// files gives the names of a dialect's migrations, in their order.
func (b backend) files(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("migrations", string(b.dialect), "*.sql"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for i, p := range paths {
		paths[i] = filepath.Base(p)
	}
	return paths
}

// layout describes the tables and indexes of a database, in a form that is the same for equal ones.
func (b backend) layout(t *testing.T, db *sql.DB) string {
	t.Helper()
	texts := func(query string) (list []string) {
		rows, err := db.Query(query)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var s string
			require.NoError(t, rows.Scan(&s))
			list = append(list, s)
		}
		require.NoError(t, rows.Err())
		return list
	}
	var parts []string
	switch b.dialect {
	case sqlstore.SQLite:
		parts = texts(`SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name`)
	case sqlstore.PostgreSQL:
		parts = texts(`SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length, collation_name, is_nullable, column_default)
			FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position`)
		parts = append(parts, texts(`SELECT replace(indexdef, schemaname || '.', '') FROM pg_indexes WHERE schemaname = current_schema() ORDER BY indexname`)...)
	case sqlstore.MariaDB:
		for _, table := range texts(`SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name`) {
			var name, create string
			require.NoError(t, db.QueryRow(`SHOW CREATE TABLE `+table).Scan(&name, &create))
			parts = append(parts, create)
		}
	}
	parts = append(parts, texts(`SELECT name FROM ps_migration ORDER BY version`)...)
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}

// The dialects have the same migrations, and these leave the same tables with the same columns in the same order.
func TestMigrationsAreTheSame(t *testing.T) {
	t.Parallel()
	columns := map[sqlstore.Dialect]string{}
	for _, b := range backends {
		require.Equal(t, sqlite.files(t), b.files(t))
		_, db := b.open(t)
		query := map[sqlstore.Dialect]string{
			sqlstore.SQLite: `SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
				WHERE m.type = 'table' ORDER BY m.name, c.cid`,
			sqlstore.PostgreSQL: `SELECT table_name || '.' || column_name FROM information_schema.columns
				WHERE table_schema = current_schema() ORDER BY table_name COLLATE "C", ordinal_position`,
			sqlstore.MariaDB: `SELECT CONCAT(table_name, '.', column_name) FROM information_schema.columns
				WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position`,
		}[b.dialect]
		rows, err := db.Query(query)
		require.NoError(t, err)
		for rows.Next() {
			var column string
			require.NoError(t, rows.Scan(&column))
			require.True(t, strings.HasPrefix(column, "ps_"), column)
			columns[b.dialect] += column + "\n"
		}
		require.NoError(t, rows.Err())
	}
	require.Equal(t, columns[sqlstore.SQLite], columns[sqlstore.PostgreSQL])
	require.Equal(t, columns[sqlstore.SQLite], columns[sqlstore.MariaDB])
}

func TestOpenNewer(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		_, db := b.open(t)
		_, err := db.Exec(`INSERT INTO ps_migration (version, name, applied_at) VALUES (9999, 'later', 0)`)
		require.NoError(t, err)
		before := b.layout(t, db)
		_, err = sqlstore.Open(t.Context(), db, b.dialect)
		require.ErrorIs(t, err, sqlstore.ErrNewerSchema)
		require.ErrorContains(t, err, "9999")
		require.Equal(t, before, b.layout(t, db))
	})
}

// A database that the first eight migrations made keeps what is in it.
func TestMigrateFromEight(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		dsn := b.make(t)
		db := b.connect(t, dsn)
		run := func(statements string) {
			t.Helper()
			for s := range strings.SplitSeq(statements, ";\n") {
				if strings.TrimSpace(s) != "" {
					_, err := db.Exec(s)
					require.NoError(t, err, s)
				}
			}
		}
		run(`CREATE TABLE ps_migration ( version INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, applied_at BIGINT NOT NULL)`)
		for i, file := range b.files(t)[:8] {
			text, err := os.ReadFile(filepath.Join("migrations", string(b.dialect), file))
			require.NoError(t, err)
			run(string(text))
			run(fmt.Sprintf(`INSERT INTO ps_migration (version, name, applied_at) VALUES (%d, '%s', 1)`, i+1, file[5:len(file)-4]))
		}
		token := strings.Repeat("t", 32)
		run(`INSERT INTO ps_account (id, tenant, login_index, profile, password_hash, disabled, version, created_at, last_login_at)
			VALUES ('a', 'acme', ` + b.literal("login") + `, ` + b.literal("profile") + `, 'hash', FALSE, 3, 1000000, 2000000);
			INSERT INTO ps_account (id, tenant, login_index, profile, password_hash, disabled, version, created_at, last_login_at)
			VALUES ('b', 'acme', ` + b.literal("other") + `, ` + b.literal("profile") + `, '', FALSE, 1, 1000000, 0);
			INSERT INTO ps_session (token_hash, id, tenant, user_id, impersonator, factors, client, created_at, auth_at, last_seen_at, expires_at)
			VALUES (` + b.literal(token) + `, 's', 'acme', 'a', '', '[]', ` + b.literal("client") + `, 1, 1, 1, 9)`)

		s, err := sqlstore.Open(t.Context(), db, b.dialect)
		require.NoError(t, err)
		a, err := s.Accounts().Account(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, auth.AccountRecord{ID: "a", Tenant: "acme", Login: []byte("login"), Profile: []byte("profile"), PasswordHash: "hash",
			PasswordSet: time.Unix(1, 0).UTC(), Version: 3, Created: time.Unix(1, 0).UTC(), LastLogin: time.Unix(2, 0).UTC()}, a)
		a, err = s.Accounts().Account(t.Context(), "b")
		require.NoError(t, err)
		require.Zero(t, a.PasswordSet, "there is none")
		list, err := s.Sessions().ListSessions(t.Context(), "acme", "a")
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Empty(t, list[0].Stamp)
		require.Nil(t, list[0].Data)
		won, err := s.Sessions().SetSessionData(t.Context(), session.Hash([]byte(token)), nil, []byte("data"))
		require.NoError(t, err)
		require.True(t, won)

		_, fresh := b.open(t)
		require.Equal(t, b.layout(t, fresh), b.layout(t, db))
	})
}

// Eight processes that find no schema leave one.
func TestMigrateProcesses(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		dsn := b.make(t)
		var children []*child
		for range 8 {
			children = append(children, startChild(t, b, dsn))
		}
		for _, c := range children {
			c.receive(t)
		}
		_, fresh := b.open(t)
		require.Equal(t, b.layout(t, fresh), b.layout(t, b.connect(t, dsn)))
	})
}

var errKilled = errors.New("killed")

// mortal is a connection that dies when it is asked for more statements than it has left.
type mortal struct {
	driver.Conn
	left *atomic.Int64
}

func (m *mortal) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if m.left.Add(-1) < 0 {
		return nil, errKilled
	}
	return m.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (m *mortal) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if m.left.Load() < 0 {
		return nil, errKilled
	}
	return m.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (m *mortal) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return m.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func (m *mortal) CheckNamedValue(v *driver.NamedValue) error {
	if c, ok := m.Conn.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// mortals makes them.
type mortals struct {
	dsn  string
	from driver.Driver
	left *atomic.Int64
}

func (m mortals) Driver() driver.Driver { return m.from }

func (m mortals) Connect(context.Context) (driver.Conn, error) {
	c, err := m.from.Open(m.dsn)
	return &mortal{c, m.left}, err
}

// openMortal opens the stores with connections that carry out so many statements.
func (b backend) openMortal(t *testing.T, dsn string, statements int64) error {
	t.Helper()
	var left atomic.Int64
	left.Store(statements)
	db := sql.OpenDB(mortals{dsn, b.connect(t, dsn).Driver(), &left})
	defer db.Close()
	_, err := sqlstore.Open(t.Context(), db, b.dialect)
	return err
}

// Killed between any two statements, a process leaves what the next one can go on with.
func TestMigrateKilled(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		dsn := b.make(t)
		db := b.connect(t, dsn)
		version := func() (n int) {
			// An error says that the table is not there yet.
			_ = db.QueryRow(`SELECT COALESCE(MAX(version), 0) FROM ps_migration`).Scan(&n)
			return n
		}
		var err error
		// On each version a process may carry out one statement more than the one before. Where all is one transaction,
		// nothing is left anyhow, and a few places will do.
		step, least := int64(1), 30
		if b.dialect != sqlstore.MariaDB {
			step, least = 12, 3
		}
		for have, statements, kills := 0, int64(0), 0; ; statements += step {
			if err = b.openMortal(t, dsn, statements); err == nil {
				require.Greater(t, kills, least)
				break
			}
			require.ErrorIs(t, err, errKilled)
			kills++
			require.Less(t, kills, 500)
			if now := version(); now > have {
				require.Equal(t, sqlstore.MariaDB, b.dialect, "elsewhere all or nothing is done")
				require.Equal(t, have+1, now)
				have, statements = now, -step
			}
		}
		_, fresh := b.open(t)
		require.Equal(t, b.layout(t, fresh), b.layout(t, db))
		var n int
		require.NoError(t, db.QueryRow(`SELECT (SELECT COUNT(*) FROM ps_rbac_version) + (SELECT COUNT(*) FROM ps_network_rules)`).Scan(&n))
		require.Equal(t, 2, n)
	})
}

// Where the schema is up to date, Open needs no right to change it.
func TestOpenChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		dsn := b.make(t)
		b.stores(t, dsn)
		statements := int64(0)
		if b.dialect == sqlstore.MariaDB {
			statements = 2 // the transaction and the update that show how rows are counted
		}
		require.NoError(t, b.openMortal(t, dsn, statements))
	})
}

func TestOpenRefusesEncoding(t *testing.T) {
	t.Parallel()
	server := postgresServer.reach(t)
	name := randomName()
	_, err := server.db.Exec(`CREATE DATABASE ` + name + ` ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = server.db.Exec(`DROP DATABASE ` + name + ` WITH (FORCE)`) })
	u, err := url.Parse(server.dsn)
	require.NoError(t, err)
	u.Path = "/" + name
	_, err = sqlstore.Open(t.Context(), postgres.connect(t, u.String()), sqlstore.PostgreSQL)
	require.ErrorContains(t, err, "SQL_ASCII")
}
