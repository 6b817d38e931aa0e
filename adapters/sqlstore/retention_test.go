// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/retention"
	"github.com/portalsec/portalsec/retention/retentiontest"
	"github.com/stretchr/testify/require"
)

// The tests of retention.SQLTarget are here and not in its package, because the root module has no database driver.

func TestRetentionRuns(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		retentiontest.Run(t, func(t *testing.T) retention.Store {
			s, _ := b.open(t)
			return s.RetentionRuns()
		})
	})
}

const ticketSchema = `
CREATE TABLE ticket (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, status TEXT NOT NULL, closed_at BIGINT);
CREATE INDEX ticket_closed ON ticket (closed_at, id);
CREATE TABLE message (id INTEGER PRIMARY KEY, ticket_id TEXT NOT NULL REFERENCES ticket (id) ON DELETE CASCADE);
CREATE INDEX message_ticket ON message (ticket_id);
CREATE TABLE file (id INTEGER PRIMARY KEY, ticket_id TEXT REFERENCES ticket ON DELETE CASCADE,
	message_id INTEGER REFERENCES message (id) ON DELETE CASCADE);
CREATE INDEX file_ticket ON file (ticket_id);
CREATE INDEX file_message ON file (message_id);
CREATE TABLE survey (id INTEGER PRIMARY KEY, ticket_id TEXT REFERENCES ticket (id) ON DELETE SET NULL);
CREATE TABLE gone (id TEXT PRIMARY KEY);
`

var noon = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

// office is a runner over closed tickets in SQLite, and its parts.
type office struct {
	*retention.Runner
	db     *sql.DB
	store  retention.Store
	target retention.SQLTargetConfig
	now    time.Time
}

func ticketPolicy() retention.Policy {
	return retention.Policy{Name: "closed-tickets", DataClass: "support tickets", Purpose: "support", LegalBasis: "contract",
		Keep: retention.MustPeriod("P2Y"), Action: retention.Delete, Target: "tickets", MaxShare: 100}
}

func newOffice(t *testing.T) *office {
	t.Helper()
	s, db := open(t)
	_, err := db.Exec(ticketSchema)
	require.NoError(t, err)
	return &office{db: db, store: s.RetentionRuns(), now: noon, target: retention.SQLTargetConfig{DB: db, Table: "ticket",
		Key: "id", Anchor: "closed_at", Tenant: "tenant", Where: "status = ?", Args: []any{"closed"}}}
}

// wire makes the runner, and approves its plan.
func (o *office) wire(t *testing.T, batch int) {
	t.Helper()
	o.Runner = o.runner(t, batch)
	plan, err := o.DryRun(t.Context(), "closed-tickets")
	require.NoError(t, err)
	ctx := portalsec.WithPrincipal(t.Context(), portalsec.Principal{ID: "officer"})
	require.NoError(t, o.Approve(ctx, "closed-tickets", plan.PlanHash))
}

func (o *office) runner(t *testing.T, batch int) *retention.Runner {
	t.Helper()
	target, err := retention.NewSQLTarget(o.target)
	require.NoError(t, err)
	r, err := retention.New(retention.Config{Policies: []retention.Policy{ticketPolicy()}, Store: o.store, BatchSize: batch,
		Targets: map[string]retention.Target{"tickets": target}, Audit: audit.Discard, Clock: func() time.Time { return o.now }})
	require.NoError(t, err)
	return r
}

