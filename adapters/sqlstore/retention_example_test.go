// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/retention"
	_ "modernc.org/sqlite"
)

const policyFile = `
policies:
  closed-tickets:
    data_class: support tickets with their messages and files
    purpose: answering customers' questions
    legal_basis: GDPR article 6(1)(b), contract
    keep: P2Y
    action: delete
    target: tickets
`

// A policy observes, is approved, and then deletes.
func ExampleDB_RetentionRuns() {
	dir, err := os.MkdirTemp("", "portal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(dir, "portal.db")))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	if err := makeTickets(ctx, db); err != nil {
		log.Fatal(err)
	}
	if err := keepTickets(ctx, db); err != nil {
		log.Fatal(err)
	}
	// Output:
	// dry run: 1 of 3 tickets
	// run: 1 deleted, 0 remaining
}

func keepTickets(ctx context.Context, db *sql.DB) error {
	stores, err := sqlstore.Open(ctx, db, sqlstore.SQLite)
	if err != nil {
		return err
	}
	policies, err := retention.ParsePolicies("retention.yaml", []byte(policyFile))
	if err != nil {
		return err
	}
	tickets, err := retention.NewSQLTarget(retention.SQLTargetConfig{DB: db,
		Table: "ticket", Key: "id", Anchor: "closed_at", Where: "status = ?", Args: []any{"closed"}})
	if err != nil {
		return err
	}
	runner, err := retention.New(retention.Config{Policies: policies, Store: stores.RetentionRuns(), Audit: audit.Discard,
		Targets: map[string]retention.Target{"tickets": tickets}})
	if err != nil {
		return err
	}
	plan, err := runner.DryRun(ctx, "closed-tickets")
	if err != nil {
		return err
	}
	fmt.Printf("dry run: %d of %d tickets\n", plan.Count, plan.Total)

	ctx = portalsec.WithPrincipal(ctx, portalsec.Principal{ID: "privacy-officer"}) // the login's middleware does this
	if err := runner.Approve(ctx, "closed-tickets", plan.PlanHash); err != nil {
		return err
	}
	report, err := runner.RunOnce(ctx, "closed-tickets") // or go runner.Run(ctx), which keeps the schedule
	if err != nil {
		return err
	}
	fmt.Printf("run: %d deleted, %d remaining\n", report.Deleted, report.Remaining)
	return nil
}

func makeTickets(ctx context.Context, db *sql.DB) error {
	now := time.Now()
	_, err := db.ExecContext(ctx, `CREATE TABLE ticket (id TEXT PRIMARY KEY, status TEXT NOT NULL, closed_at BIGINT);
		CREATE INDEX ticket_closed ON ticket (closed_at, id);
		INSERT INTO ticket VALUES ('1', 'closed', ?), ('2', 'closed', ?), ('3', 'open', NULL)`,
		now.AddDate(-3, 0, 0).UnixMicro(), now.AddDate(-1, 0, 0).UnixMicro())
	return err
}
