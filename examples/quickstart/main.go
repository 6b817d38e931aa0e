// SPDX-License-Identifier: Apache-2.0

// Quickstart puts a login, a role guard and an audit log around a handler that was there before.
package main

import (
	"context"
	"fmt"
	"net/http"
	"testing/fstest"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/crypto"
	"github.com/portalsec/portalsec/httpsec"
	"github.com/portalsec/portalsec/rbac"
)

func main() {
	ctx := context.Background()
	log := must(ledger.Open(ledger.Config{Dir: "quickstart-data"}))
	_ = crypto.GenerateKeyFile("quickstart-data/root.key") // makes it the first time only
	ring := must(crypto.New(ctx, crypto.Config{Root: must(crypto.OpenKeyFile("quickstart-data/root.key")), Store: crypto.NewMemory(), Audit: log}))
	invoiceRead := rbac.Permission("invoice.read", "read invoices")
	policy := fstest.MapFS{"policy.yaml": {Data: []byte(`roles: {clerk: {description: "keeps the books", allow: [invoice.read]}}`)}}
	roles := must(rbac.Open(ctx, must(rbac.NewCatalog(invoiceRead)), rbac.Config{Policy: policy, Assignments: rbac.NewMemory(), Audit: log, SignIn: "/login"}))
	people := auth.NewMemory()
	accounts := must(auth.New(auth.Config{
		Accounts: people, OneTime: people, Profile: ring.Field("account", "profile", crypto.WithIndex(crypto.NormaliseEmail)),
		Hasher: must(password.New(password.Config{})), Policy: must(password.NewPolicy(password.PolicyConfig{})),
		Sessions: must(session.New(session.Config{Store: session.NewMemory(), InsecureCookie: true, Audit: log})), // plain HTTP, on this machine
		Throttle: must(throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: must(ring.Subkey("throttle"))})), Roles: roles, Audit: log}))
	secret := password.Generate()
	clerk := must(accounts.CreateAccount(ctx, auth.NewAccount{Tenant: "main", Email: "clerk@example.com", Password: secret}))
	must(0, roles.AssignWithoutGrantor(ctx, rbac.Assignment{Tenant: "main", Scope: "main", Subject: clerk.ID, Role: "clerk"}))
	fmt.Println("http://127.0.0.1:8081/invoices for clerk@example.com, password", secret)
	const form = `<!doctype html><form method="post"><input name="email"> <input name="password" type="password"> <button>Sign in</button></form>`
	mux := rbac.NewMux(roles)
	mux.HandleFunc("GET /invoices", rbac.Need(invoiceRead), func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "Invoice 1: 12.50") })
	mux.HandleFunc("GET /login", rbac.Public("to sign in"), func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, form) })
	mux.HandleFunc("POST /login", rbac.Public("to sign in"), func(w http.ResponseWriter, r *http.Request) {
		if _, err := accounts.Login(r.Context(), w, r, auth.Credentials{Email: r.FormValue("email"), Password: r.FormValue("password")}); err != nil {
			portalsec.Deny(w, r, auth.DenialOf(err))
			return
		}
		http.Redirect(w, r, "/invoices", http.StatusSeeOther)
	})
	panic(httpsec.Server(httpsec.Config{Addr: "127.0.0.1:8081", Handler: portalsec.Chain(mux, http.NewCrossOriginProtection().Handler, accounts.Middleware(), audit.Middleware(log))}).ListenAndServe())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