// fill makes n closed tickets of each age in years, and as many open ones.
func (o *office) fill(t *testing.T, n int, years ...int) {
	t.Helper()
	for _, y := range years {
		// Pairs share their anchor, so that the key must break the tie.
		_, err := o.db.Exec(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?),
				row (i, tenant) AS (SELECT i, CASE i % 2 WHEN 0 THEN 'acme' ELSE 'globex' END FROM n)
			INSERT INTO ticket
			SELECT printf('c%d-%05d', ?, i), tenant, 'closed', ? + i / 2 * 1000000 FROM row
			UNION ALL SELECT printf('o%d-%05d', ?, i), tenant, 'open', NULL FROM row`,
			n, y, noon.AddDate(-y, 0, 0).UnixMicro(), y)
		require.NoError(t, err)
	}
}

func (o *office) count(t *testing.T, query string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, o.db.QueryRow(query, args...).Scan(&n))
	return n
}

func TestSQLTargetDeletesInBatches(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.fill(t, 10_000, 3)
	o.fill(t, 100, 1)
	o.wire(t, 0)
	plan, err := o.DryRun(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Equal(t, int64(10_000), plan.Count)
	require.Equal(t, int64(20_200), plan.Total)
	require.Equal(t, noon.AddDate(-3, 0, 0), plan.Oldest)
	require.Equal(t, map[string]int64{"acme": 5000, "globex": 5000}, plan.ByTenant)
	require.Len(t, plan.Sample, 5)
	require.Equal(t, retention.Sample{Key: "c3-00000", Tenant: "acme", Anchor: noon.AddDate(-3, 0, 0)}, plan.Sample[0])
	require.Equal(t, int64(20_200), o.count(t, `SELECT COUNT(*) FROM ticket`))

	rep, err := o.RunOnce(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Equal(t, int64(10_000), rep.Deleted)
	require.Equal(t, int64(20), rep.Batches)
	require.Zero(t, rep.Remaining)
	require.Zero(t, o.count(t, `SELECT COUNT(*) FROM ticket WHERE id LIKE 'c3-%'`))
	require.Equal(t, int64(100), o.count(t, `SELECT COUNT(*) FROM ticket WHERE status = 'closed'`))
	require.Equal(t, int64(10_100), o.count(t, `SELECT COUNT(*) FROM ticket WHERE status = 'open'`))

	o.now = noon.AddDate(0, 0, 1)
	rep, err = o.RunOnce(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Zero(t, rep.Deleted)
	require.Zero(t, rep.Batches)
	all, err := o.Policies(t.Context())
	require.NoError(t, err)
	require.Equal(t, rep, all[0].Last)
}

// The cutoff itself is kept: the row's two years end with the microsecond.
func TestSQLTargetCutoff(t *testing.T) {
	t.Parallel()
	for unit, value := range map[time.Duration]func(time.Time) int64{
		time.Microsecond: time.Time.UnixMicro, time.Millisecond: time.Time.UnixMilli, time.Second: time.Time.Unix,
	} {
		o := newOffice(t)
		o.target.AnchorUnit = unit
		cutoff := noon.AddDate(-2, 0, 0)
		_, err := o.db.Exec(`INSERT INTO ticket VALUES ('old', '', 'closed', ?), ('new', '', 'closed', ?)`,
			value(cutoff.Add(-unit)), value(cutoff))
		require.NoError(t, err)
		o.wire(t, 0)
		rep, err := o.RunOnce(t.Context(), "closed-tickets")
		require.NoError(t, err)
		require.Equal(t, int64(1), rep.Deleted, unit)
		require.Equal(t, int64(1), o.count(t, `SELECT COUNT(*) FROM ticket WHERE id = 'new'`))
	}
}

func TestSQLTargetCountsCascades(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.fill(t, 4, 3, 1)
	_, err := o.db.Exec(`
		INSERT INTO message (id, ticket_id) VALUES (1, 'c3-00000'), (2, 'c3-00000'), (3, 'c3-00001'), (4, 'c1-00000'), (5, 'o3-00000');
		INSERT INTO file (id, ticket_id, message_id) VALUES (1, 'c3-00000', NULL), (2, NULL, 3), (3, 'c3-00002', 1), (4, NULL, 4);
		INSERT INTO survey VALUES (1, 'c3-00000')`)
	require.NoError(t, err)
	o.wire(t, 2)
	want := map[string]int64{"message": 3, "file": 3}
	plan, err := o.DryRun(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Equal(t, want, plan.Cascaded)
	rep, err := o.RunOnce(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Equal(t, int64(4), rep.Deleted)
	// File 3 is of ticket c3-00002 and of message 1, whose ticket goes in the first batch: it is counted there.
	require.Equal(t, want, rep.Cascaded)
	require.Equal(t, int64(2), o.count(t, `SELECT COUNT(*) FROM message`))
	require.Equal(t, int64(1), o.count(t, `SELECT COUNT(*) FROM file`))
	require.Equal(t, int64(1), o.count(t, `SELECT COUNT(*) FROM survey WHERE ticket_id IS NULL`))
}

func TestSQLTargetBeforeDelete(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.fill(t, 5, 3)
	_, err := o.db.Exec(`INSERT INTO message (id, ticket_id) VALUES (1, 'c3-00000')`)
	require.NoError(t, err)
	var seen [][]string
	o.target.BeforeDelete = func(ctx context.Context, tx *sql.Tx, keys []string) error {
		seen = append(seen, keys)
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM message m JOIN ticket t ON t.id = m.ticket_id WHERE t.id = ?`, keys[0]).Scan(&n); err != nil {
			return err
		}
		if len(seen) == 1 && n != 1 {
			return errors.New("the rows are gone already")
		}
		return nil
	}
	o.wire(t, 2)
	rep, err := o.RunOnce(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Equal(t, int64(5), rep.Deleted)
	require.Equal(t, [][]string{{"c3-00000", "c3-00001"}, {"c3-00002", "c3-00003"}, {"c3-00004"}}, seen)
}

