// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// quote makes a name that was found in the catalogue safe in a statement.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schema is what of the catalogue and of the configuration decides what a deletion deletes. Its JSON is the
// description that approvals cover.
type schema struct {
	Table        string   `json:"table"`
	Columns      []column `json:"columns"`
	Key          string   `json:"key"`
	Anchor       string   `json:"anchor"`
	AnchorUnit   string   `json:"anchor_unit"`
	Tenant       string   `json:"tenant"`
	Where        string   `json:"where"`
	Args         []any    `json:"args"`
	Edges        []edge   `json:"edges"`
	BeforeDelete bool     `json:"before_delete"`
	Triggers     []string `json:"triggers,omitempty"`
}

type column struct {
	Name string `json:"name"`
	Type string `json:"type"`
	pk   int
}

// edge is a foreign key with ON DELETE CASCADE, from a child's column to a parent's.
type edge struct {
	Child  string `json:"child"`
	From   string `json:"from"`
	Parent string `json:"parent"`
	To     string `json:"to"`
}

// cascades gives the tables that rows go from along with the target's, sorted.
func (s schema) cascades() []string {
	var names []string
	for _, e := range s.Edges {
		names = append(names, e.Child)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// doomed gives the condition for rows of a child table that go along with the rows of the common table
// expression ps_batch. It ends because there are no cycles.
func (s schema) doomed(table string) string {
	var ways []string
	for _, e := range s.Edges {
		if e.Child != table {
			continue
		}
		from := "ps_batch"
		if e.Parent != s.Table {
			from = quote(e.Parent) + " WHERE " + s.doomed(e.Parent)
		}
		ways = append(ways, quote(e.From)+" IN (SELECT "+quote(e.To)+" FROM "+from+")")
	}
	return strings.Join(ways, " OR ")
}

// inspect checks the configuration against the catalogue and the data.
func (t *SQLTarget) inspect(ctx context.Context, q querier) (schema, error) {
	s, err := t.catalogue(ctx, q)
	if err == nil {
		err = t.refuseUndated(ctx, q)
	}
	if err != nil {
		return schema{}, fmt.Errorf("retention: table %q: %w", t.cfg.Table, err)
	}
	return s, nil
}

// catalogue checks the configuration against the catalogue. Only names that it found are put into statements: SQLite
// takes an unknown name in double quotes for a text.
func (t *SQLTarget) catalogue(ctx context.Context, q querier) (schema, error) {
	c := t.cfg
	s := schema{Table: c.Table, Key: c.Key, Anchor: c.Anchor, AnchorUnit: c.AnchorUnit.String(), Tenant: c.Tenant,
		Where: c.Where, Args: c.Args, BeforeDelete: c.BeforeDelete != nil}
	var err error
	if s.Columns, err = columns(ctx, q, c.Table); err != nil {
		return schema{}, err
	}
	for _, want := range []struct {
		name, use, kind string
		integer, text   bool
	}{
		{c.Key, "key", "an integer or text", true, true},
		{c.Anchor, "anchor", "an integer of " + unitName(c.AnchorUnit) + " since 1970", true, false},
		{c.Tenant, "tenant", "text", false, true},
	} {
		if want.name == "" {
			continue
		}
		i := slices.IndexFunc(s.Columns, func(c column) bool { return c.Name == want.name })
		if i < 0 {
			return schema{}, fmt.Errorf("%s column %q does not exist", want.use, want.name)
		}
		if col := s.Columns[i]; !(want.integer && col.integer() || want.text && col.text()) {
			return schema{}, fmt.Errorf("%s column %q has type %q, want %s", want.use, want.name, col.Type, want.kind)
		}
	}
	if ok, err := unique(ctx, q, s.Columns, c.Table, c.Key); err != nil {
		return schema{}, err
	} else if !ok {
		return schema{}, fmt.Errorf("key column %q is not unique by itself", c.Key)
	}
	if ok, err := indexed(ctx, q, s.Columns, c.Table, c.Anchor); err != nil {
		return schema{}, err
	} else if !ok {
		return schema{}, fmt.Errorf("anchor column %q is not the first of an index: every batch would read the whole table", c.Anchor)
	}
	if s.Edges, err = t.edges(ctx, q); err != nil {
		return schema{}, err
	}
	s.Triggers, err = triggers(ctx, q, append(s.cascades(), c.Table))
	return s, err
}

func unitName(unit time.Duration) string {
	switch unit {
	case time.Second:
		return "seconds"
	case time.Millisecond:
		return "milliseconds"
	default:
		return "microseconds"
	}
}

// refuseUndated finds rows that a comparison with the cutoff would misjudge: without a time, or, since a column of
// SQLite takes any value, with a text in the place of a number, which sorts after all numbers. It also proves that
// Where and Args fit the table.
func (t *SQLTarget) refuseUndated(ctx context.Context, q querier) error {
	anchor := quote(t.cfg.Anchor)
	where := "(" + anchor + " IS NULL OR " + anchor + " <= 0 OR " + anchor + " > " + strconv.FormatInt(math.MaxInt64, 10) + ")"
	if t.cfg.Where != "" {
		where += " AND (" + t.cfg.Where + "\n)"
	}
	var n int64
	if err := q.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+quote(t.cfg.Table)+" WHERE "+where, t.cfg.Args...).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("%d rows have no time in the anchor column %q; give them one, or exclude them by Where", n, t.cfg.Anchor)
	}
	return nil
}

