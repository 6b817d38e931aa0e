// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/audit/ledger"
)

func Example() {
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	events, err := ledger.Open(ledger.Config{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer events.Close()
	err = events.Record(ctx, audit.Event{Kind: "app.ticket_closed", Outcome: audit.Success, Tenant: "acme", Actor: "7f3a"})
	if err != nil { // not on disk: the ticket stays open
		log.Fatal(err)
	}

	page, err := events.Read(ctx, ledger.Query{Tenant: "acme", Limit: 50})
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range page {
		fmt.Println(e.Index, e.Event.Kind, e.Event.Actor)
	}

	report, err := ledger.Verify(ctx, dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Entries, "entries, all as written:", report.OK())

	// One byte is changed.
	path := filepath.Join(dir, "audit.log")
	content, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	content[len(content)-9]++
	if err := os.WriteFile(path, content, 0o600); err != nil {
		log.Fatal(err)
	}
	report, err = ledger.Verify(ctx, dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("entry %d: %s\n", report.FirstBad, report.Problem)
	// Output:
	// 2 app.ticket_closed 7f3a
	// 2 entries, all as written: true
	// entry 2: its content does not have its hash
}
