// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
)

// newAuth wires an Auth that keeps everything in memory. A portal takes its stores from package sqlstore, the
// Profile from package crypto, and the throttle's key from a file.
func newAuth() (*auth.Auth, error) {
	sessions, err := session.New(session.Config{Store: session.NewMemory(), Audit: audit.Discard})
	if err != nil {
		return nil, err
	}
	attempts, err := throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: []byte("sixteen bytes or more")})
	if err != nil {
		return nil, err
	}
	hasher, err := password.New(password.Config{})
	if err != nil {
		return nil, err
	}
	policy, err := password.NewPolicy(password.PolicyConfig{})
	if err != nil {
		return nil, err
	}
	store := auth.NewMemory()
	return auth.New(auth.Config{
		Accounts: store, OneTime: store, Profile: sealer{}, Hasher: hasher, Policy: policy,
		Sessions: sessions, Throttle: attempts, Audit: audit.Discard,
	})
}

func Example() {
	a, err := newAuth()
	if err != nil {
		panic(err)
	}
	_, err = a.CreateAccount(context.Background(), auth.NewAccount{Email: "ann@acme.test", Password: "olive tractor winter 9"})
	if err != nil {
		panic(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		out, err := a.Login(r.Context(), w, r, auth.Credentials{Email: r.FormValue("email"), Password: r.FormValue("password")})
		if err != nil {
			portalsec.Deny(w, r, auth.DenialOf(err))
			return
		}
		fmt.Fprint(w, "next: ", out.Next)
	})
	mux.Handle("GET /me", a.RequireSession()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello")
	})))
	portal := portalsec.Chain(mux, a.Middleware())

	var cookies []*http.Cookie
	for _, pw := range []string{"guess", "olive tractor winter 9"} {
		form := url.Values{"email": {"ann@acme.test"}, "password": {pw}}
		r := httptest.NewRequest("POST", "/login", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		portal.ServeHTTP(w, r)
		fmt.Println(w.Code)
		cookies = w.Result().Cookies()
	}
	for _, signedIn := range []bool{false, true} {
		r, w := httptest.NewRequest("GET", "/me", nil), httptest.NewRecorder()
		for _, c := range cookies {
			if signedIn {
				r.AddCookie(c)
			}
		}
		portal.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 401
	// 200
	// 401
	// 200
}
