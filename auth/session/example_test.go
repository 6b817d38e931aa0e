// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/session"
)

func Example() {
	sessions, err := session.New(session.Config{Store: session.NewMemory(), Audit: audit.Discard})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		// The application has checked the password.
		_, err := sessions.Start(r.Context(), w, r, session.Identity{
			User: "u-17", Factors: []portalsec.FactorProof{{Kind: portalsec.FactorPassword, At: time.Now()}},
		})
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessions.Load(r)
		if err != nil {
			http.Error(w, "sign in first", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, s.User)
	})

	login := httptest.NewRecorder()
	mux.ServeHTTP(login, httptest.NewRequest("POST", "/login", nil))
	for _, cookie := range []*http.Cookie{login.Result().Cookies()[0], {Name: "__Host-session", Value: "guess"}} {
		r, w := httptest.NewRequest("GET", "/me", nil), httptest.NewRecorder()
		r.AddCookie(cookie)
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 401
}

func ExampleNewValue() {
	type Draft struct {
		Step int
		City string
	}
	sessions, err := session.New(session.Config{Store: session.NewMemory(), Audit: audit.Discard})
	if err != nil {
		panic(err)
	}
	draft, err := session.NewValue[Draft](sessions, "draft")
	if err != nil {
		panic(err)
	}

	login := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	_, err = sessions.Start(r.Context(), login, r, session.Identity{
		User: "u-17", Factors: []portalsec.FactorProof{{Kind: portalsec.FactorPassword, At: time.Now()}},
	})
	if err != nil {
		panic(err)
	}
	r.AddCookie(login.Result().Cookies()[0])

	// In the handler of one page, and in that of a later one.
	if err := draft.Set(r.Context(), r, Draft{Step: 2, City: "Gent"}); err != nil {
		panic(err)
	}
	d, ok, err := draft.Get(r.Context(), r)
	fmt.Println(d, ok, err)

	if err := sessions.End(r.Context(), httptest.NewRecorder(), r); err != nil {
		panic(err)
	}
	_, ok, err = draft.Get(r.Context(), r)
	fmt.Println(ok, err)
	// Output:
	// {2 Gent} true <nil>
	// false session: no session
}
