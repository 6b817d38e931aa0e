// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/portalsec/portalsec/auth/throttle"
)

// Attempts is a [throttle.Store]. Its counters hold for all processes that use the database.
type Attempts struct {
	db *DB
}

var _ throttle.Store = (*Attempts)(nil)

// Attempts gives the counters of package auth/throttle.
func (db *DB) Attempts() *Attempts { return &Attempts{db} }

// TakeAttempt implements [throttle.Store].
func (a *Attempts) TakeAttempt(ctx context.Context, lanes []throttle.Lane, now time.Time) (throttle.Decision, error) {
	var d throttle.Decision
	err := a.db.tx(ctx, func(tx *sql.Tx) error {
		have := make([]throttle.Counter, len(lanes))
		found := make([]bool, len(lanes))
		for i, l := range lanes {
			var since, last int64
			err := tx.QueryRowContext(ctx, `SELECT failures, since_at, last_at FROM ps_attempt WHERE lane_key = ?`, l.Key[:]).
				Scan(&have[i].Failures, &since, &last)
			switch {
			case errors.Is(err, sql.ErrNoRows):
			case err != nil:
				return fmt.Errorf("sqlstore: read attempts: %w", err)
			default:
				found[i], have[i].Since, have[i].Last = true, fromMicros(since), fromMicros(last)
			}
		}
		var next []throttle.Counter
		d, next = throttle.Decide(lanes, have, now)
		for i, c := range next {
			if err := writeCounter(ctx, tx, lanes[i], have[i], c, found[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return throttle.Decision{}, err
	}
	return d, nil
}

// writeCounter replaces the counter have by next. The condition makes an error of what would be a lost count, should
// the database be opened in a way that lets another transaction in between.
func writeCounter(ctx context.Context, tx *sql.Tx, l throttle.Lane, have, next throttle.Counter, found bool) error {
	if !found {
		var account []byte
		if l.Account != (throttle.Key{}) {
			account = l.Account[:]
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO ps_attempt (lane_key, kind, account_key, failures, since_at, last_at)
			VALUES (?, ?, ?, ?, ?, ?)`,
			l.Key[:], string(l.Kind), account, next.Failures, toMicros(next.Since), toMicros(next.Last)); err != nil {
			return fmt.Errorf("sqlstore: count attempt: %w", err)
		}
		return nil
	}
	ok, err := affectedOne(tx.ExecContext(ctx, `UPDATE ps_attempt SET failures = ?, since_at = ?, last_at = ?
		WHERE lane_key = ? AND failures = ? AND last_at = ?`,
		next.Failures, toMicros(next.Since), toMicros(next.Last), l.Key[:], have.Failures, toMicros(have.Last)))
	if err != nil {
		return fmt.Errorf("sqlstore: count attempt: %w", err)
	}
	if !ok {
		return errors.New("sqlstore: count attempt: the counter was changed meanwhile")
	}
	return nil
}

// SettleAttempt implements [throttle.Store].
func (a *Attempts) SettleAttempt(ctx context.Context, remove, giveBack []throttle.Key) error {
	return a.db.tx(ctx, func(tx *sql.Tx) error {
		for _, k := range remove {
			if _, err := tx.ExecContext(ctx, `DELETE FROM ps_attempt WHERE lane_key = ?`, k[:]); err != nil {
				return fmt.Errorf("sqlstore: clear attempts: %w", err)
			}
		}
		for _, k := range giveBack {
			if _, err := tx.ExecContext(ctx, `UPDATE ps_attempt SET failures = failures - 1
				WHERE lane_key = ? AND failures > 0`, k[:]); err != nil {
				return fmt.Errorf("sqlstore: give attempt back: %w", err)
			}
		}
		return nil
	})
}

// ResetAccount implements [throttle.Store].
func (a *Attempts) ResetAccount(ctx context.Context, account throttle.Key) error {
	if _, err := a.db.sql.ExecContext(ctx, `DELETE FROM ps_attempt WHERE account_key = ?`, account[:]); err != nil {
		return fmt.Errorf("sqlstore: reset attempts: %w", err)
	}
	return nil
}

// PruneAttempts implements [throttle.Store].
func (a *Attempts) PruneAttempts(ctx context.Context, kind throttle.Kind, before time.Time, below int) (int64, error) {
	n, err := affected(a.db.sql.ExecContext(ctx, `DELETE FROM ps_attempt WHERE kind = ? AND last_at < ? AND failures < ?`,
		string(kind), toMicros(before), below))
	if err != nil {
		return 0, fmt.Errorf("sqlstore: prune attempts: %w", err)
	}
	return n, nil
}
