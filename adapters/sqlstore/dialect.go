// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Dialect is the kind of database.
type Dialect string

// The dialects.
const (
	// SQLite is the dialect of SQLite 3.35 and later, with the driver modernc.org/sqlite and the settings of [SQLiteDSN].
	SQLite Dialect = "sqlite"
	// PostgreSQL is the dialect of PostgreSQL 13 and later in UTF-8, with the driver github.com/jackc/pgx/v5/stdlib.
	PostgreSQL Dialect = "postgres"
	// MariaDB is the dialect of MariaDB 10.6 and later, with the driver github.com/go-sql-driver/mysql and
	// clientFoundRows=true in its data source name. MySQL is another database, and refused.
	MariaDB Dialect = "mariadb"
)

// SQLiteDSN gives the data source name for modernc.org/sqlite with the settings that the stores need:
// write-ahead log, foreign keys, transactions that take the write lock at their start and wait ten seconds
// for it, and deleted content overwritten with zeros.
func SQLiteDSN(path string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)",
	}}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// connectTimeout is how long the first connection waits for other processes, as long as SQLite's busy_timeout.
const connectTimeout = 10 * time.Second

// connect makes the first connection. On a new SQLite file that turns the write-ahead log on, for which SQLite wants
// the file for itself and does not wait: it says at once that the database is locked when another process does the same.
func (d Dialect) connect(ctx context.Context, db *sql.DB) error {
	for end := time.Now().Add(connectTimeout); ; {
		err := db.PingContext(ctx)
		if err == nil || d != SQLite || !strings.Contains(err.Error(), "database is locked") || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// check refuses a database, or settings of a connection, under which the stores would not keep their promises.
func (d Dialect) check(ctx context.Context, db *sql.DB) error {
	switch d {
	case PostgreSQL:
		var encoding string
		if err := db.QueryRowContext(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
			return fmt.Errorf("sqlstore: open database: %w", err)
		}
		if encoding != "UTF8" {
			return fmt.Errorf("sqlstore: the database's encoding is %s, not UTF8", encoding)
		}
	case MariaDB:
		var version, mode, charset string
		if err := db.QueryRowContext(ctx, `SELECT VERSION(), @@sql_mode, @@character_set_connection`).
			Scan(&version, &mode, &charset); err != nil {
			return fmt.Errorf("sqlstore: open database: %w", err)
		}
		switch {
		case !strings.Contains(version, "MariaDB"):
			return fmt.Errorf("sqlstore: the server is of version %s, which is no MariaDB", version)
		case !strings.Contains(mode, "STRICT_TRANS_TABLES") && !strings.Contains(mode, "STRICT_ALL_TABLES"):
			return errors.New("sqlstore: sql_mode lacks STRICT_TRANS_TABLES: the server would cut off what is too long")
		case charset != "utf8mb4":
			return fmt.Errorf("sqlstore: the connection's character set is %s, not utf8mb4", charset)
		}
	}
	return nil
}

// checkFoundRows refuses connections that count the rows that a statement changed instead of those that met its
// condition. It needs the schema.
func (d Dialect) checkFoundRows(ctx context.Context, db *sql.DB) error {
	if d != MariaDB {
		return nil
	}
	n, err := conn{db, d}.exec(ctx, `UPDATE ps_migration SET version = version WHERE version = 1`)
	if err != nil {
		return fmt.Errorf("sqlstore: open database: %w", err)
	}
	if n != 1 {
		return errors.New("sqlstore: the connection counts changed rows, not found ones: put clientFoundRows=true into the data source name")
	}
	return nil
}

// lostRace tells whether an error says that a transaction was rolled back because of another one, so that it may be
// tried again: a deadlock, a failed serialization, or a lock that was not given in time.
func (d Dialect) lostRace(err error) bool {
	switch d {
	case PostgreSQL:
		var state interface{ SQLState() string } // both common drivers' errors have it
		return errors.As(err, &state) && (state.SQLState() == "40001" || state.SQLState() == "40P01")
	case MariaDB:
		// The driver's error has the number in a field, and its text begins with it.
		for ; err != nil; err = errors.Unwrap(err) {
			for _, number := range []string{"1213", "1205", "1020"} {
				if after, found := strings.CutPrefix(err.Error(), "Error "+number); found && strings.IndexAny(after, " :") == 0 {
					return true
				}
			}
		}
	}
	return false
}

// readCommitted has each statement of a transaction see what was committed before it: after a lock is had, what is read
// is current. SQLite, where writers come one after the other, knows but one isolation.
func (d Dialect) readCommitted() *sql.TxOptions {
	if d == SQLite {
		return nil
	}
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

// oneView has all statements of a transaction that reads only see the same state.
func (d Dialect) oneView() *sql.TxOptions {
	if d == SQLite {
		return &sql.TxOptions{ReadOnly: true} // it waits for no writer
	}
	return &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
}

// conn runs statements on a database, a connection or in a transaction. Queries are written with "?" for all dialects,
// and have no other question marks.
type conn struct {
	on interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
	dialect Dialect
}

// exec tells how many rows met the statement's condition.
func (c conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := c.on.ExecContext(ctx, c.bind(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (c conn) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.on.QueryContext(ctx, c.bind(query), args...)
}

func (c conn) row(ctx context.Context, query string, args ...any) *sql.Row {
	return c.on.QueryRowContext(ctx, c.bind(query), args...)
}

// bind writes the parameters as the database names them.
func (c conn) bind(query string) string {
	if c.dialect != PostgreSQL {
		return query
	}
	var b strings.Builder
	for i := 1; ; i++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(i))
		query = after
	}
}

// forUpdate ends a SELECT that locks its rows. On SQLite the transaction has the only write lock already.
func (c conn) forUpdate() string {
	if c.dialect == SQLite {
		return ""
	}
	return ` FOR UPDATE`
}

// ifAbsent ends an INSERT that does nothing where the row, or one that is equal in a unique index, is there already.
// It waits for a transaction that is about to add or remove it. column is any of the table's.
func (c conn) ifAbsent(column string) string {
	if c.dialect == MariaDB { // INSERT IGNORE would also ignore what is too long
		return ` ON DUPLICATE KEY UPDATE ` + column + ` = ` + column
	}
	return ` ON CONFLICT DO NOTHING`
}

// orReplace ends an INSERT that sets columns where a row with that key is there already. key must be the table's
// only unique index.
func (c conn) orReplace(key string, columns ...string) string {
	for i, column := range columns {
		if c.dialect == MariaDB {
			columns[i] = column + ` = VALUES(` + column + `)`
		} else {
			columns[i] = column + ` = excluded.` + column
		}
	}
	if c.dialect == MariaDB {
		return ` ON DUPLICATE KEY UPDATE ` + strings.Join(columns, `, `)
	}
	return ` ON CONFLICT (` + key + `) DO UPDATE SET ` + strings.Join(columns, `, `)
}

// statement is a query with its arguments.
type statement struct {
	query string
	args  []any
}

// hold reads a row and locks it until the transaction ends. Where it is absent it is added first: what is not there
// cannot be locked.
func (c conn) hold(ctx context.Context, read, add statement, dest ...any) error {
	for range maxTries {
		err := c.row(ctx, read.query+c.forUpdate(), read.args...).Scan(dest...)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if _, err := c.exec(ctx, add.query, add.args...); err != nil {
			return err
		}
	}
	return errors.New("the row is removed again and again")
}
