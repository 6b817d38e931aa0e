// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing/fstest"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/rbac"
)

// The permissions of an application, and a record that they are about.
var (
	invoiceRead = rbac.Permission("invoice.read", "read invoices")
	invoicePay  = rbac.Permission("invoice.pay", "pay an invoice", rbac.Sensitive)
)

type invoice struct{ tenant, customer string }

func (i invoice) Scope() string { return i.tenant }
func (i invoice) Owner() string { return i.customer }

func Example() {
	ctx := context.Background()
	catalog, err := rbac.NewCatalog(invoiceRead, invoicePay)
	if err != nil {
		panic(err)
	}
	policy := fstest.MapFS{"policy.yaml": {Data: []byte(`
roles:
  customer: {allow: [{permission: invoice.read, when: own}]}
  clerk: {allow: [invoice.read, invoice.pay]}
tests:
  - {role: customer, permission: invoice.read, owner: other, want: deny}
`)}} // or os.DirFS("policy")
	engine, err := rbac.Open(ctx, catalog, rbac.Config{Policy: policy, Assignments: rbac.NewMemory(), Audit: audit.Discard})
	if err != nil {
		panic(err)
	}
	err = engine.AssignWithoutGrantor(ctx, rbac.Assignment{Tenant: "acme", Subject: "carl", Role: "customer", Scope: "acme"})
	if err != nil {
		panic(err)
	}

	mux := rbac.NewMux(engine)
	mux.HandleFunc("GET /invoices/{owner}", rbac.Need(invoiceRead).Object(), func(w http.ResponseWriter, r *http.Request) {
		record := invoice{"acme", r.PathValue("owner")} // from the database
		if err := engine.Check(r.Context(), invoiceRead, record); err != nil {
			engine.Deny(w, r, err)
			return
		}
		fmt.Fprintln(w, "an invoice of", record.customer)
	})

	carl := portalsec.WithPrincipal(ctx, portalsec.Principal{ID: "carl", Tenant: "acme"})
	for _, path := range []string{"/invoices/carl", "/invoices/dora"} {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequestWithContext(carl, "GET", path, nil))
		fmt.Println(path, answer.Code)
	}
	// Output:
	// /invoices/carl 200
	// /invoices/dora 403
}
