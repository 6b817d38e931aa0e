// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// open gives the stores of a new SQLite file.
func open(t *testing.T) (*sqlstore.DB, *sql.DB) {
	t.Helper()
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "test ?#.db")))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	s, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite)
	require.NoError(t, err)
	return s, db
}

func TestOpenTwice(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	_, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite)
	require.NoError(t, err)
	var mode string
	require.NoError(t, db.QueryRow(`PRAGMA journal_mode`).Scan(&mode))
	require.Equal(t, "wal", mode)
}

func TestOpenNewer(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	_, err := db.Exec(`INSERT INTO ps_migration (version, name, applied_at) VALUES (9999, 'later', 0)`)
	require.NoError(t, err)
	_, err = sqlstore.Open(t.Context(), db, sqlstore.SQLite)
	require.ErrorIs(t, err, sqlstore.ErrNewerSchema)
	require.ErrorContains(t, err, "9999")
}

func TestOpenOtherDialect(t *testing.T) {
	t.Parallel()
	_, err := sqlstore.Open(t.Context(), nil, "oracle")
	require.ErrorContains(t, err, "oracle")
}
