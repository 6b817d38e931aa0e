// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/portalsec/portalsec/retention"
	"github.com/stretchr/testify/require"
)

func TestSQLTargetDescribeRefuses(t *testing.T) {
	t.Parallel()
	type cfg = retention.SQLTargetConfig
	for _, c := range []struct {
		name, ddl string
		change    func(*cfg)
		want      string
	}{
		{"missing table", ``, func(c *cfg) { c.Table = "tickets" }, `table "tickets": does not exist`},
		{"a name that would be SQL", ``, func(c *cfg) { c.Table = `ticket" WHERE 1=1 --` }, "does not exist"},
		{"another case", ``, func(c *cfg) { c.Table = "Ticket" }, "does not exist"},
		{"view", `CREATE VIEW v AS SELECT * FROM ticket`, func(c *cfg) { c.Table = "v" }, "does not exist"},
		{"missing key", ``, func(c *cfg) { c.Key = "key" }, `key column "key" does not exist`},
		{"missing anchor", ``, func(c *cfg) { c.Anchor = "closed" }, `anchor column "closed" does not exist`},
		{"missing tenant", ``, func(c *cfg) { c.Tenant = "organisation" }, `tenant column "organisation" does not exist`},
		{"key not unique", ``, func(c *cfg) { c.Key = "tenant" }, `key column "tenant" is not unique by itself`},
		{"key of two columns", `CREATE TABLE x (a TEXT, b TEXT, at BIGINT, PRIMARY KEY (a, b)); CREATE INDEX x_at ON x (at)`,
			func(c *cfg) { *c = cfg{DB: c.DB, Table: "x", Key: "a", Anchor: "at"} }, "is not unique by itself"},
		{"unique only in part", `CREATE TABLE x (a TEXT, at BIGINT); CREATE INDEX x_at ON x (at); CREATE UNIQUE INDEX x_a ON x (a) WHERE at > 0`,
			func(c *cfg) { *c = cfg{DB: c.DB, Table: "x", Key: "a", Anchor: "at"} }, "is not unique by itself"},
		{"key is a blob", `CREATE TABLE x (a BLOB PRIMARY KEY, at BIGINT); CREATE INDEX x_at ON x (at)`,
			func(c *cfg) { *c = cfg{DB: c.DB, Table: "x", Key: "a", Anchor: "at"} }, `has type "BLOB", want an integer or text`},
		{"anchor is text", `CREATE TABLE x (a TEXT PRIMARY KEY, at DATETIME); CREATE INDEX x_at ON x (at)`,
			func(c *cfg) { *c = cfg{DB: c.DB, Table: "x", Key: "a", Anchor: "at"} }, `has type "DATETIME", want an integer of microseconds`},
		{"anchor without index", `DROP INDEX ticket_closed`, nil, `anchor column "closed_at" is not the first of an index`},
		{"anchor second in its index", `DROP INDEX ticket_closed; CREATE INDEX i ON ticket (tenant, closed_at)`, nil, "is not the first of an index"},
		{"anchor indexed in part", `DROP INDEX ticket_closed; CREATE INDEX i ON ticket (closed_at) WHERE status = 'closed'`, nil, "is not the first of an index"},
		{"a row without an anchor", `INSERT INTO ticket VALUES ('a', '', 'closed', NULL)`, nil, `1 rows have no time in the anchor column "closed_at"`},
		{"a row with anchor 0", `INSERT INTO ticket VALUES ('a', '', 'closed', 0)`, nil, `1 rows have no time`},
		{"a row with a date as text", `INSERT INTO ticket VALUES ('a', '', 'closed', '2020-01-01')`, nil, `1 rows have no time`},
		{"a broken condition", ``, func(c *cfg) { c.Where = "stauts = ?" }, "no such column"},
		{"too few values", ``, func(c *cfg) { c.Args = nil }, `table "ticket": `},
		{"a child that is not deleted", `CREATE TABLE bill (id TEXT, ticket_id TEXT REFERENCES ticket (id))`, nil,
			`foreign key of table "bill" to "ticket" has no ON DELETE CASCADE`},
		{"a grandchild that is not deleted", `CREATE TABLE bill (id TEXT, m INTEGER REFERENCES message ON DELETE RESTRICT)`,
			func(c *cfg) { c.BeforeDelete = func(context.Context, *sql.Tx, []string) error { return nil } },
			`foreign key of table "bill" to "message" has no ON DELETE CASCADE`},
		{"a child without index", `DROP INDEX message_ticket`, nil, `foreign key of table "message" to "ticket" has no index on "ticket_id"`},
		{"a table that cascades to itself", `ALTER TABLE message ADD answers INTEGER REFERENCES message (id) ON DELETE CASCADE`, nil, "cycle"},
		{"a cycle", `CREATE TABLE p (id INTEGER PRIMARY KEY, t TEXT REFERENCES ticket (id) ON DELETE CASCADE); CREATE INDEX p_t ON p (t);
			ALTER TABLE ticket ADD p INTEGER REFERENCES p (id) ON DELETE CASCADE`, nil, "cycle"},
		{"a key over two columns", `CREATE TABLE p (a TEXT, b TEXT, FOREIGN KEY (a, b) REFERENCES ticket (id, tenant) ON DELETE CASCADE)`, nil, "several columns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			_, err := o.db.Exec(c.ddl)
			require.NoError(t, err)
			if c.change != nil {
				c.change(&o.target)
			}
			target, err := retention.NewSQLTarget(o.target)
			require.NoError(t, err)
			_, err = target.Describe(t.Context())
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, o.runner(t, 0).Check(t.Context()), c.want)
		})
	}
}

