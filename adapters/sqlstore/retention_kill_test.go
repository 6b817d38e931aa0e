// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/stretchr/testify/require"
)

// killFile names the database of the child process that TestSQLTargetKilled kills.
const killFile = "PORTALSEC_TEST_KILL_DB"

// openOffice opens the office whose database is a file.
func openOffice(t *testing.T, path string) *office {
	t.Helper()
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(path))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	s, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite)
	require.NoError(t, err)
	o := newOffice(t)
	o.target.DB, o.db, o.store, o.now = db, db, s.RetentionRuns(), time.Now()
	return o
}

// TestSQLTargetKillChild is the child process: it runs the policy and says when a batch is about to be deleted.
func TestSQLTargetKillChild(t *testing.T) {
	path := os.Getenv(killFile)
	if path == "" {
		t.Skip("it is started by TestSQLTargetKilled")
	}
	o := openOffice(t, path)
	o.target.BeforeDelete = sayBatch
	_, err := o.runner(t, 20).RunOnce(t.Context(), "closed-tickets")
	require.NoError(t, err)
}

func sayBatch(context.Context, *sql.Tx, []string) error {
	fmt.Println("batch")
	return nil
}

// A process that is killed at any moment loses one batch at most. The next one goes on, and counts each row once.
func TestSQLTargetKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kill.db")
	o := openOffice(t, path)
	_, err := o.db.Exec(ticketSchema)
	require.NoError(t, err)
	const rows, batch = 2000, 20
	o.fill(t, rows, 6)
	o.target.BeforeDelete = sayBatch // so that the plan is the child's
	o.wire(t, batch)

	var before int64 // rows that earlier rounds deleted
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSQLTargetKillChild$", "-test.v")
		cmd.Env = append(os.Environ(), killFile+"="+path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		want, said := 1+2*round, 0
		for said < want && lines.Scan() {
			if lines.Text() == "batch" {
				said++
			}
		}
		_ = cmd.Process.Kill() // SIGKILL
		_ = cmd.Wait()
		require.Equal(t, want, said, "the child ended by itself in round %d", round)

		st, err := o.store.State(t.Context(), "closed-tickets")
		require.NoError(t, err)
		require.True(t, st.Unfinished)
		var deleted int64
		require.NoError(t, o.db.QueryRow(`SELECT deleted FROM ps_retention_run`).Scan(&deleted))
		left := o.count(t, `SELECT COUNT(*) FROM ticket WHERE status = 'closed'`)
		require.Equal(t, int64(rows), left+deleted)
		// A batch is said before it is committed, so the last one may be lost.
		require.GreaterOrEqual(t, deleted, before+int64(said-1)*batch, "round %d", round)
		before = deleted
		require.Positive(t, left)
		// The next process would wait for the lease to end; nobody else is there to hold it.
		_, err = o.db.Exec(`UPDATE ps_retention_policy SET leased_until = 1`)
		require.NoError(t, err)
	}
	o.now = time.Now()
	rep, err := o.RunOnce(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Equal(t, int64(rows), rep.Deleted)
	require.Equal(t, int64(rows/batch), rep.Batches)
	require.Zero(t, rep.Remaining)
}
