// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/portalsec/portalsec/outbox"
)

// Outbox is an [outbox.Store]. Several processes may deliver from it.
type Outbox struct {
	db *DB
}

var _ outbox.Store = (*Outbox)(nil)

// Outbox gives the letters of package outbox.
func (db *DB) Outbox() *Outbox { return &Outbox{db} }

const letterColumns = `id, kind, tenant, account_id, sealed, created_at, expires_at, due_at, tries, tried_at, reason, failed_at`

// AddLetter implements [outbox.Store].
func (o *Outbox) AddLetter(ctx context.Context, r outbox.Record) error {
	_, err := o.db.exec(ctx, `INSERT INTO ps_outbox (`+letterColumns+`, lease, leased_until)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0)`,
		r.ID, r.Kind, r.Tenant, r.Account, notNull(r.Sealed), toMicros(r.Created), toMicros(r.Expires), toMicros(r.Due),
		r.Tries, toMicros(r.Tried), r.Reason, toMicros(r.Failed))
	if err != nil {
		return fmt.Errorf("sqlstore: add letter: %w", err)
	}
	return nil
}

// candidates is how many letters a claim looks at, so that claims of one moment spread over them.
const candidates = 16

// ClaimLetter implements [outbox.Store]. It locks nothing between reading and writing: whoever writes first wins.
func (o *Outbox) ClaimLetter(ctx context.Context, lease string, now, until time.Time) (outbox.Record, bool, error) {
	for try := 0; ; try++ {
		due, err := o.letters(ctx, `SELECT `+letterColumns+` FROM ps_outbox
			WHERE failed_at = 0 AND due_at <= ? AND leased_until <= ? ORDER BY due_at, id LIMIT ?`,
			toMicros(now), toMicros(now), candidates)
		if err != nil {
			return outbox.Record{}, false, fmt.Errorf("sqlstore: claim letter: %w", err)
		}
		if len(due) == 0 {
			return outbox.Record{}, false, nil
		}
		r := due[0]
		if try > 0 { // there are rivals for the first one: part from them
			r = due[rand.N(len(due))]
		}
		// Each other act on a letter changes one of the columns that are compared, so r is what the letter is.
		n, err := o.db.exec(ctx, `UPDATE ps_outbox SET lease = ?, leased_until = ?, tries = tries + 1
			WHERE id = ? AND failed_at = 0 AND leased_until <= ? AND tries = ? AND due_at = ? AND expires_at = ?`,
			lease, toMicros(until), r.ID, toMicros(now), r.Tries, toMicros(r.Due), toMicros(r.Expires))
		if err != nil {
			return outbox.Record{}, false, fmt.Errorf("sqlstore: claim letter: %w", err)
		}
		if n == 1 {
			r.Tries++
			return r, true, nil
		}
	}
}

// FinishLetter implements [outbox.Store].
func (o *Outbox) FinishLetter(ctx context.Context, id, lease string) (bool, error) {
	n, err := o.db.exec(ctx, `DELETE FROM ps_outbox WHERE id = ? AND lease = ?`, id, lease)
	if err != nil {
		return false, fmt.Errorf("sqlstore: finish letter: %w", err)
	}
	return n == 1, nil
}

// ReturnLetter implements [outbox.Store].
func (o *Outbox) ReturnLetter(ctx context.Context, id, lease string, ret outbox.Return) (bool, error) {
	n, err := o.db.exec(ctx, `UPDATE ps_outbox SET lease = '', leased_until = 0, due_at = ?, tried_at = ?, reason = ?, failed_at = ?
		WHERE id = ? AND lease = ?`, toMicros(ret.Due), toMicros(ret.Tried), ret.Reason, toMicros(ret.Failed), id, lease)
	if err != nil {
		return false, fmt.Errorf("sqlstore: return letter: %w", err)
	}
	return n == 1, nil
}

// ReviveLetter implements [outbox.Store].
func (o *Outbox) ReviveLetter(ctx context.Context, id string, now, expires time.Time) (bool, error) {
	n, err := o.db.exec(ctx, `UPDATE ps_outbox SET due_at = ?, expires_at = ?, tries = 0, failed_at = 0
		WHERE id = ? AND leased_until <= ?`, toMicros(now), toMicros(expires), id, toMicros(now))
	if err != nil {
		return false, fmt.Errorf("sqlstore: revive letter: %w", err)
	}
	return n == 1, nil
}

// DropLetter implements [outbox.Store].
func (o *Outbox) DropLetter(ctx context.Context, id string, now time.Time) (bool, error) {
	n, err := o.db.exec(ctx, `DELETE FROM ps_outbox WHERE id = ? AND leased_until <= ?`, id, toMicros(now))
	if err != nil {
		return false, fmt.Errorf("sqlstore: drop letter: %w", err)
	}
	return n == 1, nil
}

// FailedLetters implements [outbox.Store].
func (o *Outbox) FailedLetters(ctx context.Context, limit int) ([]outbox.Record, error) {
	list, err := o.letters(ctx, `SELECT id, kind, tenant, account_id, NULL, created_at, expires_at, due_at, tries, tried_at, reason, failed_at
		FROM ps_outbox WHERE failed_at <> 0 ORDER BY failed_at DESC, id LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: list letters: %w", err)
	}
	return list, nil
}

// CountLetters implements [outbox.Store].
func (o *Outbox) CountLetters(ctx context.Context) (outbox.Counts, error) {
	var c outbox.Counts
	var oldest int64
	err := o.db.read().row(ctx, `SELECT COUNT(CASE WHEN failed_at = 0 THEN 1 END),
		COUNT(CASE WHEN failed_at = 0 AND tried_at <> 0 THEN 1 END), COUNT(CASE WHEN failed_at <> 0 THEN 1 END),
		COALESCE(MIN(CASE WHEN failed_at = 0 THEN created_at END), 0),
		COALESCE((SELECT reason FROM ps_outbox WHERE tried_at <> 0 ORDER BY tried_at DESC, id DESC LIMIT 1), '')
		FROM ps_outbox`).Scan(&c.Waiting, &c.Retrying, &c.Failed, &oldest, &c.Reason)
	if err != nil {
		return outbox.Counts{}, fmt.Errorf("sqlstore: count letters: %w", err)
	}
	c.Oldest = fromMicros(oldest)
	return c, nil
}

// PruneLetters implements [outbox.Store].
func (o *Outbox) PruneLetters(ctx context.Context, before time.Time) (int64, error) {
	n, err := o.db.exec(ctx, `DELETE FROM ps_outbox WHERE failed_at <> 0 AND failed_at < ?`, toMicros(before))
	if err != nil {
		return 0, fmt.Errorf("sqlstore: prune letters: %w", err)
	}
	return n, nil
}

// letters reads the letterColumns of rows.
func (o *Outbox) letters(ctx context.Context, query string, args ...any) ([]outbox.Record, error) {
	rows, err := o.db.read().query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []outbox.Record
	for rows.Next() {
		var r outbox.Record
		var created, expires, due, tried, failed int64
		if err := rows.Scan(&r.ID, &r.Kind, &r.Tenant, &r.Account, &r.Sealed, &created, &expires, &due, &r.Tries,
			&tried, &r.Reason, &failed); err != nil {
			return nil, err
		}
		r.Created, r.Expires, r.Due = fromMicros(created), fromMicros(expires), fromMicros(due)
		r.Tried, r.Failed = fromMicros(tried), fromMicros(failed)
		list = append(list, r)
	}
	return list, rows.Err()
}
