// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portalsec/portalsec/retention"
)

// RetentionRuns is the [retention.Store] of a database. Its progress joins the transactions of a
// [retention.SQLTarget] on the same database.
type RetentionRuns struct {
	db *DB
}

var _ retention.Store = (*RetentionRuns)(nil)

// RetentionRuns gives the store of retention's approvals and runs.
func (db *DB) RetentionRuns() *RetentionRuns { return &RetentionRuns{db} }

// State implements [retention.Store].
func (s *RetentionRuns) State(ctx context.Context, policy string) (retention.State, error) {
	fail := func(err error) (retention.State, error) {
		return retention.State{}, fmt.Errorf("sqlstore: retention state: %w", err)
	}
	begun, err := s.db.sql.BeginTx(ctx, s.db.dialect.oneView())
	if err != nil {
		return fail(err)
	}
	defer begun.Rollback()
	tx := conn{begun, s.db.dialect}
	var st retention.State
	var at, seen, leased int64
	err = tx.row(ctx, `SELECT policy, approved_hash, approved_by, approved_at, seen_at, leased_until
		FROM ps_retention_policy WHERE policy = ?`, policy).
		Scan(&st.Approval.Policy, &st.Approval.Hash, &st.Approval.By, &at, &seen, &leased)
	if errors.Is(err, sql.ErrNoRows) {
		return retention.State{}, nil
	}
	if err != nil {
		return fail(err)
	}
	st.Approval.At, st.Seen, st.LeasedUntil = fromMicros(at), fromMicros(seen), fromMicros(leased)
	last, _, err := retentionRun(ctx, tx, `policy = ? AND finished_at > 0 AND remaining >= 0
		ORDER BY finished_at DESC, started_at DESC, id DESC`, policy)
	if err != nil {
		return fail(err)
	}
	st.Last = last.Report
	if _, st.Unfinished, err = retentionRun(ctx, tx, `policy = ? AND finished_at = 0`, policy); err != nil {
		return fail(err)
	}
	return st, nil
}

// Approve implements [retention.Store].
func (s *RetentionRuns) Approve(ctx context.Context, a retention.Approval) error {
	return s.db.tx(ctx, func(tx conn) error {
		at := toMicros(a.At)
		_, err := tx.exec(ctx, `INSERT INTO ps_retention_policy
			(policy, approved_hash, approved_by, approved_at, seen_at, epoch, leased_until) VALUES (?, '', '', 0, 0, 0, 0)`+
			tx.ifAbsent("policy"), a.Policy)
		if err == nil {
			_, err = tx.exec(ctx, `UPDATE ps_retention_policy SET approved_hash = ?, approved_by = ?,
				approved_at = ?, seen_at = ?, epoch = epoch + 1, leased_until = 0 WHERE policy = ?`, a.Hash, a.By, at, at, a.Policy)
		}
		if err != nil {
			return fmt.Errorf("sqlstore: approve retention policy: %w", err)
		}
		return nil
	})
}

// BeginRun implements [retention.Store].
func (s *RetentionRuns) BeginRun(ctx context.Context, fresh retention.Run, now, until time.Time) (retention.Run, error) {
	var run retention.Run
	err := s.db.tx(ctx, func(tx conn) error {
		run = fresh
		var hash string
		var epoch, leased int64
		err := tx.row(ctx, `SELECT approved_hash, epoch, leased_until FROM ps_retention_policy WHERE policy = ?`+tx.forUpdate(),
			fresh.Policy).Scan(&hash, &epoch, &leased)
		switch {
		case errors.Is(err, sql.ErrNoRows) || err == nil && hash != fresh.Hash:
			return retention.ErrNotApproved
		case err != nil:
			return fmt.Errorf("sqlstore: begin retention run: %w", err)
		case leased > toMicros(now):
			return retention.ErrBusy
		}
		n, err := tx.exec(ctx, `UPDATE ps_retention_policy SET epoch = epoch + 1, seen_at = ?, leased_until = ?
			WHERE policy = ? AND epoch = ?`, toMicros(now), toMicros(until), fresh.Policy, epoch)
		switch {
		case err != nil:
			return fmt.Errorf("sqlstore: begin retention run: %w", err)
		case n == 0:
			return retention.ErrBusy
		}
		// A remainder of -1 marks a run that was never verified.
		if _, err := tx.exec(ctx, `UPDATE ps_retention_run SET finished_at = ?, remaining = -1
			WHERE policy = ? AND finished_at = 0 AND hash <> ?`, toMicros(now), fresh.Policy, fresh.Hash); err != nil {
			return fmt.Errorf("sqlstore: begin retention run: %w", err)
		}
		open, found, err := retentionRun(ctx, tx, `policy = ? AND finished_at = 0`, fresh.Policy)
		switch {
		case err != nil:
			return fmt.Errorf("sqlstore: begin retention run: %w", err)
		case found:
			run = open
		default:
			if run, err = insertRetentionRun(ctx, tx, fresh); err != nil {
				return err
			}
		}
		run.Epoch = epoch + 1
		return nil
	})
	if err != nil {
		return retention.Run{}, err
	}
	return run, nil
}

