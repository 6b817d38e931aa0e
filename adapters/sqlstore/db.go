// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Dialect is the kind of database.
type Dialect string

// SQLite is the dialect of SQLite 3.35 and later.
const SQLite Dialect = "sqlite"

// ErrNewerSchema says that a later version of this package has changed the database.
var ErrNewerSchema = errors.New("sqlstore: the database was made by a newer version of this program: upgrade the program")

// DB is a database whose schema is up to date. It may be used by several goroutines.
type DB struct {
	sql *sql.DB
}

// Open brings the SDK's tables in db up to date and gives their stores. It returns [ErrNewerSchema], having
// changed nothing, when the schema is newer than this package. The caller closes db.
func Open(ctx context.Context, db *sql.DB, d Dialect) (*DB, error) {
	if d != SQLite {
		return nil, fmt.Errorf("sqlstore: dialect %q is not supported; use %q", d, SQLite)
	}
	if err := connect(ctx, db); err != nil {
		return nil, fmt.Errorf("sqlstore: open database: %w", err)
	}
	if err := migrate(ctx, db, d); err != nil {
		return nil, err
	}
	return &DB{sql: db}, nil
}

// connectTimeout is how long the first connection waits for other processes, as long as SQLite's busy_timeout.
const connectTimeout = 10 * time.Second

// connect makes the first connection. On a new file it turns the write-ahead log on, for which SQLite wants the file
// for itself and does not wait: it says at once that the database is locked when another process does the same.
func connect(ctx context.Context, db *sql.DB) error {
	for end := time.Now().Add(connectTimeout); ; {
		err := db.PingContext(ctx)
		if err == nil || !strings.Contains(err.Error(), "database is locked") || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// SQLiteDSN gives the data source name for modernc.org/sqlite with the settings that the stores need:
// write-ahead log, foreign keys, transactions that take the write lock at their start and wait ten seconds
// for it, and deleted content overwritten with zeros.
func SQLiteDSN(path string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)",
	}}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// tx runs f in a transaction. It commits when f returns nil and rolls back otherwise.
func (db *DB) tx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := db.sql.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlstore: begin: %w", err)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqlstore: commit: %w", err)
	}
	return nil
}

// rowQuerier is a database or a transaction.
type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// toMicros gives a time as it is stored; the zero time is 0.
func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros is the inverse of toMicros.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// affected tells how many rows a statement changed.
func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// affectedOne tells whether a statement changed exactly one row.
func affectedOne(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}