func TestSQLTargetBeforeDeleteFails(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.fill(t, 4, 3)
	calls := 0
	o.target.BeforeDelete = func(ctx context.Context, tx *sql.Tx, keys []string) error {
		if calls++; calls == 2 {
			return errors.New("disk is away")
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO gone VALUES (?)`, keys[0])
		return err
	}
	o.wire(t, 2)
	rep, err := o.RunOnce(t.Context(), "closed-tickets")
	require.ErrorContains(t, err, "disk is away")
	require.Equal(t, int64(2), rep.Deleted)
	require.Equal(t, int64(2), o.count(t, `SELECT COUNT(*) FROM ticket WHERE status = 'closed'`))
	rep, err = o.RunOnce(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Equal(t, int64(4), rep.Deleted)
	require.Equal(t, int64(2), o.count(t, `SELECT COUNT(*) FROM gone`))
}

// A row that was reopened, or closed again later, after the plan or between two batches is kept.
func TestSQLTargetSparesRevivedRows(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.fill(t, 10, 3)
	calls := 0
	o.target.BeforeDelete = func(ctx context.Context, tx *sql.Tx, keys []string) error {
		if calls++; calls == 2 {
			_, err := tx.ExecContext(ctx, `UPDATE ticket SET closed_at = ? WHERE id = 'c3-00009'`, noon.UnixMicro())
			return err
		}
		return nil
	}
	o.wire(t, 4)
	plan, err := o.DryRun(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Equal(t, int64(10), plan.Count)
	_, err = o.db.Exec(`UPDATE ticket SET status = 'open', closed_at = NULL WHERE id = 'c3-00005'`)
	require.NoError(t, err)
	rep, err := o.RunOnce(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Equal(t, int64(8), rep.Deleted)
	require.Zero(t, rep.Remaining)
	require.Equal(t, int64(2), o.count(t, `SELECT COUNT(*) FROM ticket WHERE id IN ('c3-00005', 'c3-00009')`))
}

// A row that is revived inside the batch makes the whole batch roll back: what BeforeDelete was told would not
// be what is deleted.
func TestSQLTargetRollsBackWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.fill(t, 4, 3)
	revive := true
	o.target.BeforeDelete = func(ctx context.Context, tx *sql.Tx, keys []string) error {
		if !revive {
			return nil
		}
		_, err := tx.ExecContext(ctx, `UPDATE ticket SET status = 'open' WHERE id = ?`, keys[0])
		return err
	}
	o.wire(t, 4)
	rep, err := o.RunOnce(t.Context(), "closed-tickets")
	require.ErrorContains(t, err, "4 rows were to be deleted, 3 would be")
	require.Zero(t, rep.Deleted)
	require.Equal(t, int64(4), o.count(t, `SELECT COUNT(*) FROM ticket WHERE status = 'closed'`))
	revive = false
	rep, err = o.RunOnce(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Equal(t, int64(4), rep.Deleted)
	require.Equal(t, int64(1), rep.Batches)
}

// A commit that fails takes the cursor and the counts back with it.
func TestSQLTargetFailedCommit(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.fill(t, 10, 3)
	_, err := o.db.Exec(`CREATE TABLE late (id TEXT REFERENCES gone (id) DEFERRABLE INITIALLY DEFERRED)`)
	require.NoError(t, err)
	calls := 0
	o.target.BeforeDelete = func(ctx context.Context, tx *sql.Tx, _ []string) error {
		if calls++; calls%2 == 0 { // the constraint is checked at the commit, which fails
			_, err := tx.ExecContext(ctx, `INSERT INTO late VALUES ('nothing')`)
			return err
		}
		return nil
	}
	o.wire(t, 2)
	var rep retention.Report
	for attempt := 1; ; attempt++ {
		rep, err = o.RunOnce(t.Context(), "closed-tickets")
		left := o.count(t, `SELECT COUNT(*) FROM ticket WHERE status = 'closed'`)
		require.Equal(t, int64(10), left+rep.Deleted, "what is deleted is what is counted")
		if err == nil {
			break
		}
		require.ErrorContains(t, err, "FOREIGN KEY")
		require.Less(t, attempt, 10)
	}
	require.Equal(t, int64(10), rep.Deleted)
	require.Equal(t, int64(5), rep.Batches)
}

// A runner that wakes up after its lease has ended deletes nothing, and does not get as far as BeforeDelete.
func TestSQLTargetStaleRunner(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.fill(t, 6, 3)
	o.wire(t, 2)
	target, err := retention.NewSQLTarget(o.target)
	require.NoError(t, err)
	st, err := o.store.State(t.Context(), "closed-tickets")
	require.NoError(t, err)
	fresh := retention.Run{Report: retention.Report{ID: "stale", Policy: "closed-tickets", Hash: st.Approval.Hash,
		Cutoff: noon.AddDate(-2, 0, 0), Started: noon}}
	stale, err := o.store.BeginRun(t.Context(), fresh, noon, noon.Add(time.Minute))
	require.NoError(t, err)

	o.now = noon.Add(2 * time.Minute)
	_, err = o.store.BeginRun(t.Context(), fresh, o.now, o.now.Add(time.Minute)) // another runner takes over
	require.NoError(t, err)
	_, err = target.Step(t.Context(), retention.Scope{Cutoff: stale.Cutoff}, retention.Batch{Limit: 2,
		Commit: func(ctx context.Context, tx *sql.Tx, p retention.Progress) error {
			stale.Deleted += p.Deleted
			return o.store.AdvanceRun(ctx, tx, stale, o.now, o.now.Add(time.Minute))
		}})
	require.ErrorIs(t, err, retention.ErrLeaseLost)
	require.Equal(t, int64(6), o.count(t, `SELECT COUNT(*) FROM ticket WHERE status = 'closed'`))
}

func TestSQLTargetTwoRunners(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.fill(t, 1000, 3)
	o.wire(t, 10)
	type result struct {
		rep retention.Report
		err error
	}
	results := make(chan result)
	for range 4 {
		r := o.runner(t, 10)
		go func() {
			rep, err := r.RunOnce(t.Context(), "closed-tickets")
			results <- result{rep, err}
		}()
	}
	var deleted int64
	for range 4 {
		r := <-results
		if !errors.Is(r.err, retention.ErrBusy) {
			require.NoError(t, r.err)
			deleted += r.rep.Deleted
		}
	}
	require.Equal(t, int64(1000), deleted)
	require.Zero(t, o.count(t, `SELECT COUNT(*) FROM ticket WHERE status = 'closed'`))
}

// Memory cannot share a transaction with the target, and says so before anything is deleted.
func TestSQLTargetNeedsAStoreInItsDatabase(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.store = retention.NewMemory()
	o.fill(t, 2, 3)
	o.wire(t, 1)
	_, err := o.RunOnce(t.Context(), "closed-tickets")
	require.ErrorContains(t, err, "cannot join")
	require.Equal(t, int64(2), o.count(t, `SELECT COUNT(*) FROM ticket WHERE status = 'closed'`))
}

func TestSQLTargetIntegerKeys(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, err := o.db.Exec(`CREATE TABLE "odd ""name" ("the key" INTEGER PRIMARY KEY, "at" INTEGER NOT NULL);
		CREATE INDEX odd_at ON "odd ""name" ("at")`)
	require.NoError(t, err)
	for i := range 25 { // beyond what a float64 holds, and with 9 before 10
		_, err := o.db.Exec(`INSERT INTO "odd ""name" VALUES (?, 1000)`, int64(1)<<60+int64(i))
		require.NoError(t, err)
	}
	o.target = retention.SQLTargetConfig{DB: o.db, Table: `odd "name`, Key: "the key", Anchor: "at", AnchorUnit: time.Second}
	o.wire(t, 4)
	rep, err := o.RunOnce(t.Context(), "closed-tickets")
	require.NoError(t, err)
	require.Equal(t, int64(25), rep.Deleted)
	require.Equal(t, int64(7), rep.Batches)
}
