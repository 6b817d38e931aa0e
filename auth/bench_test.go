// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
)

func BenchmarkMiddleware(b *testing.B) {
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	sessions, err := session.New(session.Config{Store: session.NewMemory(), Audit: audit.Discard})
	must(err)
	limit, err := throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: make([]byte, 32)})
	must(err)
	hasher, err := password.New(password.Config{})
	must(err)
	policy, err := password.NewPolicy(password.PolicyConfig{})
	must(err)
	store := auth.NewMemory()
	must(store.CreateAccount(b.Context(), auth.AccountRecord{ID: "ann", Login: []byte("x"), Version: 1}))
	a, err := auth.New(auth.Config{
		Accounts: store, OneTime: store, Profile: sealer{}, Hasher: hasher, Policy: policy, Sessions: sessions, Throttle: limit,
		Audit: audit.Discard,
	})
	must(err)
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	_, err = sessions.Start(b.Context(), w, r, session.Identity{User: "ann", Factors: []portalsec.FactorProof{{Kind: portalsec.FactorPassword, At: time.Now()}}})
	must(err)
	h := a.Middleware()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, ok := portalsec.PrincipalFrom(r.Context()); !ok {
			b.Error("nobody")
		}
	}))
	// The first request after the session was started here gives it the token that goes with the user's roles.
	first := httptest.NewRecorder()
	r.AddCookie(w.Result().Cookies()[0])
	h.ServeHTTP(first, r)
	r = httptest.NewRequest("GET", "/", nil)
	r.AddCookie(first.Result().Cookies()[0])
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
