// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// SQLTargetConfig says which rows of a SQLite table a policy deletes.
//
// Names are those of the catalogue, in the same case. They are looked up there and then quoted.
type SQLTargetConfig struct {
	// DB is the database, opened with foreign keys on. The [Store] must be in the same one.
	DB *sql.DB
	// Table is the table. It must not be a view.
	Table string
	// Key is its primary key or another unique column, of an integer or text type.
	Key string
	// Anchor is the column with the time from which a row is kept, an integer of AnchorUnits since 1970 in UTC. It
	// must be the first column of an index that covers all rows. A row that meets the condition and has
	// none, one of 0 or less, or a text, is an error: it would be kept for ever, or deleted at once.
	Anchor string
	// AnchorUnit is [time.Microsecond], [time.Millisecond] or [time.Second]. Zero means time.Microsecond.
	AnchorUnit time.Duration
	// Tenant is the column with the tenant, of a text type. Plans tell the tenants apart when it is given.
	Tenant string
	// Where is a fixed condition in SQL that rows must also meet, such as "status = ?"; empty means all rows. It
	// goes into statements as it is: write it in the program, never take it from outside.
	Where string
	// Args are the values of the placeholders in Where, in order: texts, integers and bools. They are part of the
	// plan that is approved.
	Args []any
	// BeforeDelete is called in the deleting transaction with the keys of the rows that are about to go, before
	// they and the rows that cascade from them are deleted; an error rolls the batch back. It is the place to remove
	// files. Because a commit can fail after it, it may be called again with the same keys, and what is gone
	// already must then be no error.
	BeforeDelete func(ctx context.Context, tx *sql.Tx, keys []string) error
}

// SQLTarget is a table of a SQL database as a [Target]. It speaks SQLite. Rows of other tables go along by ON
// DELETE CASCADE and are counted.
//
// Its tests are in adapters/sqlstore, because this module has no database driver.
type SQLTarget struct {
	cfg SQLTargetConfig
}

var _ Target = (*SQLTarget)(nil)

// NewSQLTarget gives the target. It does not use the database yet: the table is checked by Describe, which the
// [Runner] calls before each act.
func NewSQLTarget(cfg SQLTargetConfig) (*SQLTarget, error) {
	switch {
	case cfg.DB == nil:
		return nil, errors.New("retention: SQLTargetConfig.DB is required")
	case cfg.Table == "":
		return nil, errors.New("retention: SQLTargetConfig.Table is required")
	case cfg.Key == "":
		return nil, errors.New("retention: SQLTargetConfig.Key is required")
	case cfg.Anchor == "":
		return nil, errors.New("retention: SQLTargetConfig.Anchor is required")
	case len(cfg.Args) > 0 && cfg.Where == "":
		return nil, errors.New("retention: SQLTargetConfig.Args are given without Where")
	}
	for _, a := range cfg.Args {
		switch a.(type) {
		case string, bool, int, int64:
		default:
			return nil, fmt.Errorf("retention: SQLTargetConfig.Args: a %T is not supported", a)
		}
	}
	switch cfg.AnchorUnit {
	case 0:
		cfg.AnchorUnit = time.Microsecond
	case time.Microsecond, time.Millisecond, time.Second:
	default:
		return nil, fmt.Errorf("retention: SQLTargetConfig.AnchorUnit %v is not supported", cfg.AnchorUnit)
	}
	cfg.Args = slices.Clone(cfg.Args)
	return &SQLTarget{cfg: cfg}, nil
}

// Describe implements [Target]. It checks the table against the database's catalogue.
func (t *SQLTarget) Describe(ctx context.Context) (Description, error) {
	s, err := t.inspect(ctx, t.cfg.DB)
	if err != nil {
		return Description{}, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return Description{}, fmt.Errorf("retention: table %q: %w", t.cfg.Table, err)
	}
	return Description{Schema: string(text), Cascades: s.cascades()}, nil
}

// condition is a piece of SQL and the values of its placeholders.
type condition struct {
	sql  string
	args []any
}

func (c condition) and(sql string, args ...any) condition {
	return condition{c.sql + " AND " + sql, slices.Concat(c.args, args)}
}

