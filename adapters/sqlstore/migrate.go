// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations
var migrations embed.FS

// migration is one file of migrations/DIALECT, named NNNN_what.sql.
type migration struct {
	version int
	name    string
	sql     string
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
		ms = append(ms, migration{version, strings.TrimSuffix(rest, ".sql"), string(text)})
	}
	return ms, nil
}

// migrate applies what is missing, all in one transaction, so that a process that is killed or one that runs
// beside it leaves no half of a schema.
func migrate(ctx context.Context, db *sql.DB, d Dialect) error {
	ms, err := loadMigrations(d)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlstore: open database: %w", err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS ps_migration (
		version INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, applied_at BIGINT NOT NULL)`); err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	var have int
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM ps_migration`).Scan(&have); err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	if have > len(ms) {
		return fmt.Errorf("%w (schema %d, this program knows %d)", ErrNewerSchema, have, len(ms))
	}
	if have == len(ms) {
		return nil
	}
	for _, m := range ms[have:] {
		if _, err := tx.ExecContext(ctx, m.sql); err != nil {
			return fmt.Errorf("sqlstore: migration %04d_%s: %w", m.version, m.name, err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO ps_migration (version, name, applied_at) VALUES (?, ?, ?)`,
			m.version, m.name, time.Now().UnixMicro()); err != nil {
			return fmt.Errorf("sqlstore: migration %04d_%s: %w", m.version, m.name, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	return nil
}
