// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrNewerSchema says that a later version of this package has changed the database.
var ErrNewerSchema = errors.New("sqlstore: the database was made by a newer version of this program: upgrade the program")

// DB is a database whose schema is up to date. It may be used by several goroutines.
type DB struct {
	sql     *sql.DB
	dialect Dialect
}

// Open brings the SDK's tables in db up to date and gives their stores. It returns [ErrNewerSchema], having
// changed nothing, when the schema is newer than this package, and an error when the server or the connections'
// settings are not fit for the dialect. Several processes may open one database at once. Where the schema is up
// to date, Open changes nothing and needs no right to. The caller closes db.
func Open(ctx context.Context, db *sql.DB, d Dialect) (*DB, error) {
	switch d {
	case SQLite, PostgreSQL, MariaDB:
	default:
		return nil, fmt.Errorf("sqlstore: dialect %q is not supported; use %q, %q or %q", d, SQLite, PostgreSQL, MariaDB)
	}
	if err := d.connect(ctx, db); err != nil {
		return nil, fmt.Errorf("sqlstore: open database: %w", err)
	}
	if err := d.check(ctx, db); err != nil {
		return nil, err
	}
	if err := migrate(ctx, db, d); err != nil {
		return nil, err
	}
	if err := d.checkFoundRows(ctx, db); err != nil {
		return nil, err
	}
	return &DB{sql: db, dialect: d}, nil
}

// read gives what reads outside of a transaction.
func (db *DB) read() conn { return conn{db.sql, db.dialect} }

// exec runs one statement that writes, and tells how many rows met its condition.
func (db *DB) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	if db.dialect == SQLite {
		return db.read().exec(ctx, query, args...)
	}
	// By itself it would be committed by the server, maybe after the caller has given up waiting. The caller would
	// be told that nothing was done.
	err = db.tx(ctx, func(tx conn) error {
		n, err = tx.exec(ctx, query, args...)
		return err
	})
	return n, err
}

// maxTries is how often a transaction is tried that others made impossible.
const maxTries = 12

// tx runs f in a transaction. It commits when f returns nil and rolls back otherwise. When the database has rolled it
// back in favour of another one, it runs f again: f leaves nothing behind but by its statements.
func (db *DB) tx(ctx context.Context, f func(conn) error) error {
	for try := 1; ; try++ {
		err := db.once(ctx, f)
		if err == nil || try == maxTries || !db.dialect.lostRace(err) {
			return err
		}
		// The rivals try again too, so each waits for another time, and longer each time.
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(rand.N(time.Millisecond << min(try, 6))):
		}
	}
}

func (db *DB) once(ctx context.Context, f func(conn) error) error {
	tx, err := db.sql.BeginTx(ctx, db.dialect.readCommitted())
	if err != nil {
		return fmt.Errorf("sqlstore: begin: %w", err)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := f(conn{tx, db.dialect}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqlstore: commit: %w", err)
	}
	return nil
}

// errLost rolls a transaction back whose caller did not win.
var errLost = errors.New("sqlstore: lost")

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

// notNull gives bytes for a column that has no NULL.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// orNil is the inverse of notNull for bytes of which nil says that there are none.
func orNil(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
