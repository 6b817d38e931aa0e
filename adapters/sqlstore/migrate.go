// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations
var migrations embed.FS

// migration is one file of migrations/DIALECT, named NNNN_what.sql. The dialects have the same ones.
type migration struct {
	version    int
	name       string
	statements []string
}

func loadMigrations(d Dialect) ([]migration, error) {
	dir := path.Join("migrations", string(d))
	files, err := fs.ReadDir(migrations, dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	var ms []migration
	for _, f := range files {
		number, rest, ok := strings.Cut(f.Name(), "_")
		version, err := strconv.Atoi(number)
		if !ok || err != nil || version != len(ms)+1 {
			return nil, fmt.Errorf("sqlstore: migration %s: want number %04d", f.Name(), len(ms)+1)
		}
		text, err := migrations.ReadFile(path.Join(dir, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("sqlstore: %w", err)
		}
		ms = append(ms, migration{version, strings.TrimSuffix(rest, ".sql"), statements(string(text))})
	}
	return ms, nil
}

// statements splits a file. A statement ends with a semicolon at the end of a line.
func statements(text string) (list []string) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "--") {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(strings.TrimSpace(line), ";") {
			list = append(list, strings.TrimSpace(b.String()))
			b.Reset()
		}
	}
	return list
}

// migrate applies what is missing. A process that is killed and others that run beside it leave no half of a schema
// for good: where the database allows it, all is one transaction, and elsewhere the next process goes on.
func migrate(ctx context.Context, db *sql.DB, d Dialect) error {
	ms, err := loadMigrations(d)
	if err != nil {
		return err
	}
	// Without a lock, and without the right to change the schema: mostly there is nothing to do. An error is seen again.
	if have, err := schemaVersion(ctx, conn{db, d}); err == nil && have >= len(ms) {
		return notNewer(have, len(ms))
	}
	if d == MariaDB {
		err = migrateMariaDB(ctx, db, ms)
	} else {
		err = migrateInTransaction(ctx, db, d, ms)
	}
	if err != nil && !errors.Is(err, ErrNewerSchema) {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	return err
}

func schemaVersion(ctx context.Context, c conn) (version int, err error) {
	err = c.row(ctx, `SELECT COALESCE(MAX(version), 0) FROM ps_migration`).Scan(&version)
	return version, err
}

func notNewer(have, known int) error {
	if have > known {
		return fmt.Errorf("%w (schema %d, this program knows %d)", ErrNewerSchema, have, known)
	}
	return nil
}

func migrateInTransaction(ctx context.Context, db *sql.DB, d Dialect, ms []migration) error {
	tx, err := db.BeginTx(ctx, d.readCommitted())
	if err != nil {
		return err
	}
	defer tx.Rollback()
	c := conn{tx, d}
	if d == PostgreSQL { // SQLite's transaction is alone already
		if _, err := c.exec(ctx, `SELECT pg_advisory_xact_lock(?, hashtext(current_schema()))`, int32(0x70735f6d)); err != nil {
			return err
		}
	}
	if err := apply(ctx, c, ms); err != nil {
		return err
	}
	return tx.Commit()
}

// migrateMariaDB works on one connection that holds a named lock, which ends with the connection. MariaDB commits with
// each statement that changes the schema, so each can be repeated: what a killed process leaves is gone through again.
func migrateMariaDB(ctx context.Context, db *sql.DB, ms []migration) error {
	alone, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer alone.Close()
	c := conn{alone, MariaDB}
	const name = `CONCAT('portalsec.', MD5(DATABASE()))`
	for got := (sql.NullInt64{}); got.Int64 != 1; {
		// It waits a second at a time, so that it ends soon after the context.
		if err := c.row(ctx, `SELECT GET_LOCK(`+name+`, 1)`).Scan(&got); err != nil {
			return err
		}
		if !got.Valid {
			return errors.New("no database is selected, or the lock is not given")
		}
	}
	// When the context has ended, so has the connection, or it ends here: the pool must not get it back with the lock.
	defer func() {
		var released sql.NullInt64
		if err := c.row(ctx, `SELECT RELEASE_LOCK(`+name+`)`).Scan(&released); err != nil || released.Int64 != 1 {
			_ = alone.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	return apply(ctx, c, ms)
}

// apply applies the migrations that are missing, and notes each.
func apply(ctx context.Context, c conn, ms []migration) error {
	if _, err := c.exec(ctx, `CREATE TABLE IF NOT EXISTS ps_migration (
		version INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, applied_at BIGINT NOT NULL)`); err != nil {
		return err
	}
	have, err := schemaVersion(ctx, c)
	if err != nil {
		return err
	}
	if have >= len(ms) {
		return notNewer(have, len(ms))
	}
	for _, m := range ms[have:] {
		for _, s := range m.statements {
			if _, err := c.exec(ctx, s); err != nil {
				return fmt.Errorf("%04d_%s: %w", m.version, m.name, err)
			}
		}
		if _, err := c.exec(ctx, `INSERT INTO ps_migration (version, name, applied_at) VALUES (?, ?, ?)`,
			m.version, m.name, time.Now().UnixMicro()); err != nil {
			return fmt.Errorf("%04d_%s: %w", m.version, m.name, err)
		}
	}
	return nil
}