// scope is the condition for rows that are out of date. The line break keeps a comment at the end of Where from
// swallowing what follows it.
func (t *SQLTarget) scope(s Scope) condition {
	anchor := quote(t.cfg.Anchor)
	c := condition{sql: anchor + " > 0"}.and(anchor+" < ?", t.toUnit(s.Cutoff))
	if t.cfg.Where != "" {
		c = c.and("("+t.cfg.Where+"\n)", t.cfg.Args...)
	}
	return c
}

// toUnit rounds down, so that a coarser unit keeps a row longer and never shorter.
func (t *SQLTarget) toUnit(at time.Time) int64 {
	switch t.cfg.AnchorUnit {
	case time.Second:
		return at.Unix()
	case time.Millisecond:
		return at.UnixMilli()
	default:
		return at.UnixMicro()
	}
}

func (t *SQLTarget) fromUnit(n int64) time.Time {
	switch t.cfg.AnchorUnit {
	case time.Second:
		return time.Unix(n, 0).UTC()
	case time.Millisecond:
		return time.UnixMilli(n).UTC()
	default:
		return time.UnixMicro(n).UTC()
	}
}

const sampleSize = 5

// Plan implements [Target].
func (t *SQLTarget) Plan(ctx context.Context, s Scope) (Plan, error) {
	fail := func(err error) (Plan, error) {
		return Plan{}, fmt.Errorf("retention: plan of table %q: %w", t.cfg.Table, err)
	}
	// One transaction, so that the counts belong together.
	tx, err := t.cfg.DB.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fail(err)
	}
	defer tx.Rollback() // it only read
	schema, err := t.inspect(ctx, tx)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{ByTenant: map[string]int64{}}
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+quote(t.cfg.Table)).Scan(&p.Total); err != nil {
		return fail(err)
	}
	in := t.scope(s)
	rows, err := tx.QueryContext(ctx, "SELECT "+t.tenant()+", COUNT(*), MIN("+quote(t.cfg.Anchor)+") FROM "+
		quote(t.cfg.Table)+" WHERE "+in.sql+" GROUP BY 1", in.args...)
	if err != nil {
		return fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		var tenant string
		var n, first int64
		if err := rows.Scan(&tenant, &n, &first); err != nil {
			return fail(err)
		}
		p.ByTenant[tenant] = n
		p.Count += n
		if oldest := t.fromUnit(first); p.Oldest.IsZero() || oldest.Before(p.Oldest) {
			p.Oldest = oldest
		}
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	if p.Cascaded, err = t.countCascades(ctx, tx, schema, in); err != nil {
		return fail(err)
	}
	if p.Sample, err = t.sample(ctx, tx, in); err != nil {
		return fail(err)
	}
	return p, nil
}

func (t *SQLTarget) tenant() string {
	if t.cfg.Tenant == "" {
		return "''"
	}
	return "COALESCE(" + quote(t.cfg.Tenant) + ", '')"
}

func (t *SQLTarget) sample(ctx context.Context, tx *sql.Tx, in condition) ([]Sample, error) {
	key, anchor := quote(t.cfg.Key), quote(t.cfg.Anchor)
	rows, err := tx.QueryContext(ctx, "SELECT "+key+", "+t.tenant()+", "+anchor+" FROM "+quote(t.cfg.Table)+
		" WHERE "+in.sql+" ORDER BY "+anchor+", "+key+" LIMIT ?", slices.Concat(in.args, []any{sampleSize})...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var sample []Sample
	for rows.Next() {
		var s Sample
		var at int64
		if err := rows.Scan(&s.Key, &s.Tenant, &at); err != nil {
			return nil, err
		}
		s.Anchor = t.fromUnit(at)
		sample = append(sample, s)
	}
	return sample, rows.Err()
}

// Verify implements [Target].
func (t *SQLTarget) Verify(ctx context.Context, s Scope) (Residue, error) {
	in := t.scope(s)
	var r Residue
	var first sql.NullInt64
	if err := t.cfg.DB.QueryRowContext(ctx, "SELECT COUNT(*), MIN("+quote(t.cfg.Anchor)+") FROM "+
		quote(t.cfg.Table)+" WHERE "+in.sql, in.args...).Scan(&r.Count, &first); err != nil {
		return Residue{}, fmt.Errorf("retention: verify table %q: %w", t.cfg.Table, err)
	}
	if first.Valid {
		r.Oldest = t.fromUnit(first.Int64)
	}
	return r, nil
}