func columns(ctx context.Context, q querier, table string) ([]column, error) {
	rows, err := q.QueryContext(ctx, `SELECT i.name, i.type, i.pk FROM sqlite_schema s, pragma_table_info(s.name) i
		WHERE s.type = 'table' AND s.name = ? ORDER BY i.cid`, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var cs []column
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.Name, &c.Type, &c.pk); err != nil {
			return nil, err
		}
		cs = append(cs, c)
	}
	if len(cs) == 0 && rows.Err() == nil {
		return nil, errors.New("does not exist")
	}
	return cs, rows.Err()
}

// integer and text follow SQLite's rules of column affinity, without BLOB and the numeric types.
func (c column) integer() bool { return strings.Contains(strings.ToUpper(c.Type), "INT") }

func (c column) text() bool {
	t := strings.ToUpper(c.Type)
	return !c.integer() && (strings.Contains(t, "CHAR") || strings.Contains(t, "TEXT"))
}

func unique(ctx context.Context, q querier, cs []column, table, name string) (bool, error) {
	var keys []string
	for _, c := range cs {
		if c.pk > 0 {
			keys = append(keys, c.Name)
		}
	}
	if slices.Equal(keys, []string{name}) {
		return true, nil
	}
	var ok bool
	err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pragma_index_list(?) l WHERE l."unique" = 1 AND l.partial = 0
		AND (SELECT COUNT(*) FROM pragma_index_info(l.name)) = 1
		AND (SELECT i.name FROM pragma_index_info(l.name) i) = ?)`, table, name).Scan(&ok)
	return ok, err
}

// indexed tells whether a column is the first of an index that covers all rows.
func indexed(ctx context.Context, q querier, cs []column, table, name string) (bool, error) {
	if slices.ContainsFunc(cs, func(c column) bool { return c.Name == name && c.pk == 1 }) {
		return true, nil // SQLite lists no index for an INTEGER PRIMARY KEY
	}
	var ok bool
	err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pragma_index_list(?) l, pragma_index_info(l.name) i
		WHERE l.partial = 0 AND i.seqno = 0 AND i.name = ?)`, table, name).Scan(&ok)
	return ok, err
}

// triggers gives the statements that made the triggers of tables, sorted by the triggers' names. They name their table
// as it was written then, in whatever case.
func triggers(ctx context.Context, q querier, tables []string) ([]string, error) {
	args := make([]any, len(tables))
	for i, name := range tables {
		args[i] = name
	}
	rows, err := q.QueryContext(ctx, `SELECT sql FROM sqlite_schema WHERE type = 'trigger'
		AND tbl_name COLLATE NOCASE IN (?`+strings.Repeat(", ?", len(args)-1)+`) ORDER BY name`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var statements []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		statements = append(statements, s)
	}
	return statements, rows.Err()
}

// edges gives the foreign keys that a deletion follows, parents before children.
func (t *SQLTarget) edges(ctx context.Context, q querier) ([]edge, error) {
	var all []edge
	var walk func(parent string, path []string) error
	walk = func(parent string, path []string) error {
		refs, err := references(ctx, q, parent)
		if err != nil {
			return err
		}
		for _, r := range refs {
			name := fmt.Sprintf("foreign key of table %q to %q", r.Child, parent)
			switch {
			case r.action == "SET NULL" || r.action == "SET DEFAULT":
				continue
			case r.columns > 1:
				return fmt.Errorf("%s spans several columns, which is not supported", name)
			case r.action != "CASCADE" && (parent != t.cfg.Table || t.cfg.BeforeDelete == nil):
				return fmt.Errorf("%s has no ON DELETE CASCADE: rows that it refers to cannot be deleted", name)
			case r.action != "CASCADE":
				continue // BeforeDelete removes them
			case r.Child == parent || slices.Contains(path, r.Child):
				return fmt.Errorf("%s closes a cycle of cascades, which is not supported", name)
			}
			cs, err := columns(ctx, q, r.Child)
			if err != nil {
				return err
			}
			if ok, err := indexed(ctx, q, cs, r.Child, r.From); err != nil {
				return err
			} else if !ok {
				return fmt.Errorf("%s has no index on %q: every deletion would read that whole table", name, r.From)
			}
			if slices.Contains(all, r.edge) {
				continue // reached on another way already
			}
			all = append(all, r.edge)
			if err := walk(r.Child, append(path, parent)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(t.cfg.Table, nil); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, nil
	}
	var on bool
	if err := q.QueryRowContext(ctx, "SELECT foreign_keys FROM pragma_foreign_keys").Scan(&on); err != nil {
		return nil, err
	}
	if !on {
		return nil, errors.New("foreign keys are off on this connection: rows of other tables would be left behind")
	}
	return all, nil
}

// reference is a foreign key to a table.
type reference struct {
	edge
	action  string
	columns int
}

func references(ctx context.Context, q querier, parent string) ([]reference, error) {
	rows, err := q.QueryContext(ctx, `SELECT s.name, f."from", COALESCE(f."to", (SELECT k.name FROM pragma_table_info(?) k WHERE k.pk = 1)),
			f.on_delete, (SELECT COUNT(*) FROM pragma_foreign_key_list(s.name) g WHERE g.id = f.id)
		FROM sqlite_schema s, pragma_foreign_key_list(s.name) f
		WHERE s.type = 'table' AND f."table" = ? COLLATE NOCASE AND f.seq = 0 ORDER BY s.name, f."from"`, parent, parent)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var refs []reference
	for rows.Next() {
		r := reference{edge: edge{Parent: parent}}
		if err := rows.Scan(&r.Child, &r.From, &r.To, &r.action, &r.columns); err != nil {
			return nil, err
		}
		refs = append(refs, r)
	}
	return refs, rows.Err()
}
