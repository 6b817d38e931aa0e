// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// connections is how many connections a test has at most: servers allow about a hundred, and several packages' tests
// run at once.
const connections = 8

// backend is a database that the tests run on.
type backend struct {
	dialect sqlstore.Dialect
	driver  string
	// make gives the data source name of a new and empty database, which is dropped after the test.
	make func(t *testing.T) (dsn string)
}

var sqlite = backend{sqlstore.SQLite, "sqlite", func(t *testing.T) string {
	return sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "test ?#.db"))
}}

var postgres = backend{sqlstore.PostgreSQL, "pgx", func(t *testing.T) string {
	server := postgresServer.reach(t)
	name := randomName()
	_, err := server.db.Exec(`CREATE SCHEMA ` + name)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = server.db.Exec(`DROP SCHEMA ` + name + ` CASCADE`) })
	u, err := url.Parse(server.dsn)
	require.NoError(t, err)
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}}

var mariadb = backend{sqlstore.MariaDB, "mysql", func(t *testing.T) string {
	server := mariadbServer.reach(t)
	name := randomName()
	_, err := server.db.Exec(`CREATE DATABASE ` + name)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = server.db.Exec(`DROP DATABASE ` + name) })
	c, err := mysql.ParseDSN(server.dsn)
	require.NoError(t, err)
	c.DBName, c.ClientFoundRows = name, true
	return c.FormatDSN()
}}

var backends = []backend{sqlite, postgres, mariadb}

func randomName() string { return "ps_test_" + strings.ToLower(rand.Text()[:16]) }

// each runs a test on every kind of database.
func each(t *testing.T, test func(t *testing.T, b backend)) {
	t.Parallel()
	for _, b := range backends {
		t.Run(string(b.dialect), func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// server is a database server that the tests find running.
type server struct {
	driver, variable, standard string

	once sync.Once
	dsn  string
	db   *sql.DB
	err  error
}

var (
	postgresServer = server{driver: "pgx", variable: "PORTALSEC_TEST_POSTGRES",
		standard: "postgres://postgres@127.0.0.1:5432/test?sslmode=disable"}
	mariadbServer = server{driver: "mysql", variable: "PORTALSEC_TEST_MARIADB",
		standard: "root@tcp(127.0.0.1:3306)/test"}
)

// reach gives the server. Where the variable names none and none is at the usual place, it skips the test.
func (s *server) reach(t *testing.T) *server {
	t.Helper()
	named := os.Getenv(s.variable)
	s.once.Do(func() {
		s.dsn = cmp.Or(named, s.standard)
		if s.db, s.err = sql.Open(s.driver, s.dsn); s.err != nil {
			return
		}
		s.db.SetMaxOpenConns(2)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.err = s.db.PingContext(ctx)
	})
	switch {
	case s.err != nil && named != "":
		t.Fatalf("%s: %v", s.variable, s.err)
	case s.err != nil:
		t.Skipf("no server at the usual place: set %s, such as %s", s.variable, s.standard)
	}
	return s
}

// literal writes bytes in a statement.
func (b backend) literal(bytes string) string {
	if b.dialect == sqlstore.PostgreSQL {
		return fmt.Sprintf(`'\x%x'`, bytes)
	}
	return fmt.Sprintf(`X'%x'`, bytes)
}

// connect gives a pool of connections.
func (b backend) connect(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(b.driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// stores gives the stores of a database that may be new.
func (b backend) stores(t *testing.T, dsn string) (*sqlstore.DB, *sql.DB) {
	t.Helper()
	db := b.connect(t, dsn)
	s, err := sqlstore.Open(t.Context(), db, b.dialect)
	require.NoError(t, err)
	return s, db
}

// open gives the stores of a new database.
func (b backend) open(t *testing.T) (*sqlstore.DB, *sql.DB) {
	t.Helper()
	return b.stores(t, b.make(t))
}

// open gives the stores of a new SQLite file.
func open(t *testing.T) (*sqlstore.DB, *sql.DB) {
	t.Helper()
	return sqlite.open(t)
}

func TestOpenTwice(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		_, db := b.open(t)
		_, err := sqlstore.Open(t.Context(), db, b.dialect)
		require.NoError(t, err)
	})
}

func TestSQLiteDSN(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	var mode string
	require.NoError(t, db.QueryRow(`PRAGMA journal_mode`).Scan(&mode))
	require.Equal(t, "wal", mode)
}

func TestOpenOtherDialect(t *testing.T) {
	t.Parallel()
	_, err := sqlstore.Open(t.Context(), nil, "oracle")
	require.ErrorContains(t, err, "oracle")
}

// Under these settings the stores would be wrong about who won, or store what is not what they were given.
func TestOpenRefusesSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  func(c *mysql.Config)
		want string
	}{
		"changed rows": {func(c *mysql.Config) { c.ClientFoundRows = false }, "clientFoundRows=true"},
		"cut off":      {func(c *mysql.Config) { c.Params = map[string]string{"sql_mode": "''"} }, "STRICT_TRANS_TABLES"},
		"latin1": {func(c *mysql.Config) {
			c.Collation = ""
			_ = c.Apply(mysql.Charset("latin1", ""))
		}, "latin1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := mysql.ParseDSN(mariadb.make(t))
			require.NoError(t, err)
			c.set(config)
			db := mariadb.connect(t, config.FormatDSN())
			_, err = sqlstore.Open(t.Context(), db, sqlstore.MariaDB)
			require.ErrorContains(t, err, c.want)
		})
	}
}
