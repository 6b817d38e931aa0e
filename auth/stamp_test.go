// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/stretchr/testify/require"
)

const sessionCookie = "__Host-session"

// get sends a request through the middleware and gives the principal that the handler saw.
func (b *browser) get() (p portalsec.Principal, w *httptest.ResponseRecorder) {
	w = httptest.NewRecorder()
	b.f.Middleware()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ = portalsec.PrincipalFrom(r.Context())
	})).ServeHTTP(w, b.request("GET", "/"))
	b.take(w)
	return p, w
}

func (f *fixture) sessionsOf(id string) int {
	f.t.Helper()
	list, err := f.sessions.List(f.t.Context(), "acme", id)
	require.NoError(f.t, err)
	return len(list)
}

func TestNewTokenAfterChangeOfRoles(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.roles = []string{"agent", "admin"}
	f.account()
	b := f.browser()
	s := b.mustLogin()
	for _, same := range [][]string{{"agent", "admin"}, {"admin", "agent"}, {"admin", "agent", "admin"}} {
		f.roles = slices.Clone(same)
		_, w := b.get()
		require.Empty(t, w.Result().Cookies(), "%v is no change", same)
		require.Equal(t, same, f.roles, "what Roles gave stays in its order")
	}
	for _, changed := range [][]string{{"admin"}, {"adm", "in"}, nil, {""}, {"agent"}} {
		f.roles = changed
		old := b.request("GET", "/")
		p, w := b.get()
		require.Equal(t, changed, p.Roles, "rights change at once")
		require.Equal(t, s.ID, p.Session)
		require.Equal(t, s.Factors, p.Factors)
		require.Len(t, w.Result().Cookies(), 1, "%q", changed)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		_, err := f.Principal(old)
		require.Equal(t, auth.ErrNoSession, err, "the old token is dead")
		p, w = b.get()
		require.Equal(t, changed, p.Roles)
		require.Empty(t, w.Result().Cookies(), "once")
	}
}

// final keeps the final answer: the recorder takes an informational one for it.
type final struct{ *httptest.ResponseRecorder }

func (f final) WriteHeader(status int) {
	if status >= 200 {
		f.ResponseRecorder.WriteHeader(status)
	}
}

// TestNewTokenIsNotCached: what a handler says of its answer does not let a cache keep the cookie for others.
func TestNewTokenIsNotCached(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(http.ResponseWriter){
		"with a status": func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
		"a body":        func(w http.ResponseWriter) { _, _ = w.Write([]byte("body {}")) },
		"nothing":       func(http.ResponseWriter) {},
		"a hint before": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Cache-Control", "public, max-age=3600")
			_, _ = w.Write([]byte("body {}"))
		},
		"a flush": func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setUp(t, nil)
			f.roles = []string{"agent"}
			f.account()
			b := f.browser()
			b.mustLogin()
			h := f.Middleware()(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", "public, max-age=3600")
				write(w)
			}))
			w := httptest.NewRecorder()
			h.ServeHTTP(final{w}, b.request("GET", "/static/portal.css"))
			require.Equal(t, "public, max-age=3600", w.Result().Header.Get("Cache-Control"), "nothing has changed")
			f.roles = []string{"agent", "admin"}
			w = httptest.NewRecorder()
			h.ServeHTTP(final{w}, b.request("GET", "/static/portal.css"))
			require.Len(t, w.Result().Cookies(), 1)
			require.Equal(t, "no-store", w.Result().Header.Get("Cache-Control"))
		})
	}
}

// TestRoleChangeInFlight sends requests at once that all have been checked before the first gets the new token.
func TestRoleChangeInFlight(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.account()
	b := f.browser()
	b.mustLogin()
	f.roles = []string{"agent"}
	const n = 50
	var wg, checked sync.WaitGroup
	checked.Add(n)
	f.onRoles = func() { checked.Done(); checked.Wait() }
	h := f.Middleware()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, _ := portalsec.PrincipalFrom(r.Context()); p.HasRole("agent") {
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	answers := make([]*httptest.ResponseRecorder, n)
	for i := range answers {
		answers[i] = httptest.NewRecorder()
		r := b.request("GET", "/")
		wg.Go(func() { h.ServeHTTP(answers[i], r) })
	}
	wg.Wait()
	f.onRoles = nil
	cookies := 0
	for _, w := range answers {
		require.Equal(t, http.StatusAccepted, w.Code, "who was checked goes on")
		cookies += len(w.Result().Cookies())
		b.take(w)
	}
	require.Equal(t, 1, cookies)
	require.Equal(t, []string{"agent"}, b.wantSignedIn().Roles)
}

// TestHandlerAfterRoleChange calls what replaces and ends the session in the request that gives it a new token.
func TestHandlerAfterRoleChange(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	b.mustLogin()
	b.cookies["theme"] = "dark"
	f.roles = []string{"agent"}
	require.NoError(t, b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
		theme, err := r.Cookie("theme")
		require.NoError(t, err)
		require.Equal(t, "dark", theme.Value)
		return f.Reauthenticate(ctx, w, r, goodPassword)
	}))
	b.wantSignedIn()
	f.roles = nil
	require.NoError(t, b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error { return f.Logout(ctx, w, r) }))
	require.NotContains(t, b.cookies, sessionCookie)
	require.Zero(t, f.sessionsOf(a.ID))
}

// TestLogoutAfterNewToken signs out with a request that was under way when another one got a new token.
func TestLogoutAfterNewToken(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	b.mustLogin()
	other := f.browser()
	other.cookies[sessionCookie] = b.cookies[sessionCookie]
	require.NoError(t, b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
		f.roles = []string{"agent"}
		other.get()
		require.NotEqual(t, b.cookies[sessionCookie], other.cookies[sessionCookie])
		return f.Logout(ctx, w, r)
	}))
	other.wantSignedOut()
	require.Zero(t, f.sessionsOf(a.ID))
}

// rotations is a session store whose RotateSession fails.
type rotations struct{ session.Store }

func (rotations) RotateSession(context.Context, session.Hash, session.Record) error { return errBroken }

func TestNoNewTokenNoRequest(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(c *auth.Config) {
		var err error
		c.Sessions, err = session.New(session.Config{Store: rotations{session.NewMemory()}, Clock: c.Clock, Audit: audit.Discard})
		require.NoError(t, err)
	})
	f.account()
	b := f.browser()
	b.mustLogin()
	b.wantSignedIn()
	f.roles = []string{"agent"}
	p, w := b.get()
	require.Empty(t, p.ID)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.NotContains(t, w.Body.String(), "broken")
}
