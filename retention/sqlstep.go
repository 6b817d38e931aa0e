// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
)

// position is a place in the order of (anchor, key): a [SQLTarget]'s cursor, written as JSON.
type position struct {
	Anchor int64 `json:"anchor"`
	Key    any   `json:"key"` // int64 or string, as the driver gave it
}

func (p position) cursor() (string, error) {
	text, err := json.Marshal(p)
	return string(text), err
}

func parsePosition(cursor string) (position, error) {
	var p position
	d := json.NewDecoder(bytes.NewReader([]byte(cursor)))
	d.UseNumber() // a float64 would lose the end of a large key
	if err := d.Decode(&p); err != nil {
		return position{}, fmt.Errorf("cursor: %w", err)
	}
	switch k := p.Key.(type) {
	case string:
	case json.Number:
		n, err := k.Int64()
		if err != nil {
			return position{}, fmt.Errorf("cursor: %w", err)
		}
		p.Key = n
	default:
		return position{}, fmt.Errorf("cursor: key is a %T", k)
	}
	return p, nil
}

// Step implements [Target]. It reads the batch's rows, stores the progress, calls BeforeDelete, and deletes the
// closed range of the batch under the same conditions. If that deletes another number of rows than it read, all
// is rolled back.
func (t *SQLTarget) Step(ctx context.Context, s Scope, b Batch) (Progress, error) {
	fail := func(err error) (Progress, error) {
		return Progress{}, fmt.Errorf("retention: batch of table %q: %w", t.cfg.Table, err)
	}
	tx, err := t.cfg.DB.BeginTx(ctx, nil)
	if err != nil {
		return fail(err)
	}
	defer tx.Rollback() // does nothing after Commit
	schema, err := t.catalogue(ctx, tx)
	if err != nil {
		return fail(err)
	}
	in := t.scope(s)
	anchor, key := quote(t.cfg.Anchor), quote(t.cfg.Key)
	if b.Cursor != "" {
		after, err := parsePosition(b.Cursor)
		if err != nil {
			return fail(err)
		}
		// The first term alone would do; with it the index finds the range.
		in = in.and(anchor+" >= ? AND ("+anchor+" > ? OR "+key+" > ?)", after.Anchor, after.Anchor, after.Key)
	}
	keys, last, err := t.read(ctx, tx, in, b.Limit)
	if err != nil {
		return fail(err)
	}
	p := Progress{Cursor: b.Cursor, Deleted: int64(len(keys)), Done: len(keys) < b.Limit}
	if len(keys) == 0 {
		return p, nil
	}
	if p.Cursor, err = last.cursor(); err != nil {
		return fail(err)
	}
	in = in.and(anchor+" <= ? AND ("+anchor+" < ? OR "+key+" <= ?)", last.Anchor, last.Anchor, last.Key)
	if p.Cascaded, err = t.countCascades(ctx, tx, schema, in); err != nil {
		return fail(err)
	}
	if err := b.Commit(ctx, tx, p); err != nil {
		return fail(err)
	}
	if t.cfg.BeforeDelete != nil {
		if err := t.cfg.BeforeDelete(ctx, tx, keys); err != nil {
			return fail(fmt.Errorf("BeforeDelete: %w", err))
		}
	}
	res, err := tx.ExecContext(ctx, "DELETE FROM "+quote(t.cfg.Table)+" WHERE "+in.sql, in.args...)
	if err != nil {
		return fail(err)
	}
	switch n, err := res.RowsAffected(); {
	case err != nil:
		return fail(err)
	case n != p.Deleted:
		return fail(fmt.Errorf("%d rows were to be deleted, %d would be", p.Deleted, n))
	}
	if err := tx.Commit(); err != nil {
		return fail(err)
	}
	return p, nil
}

// read gives the keys of the batch and the position of its last row.
func (t *SQLTarget) read(ctx context.Context, tx *sql.Tx, in condition, limit int) (keys []string, last position, err error) {
	anchor, key := quote(t.cfg.Anchor), quote(t.cfg.Key)
	rows, err := tx.QueryContext(ctx, "SELECT "+anchor+", "+key+" FROM "+quote(t.cfg.Table)+
		" WHERE "+in.sql+" ORDER BY "+anchor+", "+key+" LIMIT ?", slices.Concat(in.args, []any{limit})...)
	if err != nil {
		return nil, position{}, err
	}
	defer rows.Close()
	for rows.Next() {
		last = position{}
		if err := rows.Scan(&last.Anchor, &last.Key); err != nil {
			return nil, position{}, err
		}
		switch k := last.Key.(type) {
		case string, int64:
			keys = append(keys, fmt.Sprint(k))
		case []byte:
			last.Key = string(k)
			keys = append(keys, string(k))
		default:
			return nil, position{}, fmt.Errorf("a key is a %T, want text or an integer", k)
		}
	}
	return keys, last, rows.Err()
}

// countCascades counts what goes along with the rows of the target's table that are in.
func (t *SQLTarget) countCascades(ctx context.Context, tx *sql.Tx, s schema, in condition) (map[string]int64, error) {
	if len(s.Edges) == 0 {
		return nil, nil
	}
	counts := map[string]int64{}
	for _, table := range s.cascades() {
		query := "WITH ps_batch AS (SELECT * FROM " + quote(t.cfg.Table) + " WHERE " + in.sql + ") SELECT COUNT(*) FROM " +
			quote(table) + " WHERE " + s.doomed(table)
		var n int64
		if err := tx.QueryRowContext(ctx, query, in.args...).Scan(&n); err != nil {
			return nil, fmt.Errorf("count of table %q: %w", table, err)
		}
		if n > 0 {
			counts[table] = n
		}
	}
	return counts, nil
}