func TestSQLTargetDescribeAccepts(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, err := o.db.Exec(`INSERT INTO ticket VALUES ('a', '', 'open', NULL);
		CREATE TABLE x (a VARCHAR(20) NOT NULL UNIQUE, at INTEGER PRIMARY KEY);
		CREATE TABLE bill (id TEXT, ticket_id TEXT REFERENCES ticket (id))`)
	require.NoError(t, err)
	o.target.BeforeDelete = func(context.Context, *sql.Tx, []string) error { return nil } // it removes the bills
	target, err := retention.NewSQLTarget(o.target)
	require.NoError(t, err)
	d, err := target.Describe(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"file", "message"}, d.Cascades)

	target, err = retention.NewSQLTarget(retention.SQLTargetConfig{DB: o.db, Table: "x", Key: "a", Anchor: "at"})
	require.NoError(t, err)
	_, err = target.Describe(t.Context())
	require.NoError(t, err)
}

func TestSQLTargetNeedsForeignKeys(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.db.SetMaxOpenConns(1)
	_, err := o.db.Exec(`PRAGMA foreign_keys = OFF`)
	require.NoError(t, err)
	require.ErrorContains(t, o.runner(t, 0).Check(t.Context()), "foreign keys are off")
}

// What an approval covers: columns, condition, cascades and the hook, and no rows.
func TestSQLTargetSchemaChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*office) error{
		"column":      func(o *office) error { _, err := o.db.Exec(`ALTER TABLE ticket ADD phone TEXT`); return err },
		"condition":   func(o *office) error { o.target.Where = "status <> ?"; return nil },
		"argument":    func(o *office) error { o.target.Args = []any{"open"}; return nil },
		"tenant":      func(o *office) error { o.target.Tenant = ""; return nil },
		"anchor unit": func(o *office) error { o.target.AnchorUnit = time.Second; return nil },
		"hook": func(o *office) error {
			o.target.BeforeDelete = func(context.Context, *sql.Tx, []string) error { return nil }
			return nil
		},
		"cascade": func(o *office) error {
			_, err := o.db.Exec(`CREATE TABLE note (t TEXT PRIMARY KEY REFERENCES ticket (id) ON DELETE CASCADE)`)
			return err
		},
		"trigger": func(o *office) error {
			_, err := o.db.Exec(`CREATE TRIGGER spread AFTER DELETE ON ticket BEGIN DELETE FROM gone; END`)
			return err
		},
		"trigger, named in another case": func(o *office) error {
			_, err := o.db.Exec(`CREATE TRIGGER spread AFTER DELETE ON TICKET BEGIN DELETE FROM gone; END`)
			return err
		},
		"trigger of a table that goes along": func(o *office) error {
			_, err := o.db.Exec(`CREATE TRIGGER spread AFTER DELETE ON file BEGIN DELETE FROM gone; END`)
			return err
		},
	} {
		o := newOffice(t)
		o.wire(t, 0)
		o.fill(t, 2, 3)
		plan, err := o.DryRun(t.Context(), "closed-tickets")
		require.NoError(t, err)
		require.True(t, plan.Approved, "rows change nothing")
		require.NoError(t, change(o))
		if name == "argument" {
			_, err = o.db.Exec(`DELETE FROM ticket WHERE status = 'open'`)
			require.NoError(t, err)
		}
		if name == "condition" {
			o.target.Args = []any{"open"}
		}
		_, err = o.runner(t, 0).RunOnce(t.Context(), "closed-tickets")
		require.ErrorIs(t, err, retention.ErrNotApproved, name)
	}
}

// A description names the triggers that a deletion may set off, and leaves the list out where there are none, so that
// approvals of such plans last.
func TestSQLTargetDescribesTriggers(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	target, err := retention.NewSQLTarget(o.target)
	require.NoError(t, err)
	_, err = o.db.Exec(`CREATE TRIGGER elsewhere AFTER DELETE ON gone BEGIN DELETE FROM survey; END`)
	require.NoError(t, err)
	d, err := target.Describe(t.Context())
	require.NoError(t, err)
	require.NotContains(t, d.Schema, "triggers")

	first := `CREATE TRIGGER a AFTER DELETE ON message BEGIN DELETE FROM gone; END`
	second := `CREATE TRIGGER b BEFORE DELETE ON ticket BEGIN DELETE FROM gone; END`
	_, err = o.db.Exec(second + ";" + first)
	require.NoError(t, err)
	d, err = target.Describe(t.Context())
	require.NoError(t, err)
	require.Contains(t, d.Schema, `"triggers":["`+first+`","`+second+`"]`)
}

func TestNewSQLTargetRefuses(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for want, spoil := range map[string]func(*retention.SQLTargetConfig){
		"DB is required":                  func(c *retention.SQLTargetConfig) { c.DB = nil },
		"Table is required":               func(c *retention.SQLTargetConfig) { c.Table = "" },
		"Key is required":                 func(c *retention.SQLTargetConfig) { c.Key = "" },
		"Anchor is required":              func(c *retention.SQLTargetConfig) { c.Anchor = "" },
		"Args are given without Where":    func(c *retention.SQLTargetConfig) { c.Where = "" },
		"a time.Time is not supported":    func(c *retention.SQLTargetConfig) { c.Args = []any{noon} },
		"AnchorUnit 1h0m0s is not suppor": func(c *retention.SQLTargetConfig) { c.AnchorUnit = time.Hour },
	} {
		cfg := o.target
		spoil(&cfg)
		_, err := retention.NewSQLTarget(cfg)
		require.ErrorContains(t, err, want)
	}
}
