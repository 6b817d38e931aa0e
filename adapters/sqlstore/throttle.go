// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
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

// TakeAttempt implements [throttle.Store]. The counters are locked in the order of their keys.
func (a *Attempts) TakeAttempt(ctx context.Context, lanes []throttle.Lane, now time.Time) (throttle.Decision, error) {
	var d throttle.Decision
	err := a.db.tx(ctx, func(tx conn) error {
		have := make([]throttle.Counter, len(lanes))
		for i, l := range lanes {
			c, err := holdCounter(ctx, tx, l)
			if err != nil {
				return fmt.Errorf("sqlstore: read attempts: %w", err)
			}
			have[i] = c
		}
		var next []throttle.Counter
		if d, next = throttle.Decide(lanes, have, now); next == nil {
			return errLost // with the counters that were added to be locked
		}
		for i, c := range next {
			if err := writeCounter(ctx, tx, lanes[i].Key, have[i], c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errLost) {
		return throttle.Decision{}, err
	}
	return d, nil
}

func holdCounter(ctx context.Context, tx conn, l throttle.Lane) (throttle.Counter, error) {
	var account []byte
	if l.Account != (throttle.Key{}) {
		account = l.Account[:]
	}
	var c throttle.Counter
	var since, last int64
	err := tx.hold(ctx, statement{`SELECT failures, since_at, last_at FROM ps_attempt WHERE lane_key = ?`, []any{l.Key[:]}},
		statement{`INSERT INTO ps_attempt (lane_key, kind, account_key, failures, since_at, last_at)
			VALUES (?, ?, ?, 0, 0, 0)` + tx.ifAbsent("failures"), []any{l.Key[:], string(l.Kind), account}},
		&c.Failures, &since, &last)
	c.Since, c.Last = fromMicros(since), fromMicros(last)
	return c, err
}

// writeCounter replaces the counter have by next. The condition makes an error of what would be a lost count, should
// the database be opened in a way that lets another transaction in between.
func writeCounter(ctx context.Context, tx conn, key throttle.Key, have, next throttle.Counter) error {
	n, err := tx.exec(ctx, `UPDATE ps_attempt SET failures = ?, since_at = ?, last_at = ?
		WHERE lane_key = ? AND failures = ? AND last_at = ?`,
		next.Failures, toMicros(next.Since), toMicros(next.Last), key[:], have.Failures, toMicros(have.Last))
	if err != nil {
		return fmt.Errorf("sqlstore: count attempt: %w", err)
	}
	if n == 0 {
		return errors.New("sqlstore: count attempt: the counter was changed meanwhile")
	}
	return nil
}

// SettleAttempt implements [throttle.Store].
func (a *Attempts) SettleAttempt(ctx context.Context, remove, giveBack []throttle.Key) error {
	type act struct {
		key    throttle.Key
		remove bool
	}
	var acts []act
	for _, k := range remove {
		acts = append(acts, act{k, true})
	}
	for _, k := range giveBack {
		acts = append(acts, act{k, false})
	}
	// In the order in which TakeAttempt locks them.
	slices.SortStableFunc(acts, func(a, b act) int { return bytes.Compare(a.key[:], b.key[:]) })
	return a.db.tx(ctx, func(tx conn) error {
		for _, act := range acts {
			query := `UPDATE ps_attempt SET failures = failures - 1 WHERE lane_key = ? AND failures > 0`
			if act.remove {
				query = `DELETE FROM ps_attempt WHERE lane_key = ?`
			}
			if _, err := tx.exec(ctx, query, act.key[:]); err != nil {
				return fmt.Errorf("sqlstore: settle attempt: %w", err)
			}
		}
		return nil
	})
}

// ResetAccount implements [throttle.Store].
func (a *Attempts) ResetAccount(ctx context.Context, account throttle.Key) error {
	if _, err := a.db.exec(ctx, `DELETE FROM ps_attempt WHERE account_key = ?`, account[:]); err != nil {
		return fmt.Errorf("sqlstore: reset attempts: %w", err)
	}
	return nil
}

// PruneAttempts implements [throttle.Store].
func (a *Attempts) PruneAttempts(ctx context.Context, kind throttle.Kind, before time.Time, below int) (int64, error) {
	n, err := a.db.exec(ctx, `DELETE FROM ps_attempt WHERE kind = ? AND last_at < ? AND failures < ?`,
		string(kind), toMicros(before), below)
	if err != nil {
		return 0, fmt.Errorf("sqlstore: prune attempts: %w", err)
	}
	return n, nil
}
