// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/stretchr/testify/require"
)

// who answers with the principal's ID.
var who = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	p, _ := portalsec.PrincipalFrom(r.Context())
	fmt.Fprintf(w, "you are %q", p.ID)
})

func TestMiddleware(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	h := f.Middleware()(who)
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, b.request("GET", "/"))
		return w
	}
	require.Equal(t, `you are ""`, get().Body.String())
	b.mustLogin()
	require.Equal(t, fmt.Sprintf("you are %q", a.ID), get().Body.String())

	f.broken = true
	w := get()
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.NotContains(t, w.Body.String(), "broken")
	require.NotContains(t, w.Body.String(), "you are")
	require.Equal(t, audit.Error, f.last(audit.AuthSessionRefused).Outcome)
}

func TestSessionOfAnotherTenant(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	w, r := httptest.NewRecorder(), b.request("POST", "/")
	_, err := f.sessions.Start(r.Context(), w, r, session.Identity{
		Tenant: "zeta", User: a.ID, Factors: []portalsec.FactorProof{f.proof(portalsec.FactorPassword)},
	})
	require.NoError(t, err)
	b.take(w)
	b.wantSignedOut()
}

func TestRequireSession(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.account()
	b := f.browser()
	h := portalsec.Chain(who, f.Middleware(), f.RequireSession())
	serve := func(method, target, accept string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), b.request(method, target)
		r.Header.Set("Accept", accept)
		h.ServeHTTP(w, r)
		return w
	}
	w := serve("GET", "/tickets?open=1", "application/json")
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.Contains(t, w.Body.String(), "sign-in-required")
	require.Equal(t, "no-session", f.last(audit.AuthSessionRefused).Reason)

	for _, c := range []struct{ method, target, want string }{
		{"GET", "/tickets?open=1&x=%2F", "/login?next=%2Ftickets%3Fopen%3D1%26x%3D%252F"},
		{"HEAD", "/tickets", "/login?next=%2Ftickets"},
		{"GET", "/", "/login"},
		{"POST", "/tickets", "/login"},
		{"GET", "//evil.test/", "/login"},
	} {
		w := serve(c.method, c.target, "text/html")
		require.Equal(t, http.StatusSeeOther, w.Code, c.target)
		require.Equal(t, c.want, w.Header().Get("Location"), c.target)
	}

	b.mustLogin()
	require.Equal(t, http.StatusOK, serve("GET", "/tickets", "text/html").Code)
}

func TestDenyOfTheApplication(t *testing.T) {
	t.Parallel()
	var got []portalsec.Denial
	f := setUp(t, func(c *auth.Config) {
		c.SignInPath = "/sign-in"
		c.Deny = func(w http.ResponseWriter, _ *http.Request, d portalsec.Denial) {
			got = append(got, d)
			w.WriteHeader(d.Status)
		}
	})
	h := portalsec.Chain(who, f.Middleware(), f.RequireSession())
	h.ServeHTTP(httptest.NewRecorder(), f.browser().request("GET", "/"))
	require.Len(t, got, 1)
	require.Equal(t, "/sign-in", got[0].Next)
}

func TestDenialOf(t *testing.T) {
	t.Parallel()
	weak := &password.PolicyError{Problems: []password.Problem{{Code: password.TooShort, Text: "One."}, {Code: password.ContextWord, Text: "Two."}}}
	for _, c := range []struct {
		err    error
		status int
		code   string
		retry  time.Duration
		detail string
	}{
		{auth.ErrLoginRefused, 401, "sign-in-refused", 0, "The e-mail address or the password is wrong."},
		{fmt.Errorf("x: %w", auth.ErrLoginRefused), 401, "sign-in-refused", 0, "The e-mail address or the password is wrong."},
		{&auth.ThrottledError{RetryAfter: time.Minute}, 429, "too-many-attempts", time.Minute, "Wait a while, then try again."},
		{auth.ErrNoPending, 401, "sign-in-required", 0, ""},
		{auth.ErrNoSession, 401, "sign-in-required", 0, ""},
		{auth.ErrFrozen, 403, "factors-frozen", 0, "Contact the administrators of the portal."},
		{password.ErrBusy, 503, "busy", 5 * time.Second, "Try again in a few seconds."},
		{fmt.Errorf("x: %w", weak), 422, "password-refused", 0, "One. Two."},
		{auth.ErrNoToken, 404, "link-not-valid", 0, "It works once and for a limited time, and not after a later change to the account. Ask for a new one."},
		{auth.ErrEmail, 422, "email-not-valid", 0, "Write it like name@example.com."},
		{auth.ErrName, 422, "name-not-valid", 0, "Use at most 200 characters, without line ends and other control characters."},
		{auth.ErrNoMailer, 503, "unavailable", 0, "Try again in a minute."},
		{auth.ErrEmailTaken, 503, "unavailable", 0, "Try again in a minute."},
		{errors.New("disk full"), 503, "unavailable", 0, "Try again in a minute."},
	} {
		d := auth.DenialOf(c.err)
		require.Equal(t, c.status, d.Status, c.err)
		require.Equal(t, c.code, d.Code, c.err)
		require.Equal(t, c.retry, d.RetryAfter, c.err)
		require.Equal(t, c.detail, d.Detail, c.err)
	}
}

func TestSafeNext(t *testing.T) {
	t.Parallel()
	for _, next := range []string{"/", "/tickets", "/tickets/1?a=b&c=%2F%2Fx#part", "/a//b", "/@evil.test", "/:80", "/%2F/evil.test", "/..//evil.test"} {
		require.Equal(t, next, auth.SafeNext(next))
	}
	for _, next := range []string{
		"", "tickets", "//evil.test", "///evil.test", "/\\evil.test", "\\\\evil.test", "/\t/evil.test", "/\n/evil.test", "\t//evil.test", " /x",
		"https://evil.test", "https:/evil.test", "javascript:alert(1)", "/a\\b", "/a b", "/\x00", "/\x7f", "/ä", "/\u2028", "/%zz",
		"?next=/", "#x", "/" + strings.Repeat("a", 2048),
	} {
		require.Equal(t, "/", auth.SafeNext(next), "%q", next)
	}
}

func FuzzSafeNext(f *testing.F) {
	for _, s := range []string{"/tickets?x=1", "//evil.test", "/\\evil.test", "/\t/evil.test", "/%2f/evil.test", "/..//x"} {
		f.Add(s)
	}
	base := &url.URL{Scheme: "https", Host: "portal.example", Path: "/login"}
	f.Fuzz(func(t *testing.T, next string) {
		got := auth.SafeNext(next)
		if got != next && got != "/" {
			t.Fatalf("SafeNext(%q) = %q, neither next nor /", next, got)
		}
		u, err := base.Parse(got)
		if err != nil || u.Scheme != "https" || u.Host != "portal.example" || u.User != nil {
			t.Fatalf("SafeNext(%q) = %q leads to %v, %v", next, got, u, err)
		}
		// What a browser makes of it (WHATWG URL): it drops tabs and line ends, and reads \ as /.
		seen := strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(strings.TrimFunc(got, func(r rune) bool { return r <= ' ' }))
		if !strings.HasPrefix(seen, "/") || strings.HasPrefix(seen, "//") {
			t.Fatalf("SafeNext(%q) = %q, which a browser reads as %q", next, got, seen)
		}
	})
}
