// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/adapters/redisstore"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/stretchr/testify/require"
)

const (
	// requestTimeout is how long the portal gives a request.
	requestTimeout = 300 * time.Millisecond
	// answerTimeout is when its visitors must have an answer, on a slow machine too.
	answerTimeout = 3 * time.Second
	patience      = 30 * time.Second
)

// portal is one process of a portal: it signs in, lets visit, and ends all sessions of a user.
type portal struct{ *httptest.Server }

func newPortal(t *testing.T, url string) portal {
	t.Helper()
	db, err := redisstore.New(t.Context(), client(t, url), redisstore.Config{})
	require.NoError(t, err)
	m, err := session.New(session.Config{Store: db.Sessions(), InsecureCookie: true, Audit: audit.Discard})
	require.NoError(t, err)
	status := func(w http.ResponseWriter, err error) {
		switch {
		case errors.Is(err, session.ErrNoSession):
			w.WriteHeader(http.StatusUnauthorized)
		case err != nil:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		_, err := m.Start(r.Context(), w, r, session.Identity{
			Tenant: "acme", User: r.FormValue("user"),
			Factors: []portalsec.FactorProof{{Kind: portalsec.FactorPassword, At: time.Now()}},
		})
		status(w, err)
	})
	mux.HandleFunc("/visit", func(w http.ResponseWriter, r *http.Request) {
		_, err := m.Load(r)
		status(w, err)
	})
	mux.HandleFunc("/revoke", func(w http.ResponseWriter, r *http.Request) {
		_, err := m.RevokeUser(r.Context(), "acme", r.FormValue("user"), "")
		status(w, err)
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		mux.ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(srv.Close)
	return portal{srv}
}

// ask sends a request, notes it when its answer is late, and gives the status and the cookie that was set.
func (p portal) ask(t *testing.T, path string, cookie *http.Cookie) (int, *http.Cookie) {
	t.Helper()
	r, err := http.NewRequest("POST", p.URL+path, nil)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	if cookie != nil {
		r.AddCookie(cookie)
	}
	began := time.Now()
	resp, err := p.Client().Do(r)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	resp.Body.Close()
	if d := time.Since(began); d > answerTimeout {
		t.Errorf("%s took %v", path, d)
	}
	for _, c := range resp.Cookies() {
		cookie = c
	}
	return resp.StatusCode, cookie
}

// traffic is what visitors do while the server comes and goes.
type traffic struct {
	// life is how often the server was started anew with nothing in it.
	life atomic.Int32
	// in, out and failed count the answers to visits.
	in, out, failed atomic.Int64
	stop            atomic.Bool
	all             sync.WaitGroup
}

// start has a visitor sign in at one process, visit the other, and be thrown out, over and over. Whoever was thrown out
// tries again for ever.
func (tr *traffic) start(t *testing.T, user string, one, two portal) {
	tr.all.Go(func() {
		var dead []*http.Cookie
		visit := func(c *http.Cookie, may bool) {
			switch code, _ := two.ask(t, "/visit", c); code {
			case http.StatusOK:
				tr.in.Add(1)
				if !may {
					t.Errorf("%s was let in after the end of the session", user)
				}
			case http.StatusUnauthorized:
				tr.out.Add(1)
			case http.StatusServiceUnavailable:
				tr.failed.Add(1)
			default:
				t.Errorf("%s got %d", user, code)
			}
		}
		for i := 0; !tr.stop.Load(); i++ {
			if len(dead) > 0 {
				visit(dead[i%len(dead)], false)
			}
			code, c := one.ask(t, "/login?user="+user, nil)
			if code != http.StatusOK {
				continue
			}
			life := tr.life.Load() // not less than that in which the session began
			for range 3 {
				now := tr.life.Load()
				visit(c, now == life)
			}
			if code, _ := one.ask(t, "/revoke?user="+user, nil); code != http.StatusOK {
				continue // it may have happened or not
			}
			dead = append(dead, c)
			visit(c, false)
		}
	})
}

// Redis crashes, comes back, hangs and goes on, while visitors come and go. Whatever happens, nobody is let in whose
// session has ended; everybody has an answer in time; and afterwards all is as before by itself.
func TestCrashes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		args    []string
		survive bool
	}{
		{"without persistence", []string{"--appendonly", "no"}, false},
		{"with the append-only file", []string{"--appendonly", "yes", "--appendfsync", "always"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			own := startServer(t, tc.args...)
			one, two := newPortal(t, own.url()), newPortal(t, own.url())
			var tr traffic
			for i := range 4 {
				tr.start(t, fmt.Sprint("visitor", i), one, two)
			}
			defer tr.all.Wait()
			defer tr.stop.Store(true)
			// more waits until there were more of such answers.
			more := func(n *atomic.Int64) {
				t.Helper()
				before := n.Load()
				require.Eventually(t, func() bool { return n.Load() > before+10 }, patience, time.Millisecond)
			}
			is := func(c *http.Cookie, want int) {
				t.Helper()
				code, _ := two.ask(t, "/visit", c)
				require.Equal(t, want, code)
			}
			becomes := func(c *http.Cookie, want int) {
				t.Helper()
				require.Eventually(t, func() bool {
					code, _ := two.ask(t, "/visit", c)
					return code == want
				}, patience, time.Millisecond)
			}
			// The driver may take a second to notice that the server is back, in each process by itself.
			login := func(user string) (c *http.Cookie) {
				t.Helper()
				require.Eventually(t, func() bool {
					var code int
					code, c = one.ask(t, "/login?user="+user, nil)
					return code == http.StatusOK
				}, patience, time.Millisecond)
				return c
			}
			for range 2 {
				alive, ended := login("ann"), login("bob")
				becomes(ended, http.StatusOK)
				require.Eventually(t, func() bool {
					code, _ := one.ask(t, "/revoke?user=bob", nil)
					return code == http.StatusOK
				}, patience, time.Millisecond)
				becomes(alive, http.StatusOK)
				becomes(ended, http.StatusUnauthorized)
				more(&tr.in)
				more(&tr.out)

				own.kill()
				if !tc.survive {
					tr.life.Add(1)
				}
				for range 5 {
					is(alive, http.StatusServiceUnavailable)
					is(ended, http.StatusServiceUnavailable)
				}
				more(&tr.failed)
				own.start()
				becomes(ended, http.StatusUnauthorized)
				if tc.survive {
					becomes(alive, http.StatusOK)
				} else {
					becomes(alive, http.StatusUnauthorized)
					alive = login("ann")
				}
				more(&tr.in)

				own.stop()
				becomes(alive, http.StatusServiceUnavailable) // the signal takes a moment
				for range 3 {
					is(alive, http.StatusServiceUnavailable)
					is(ended, http.StatusServiceUnavailable)
				}
				own.resume()
				becomes(alive, http.StatusOK)
				becomes(ended, http.StatusUnauthorized)
				more(&tr.in)
				more(&tr.out)
			}
		})
	}
}