// insertRetentionRun stores a run and gives it as it is stored.
func insertRetentionRun(ctx context.Context, tx conn, r retention.Run) (retention.Run, error) {
	cascaded, err := json.Marshal(r.Cascaded)
	if err != nil {
		return retention.Run{}, fmt.Errorf("sqlstore: begin retention run: %w", err)
	}
	if _, err := tx.exec(ctx, `INSERT INTO ps_retention_run
		(id, policy, hash, cutoff, progress, batches, deleted, cascaded, started_at, finished_at, remaining)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)`, r.ID, r.Policy, r.Hash, toMicros(r.Cutoff), r.Cursor, r.Batches, r.Deleted,
		string(cascaded), toMicros(r.Started)); err != nil {
		return retention.Run{}, fmt.Errorf("sqlstore: begin retention run: %w", err)
	}
	r.Cutoff, r.Started = fromMicros(toMicros(r.Cutoff)), fromMicros(toMicros(r.Started))
	return r, nil
}

// AdvanceRun implements [retention.Store].
func (s *RetentionRuns) AdvanceRun(ctx context.Context, tx *sql.Tx, r retention.Run, now, until time.Time) error {
	if tx == nil {
		return s.db.tx(ctx, func(tx conn) error { return advanceRun(ctx, tx, r, now, until) })
	}
	return advanceRun(ctx, conn{tx, s.db.dialect}, r, now, until)
}

func advanceRun(ctx context.Context, tx conn, r retention.Run, now, until time.Time) error {
	cascaded, err := json.Marshal(r.Cascaded)
	if err != nil {
		return fmt.Errorf("sqlstore: advance retention run: %w", err)
	}
	if err := holdRetention(ctx, tx, r, now, until); err != nil {
		return err
	}
	n, err := tx.exec(ctx, `UPDATE ps_retention_run SET progress = ?, batches = ?, deleted = ?, cascaded = ?
		WHERE id = ? AND finished_at = 0`, r.Cursor, r.Batches, r.Deleted, string(cascaded), r.ID)
	switch {
	case err != nil:
		return fmt.Errorf("sqlstore: advance retention run: %w", err)
	case n == 0:
		return retention.ErrLeaseLost
	}
	return nil
}

// EndRun implements [retention.Store].
func (s *RetentionRuns) EndRun(ctx context.Context, r retention.Run, now time.Time) error {
	return s.db.tx(ctx, func(tx conn) error {
		if err := holdRetention(ctx, tx, r, now, time.Time{}); err != nil || r.Finished.IsZero() {
			return err
		}
		n, err := tx.exec(ctx, `UPDATE ps_retention_run SET finished_at = ?, remaining = ?
			WHERE id = ? AND finished_at = 0`, toMicros(r.Finished), r.Remaining, r.ID)
		switch {
		case err != nil:
			return fmt.Errorf("sqlstore: end retention run: %w", err)
		case n == 0:
			return retention.ErrLeaseLost
		}
		return nil
	})
}

// holdRetention moves the end of the lease if it is still the run's.
func holdRetention(ctx context.Context, tx conn, r retention.Run, now, until time.Time) error {
	n, err := tx.exec(ctx, `UPDATE ps_retention_policy SET seen_at = ?, leased_until = ?
		WHERE policy = ? AND epoch = ? AND leased_until > 0`, toMicros(now), toMicros(until), r.Policy, r.Epoch)
	switch {
	case err != nil:
		return fmt.Errorf("sqlstore: retention lease: %w", err)
	case n == 0:
		return retention.ErrLeaseLost
	}
	return nil
}

// retentionRun gives the first run that meets a condition, and whether there is one.
func retentionRun(ctx context.Context, tx conn, where, policy string) (r retention.Run, found bool, err error) {
	var cutoff, started, finished int64
	var cascaded string
	err = tx.row(ctx, `SELECT id, policy, hash, cutoff, progress, batches, deleted, cascaded, started_at, finished_at,
		remaining FROM ps_retention_run WHERE `+where+` LIMIT 1`, policy).Scan(&r.ID, &r.Policy, &r.Hash, &cutoff, &r.Cursor,
		&r.Batches, &r.Deleted, &cascaded, &started, &finished, &r.Remaining)
	if errors.Is(err, sql.ErrNoRows) {
		return retention.Run{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(cascaded), &r.Cascaded)
	}
	if err != nil {
		return retention.Run{}, false, err
	}
	r.Cutoff, r.Started, r.Finished = fromMicros(cutoff), fromMicros(started), fromMicros(finished)
	return r, true, nil
}
