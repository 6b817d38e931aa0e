// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

func TestChangePassword(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b, other := f.browser(), f.browser()
	s := b.mustLogin()
	other.mustLogin()
	f.enrolled = true
	waiting := f.browser()
	_, err := waiting.login(goodPassword)
	require.NoError(t, err)
	f.enrolled = false
	change := func(b *browser, old, new string) error {
		return b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
			return f.ChangePassword(ctx, w, r, old, new)
		})
	}

	require.Equal(t, auth.ErrLoginRefused, change(b, "wrong", newPassword))
	require.Equal(t, "wrong-password", f.last(audit.AuthPasswordChanged).Reason)
	var weak *password.PolicyError
	require.ErrorAs(t, change(b, goodPassword, "short"), &weak)
	require.ErrorAs(t, change(b, goodPassword, "my example password"), &weak, "the address")
	require.Equal(t, auth.ErrNoSession, change(f.browser(), goodPassword, newPassword))
	other.wantSignedIn()

	old := b.request("GET", "/")
	f.wait(5 * time.Minute)
	require.NoError(t, change(b, goodPassword, newPassword))
	p := b.wantSignedIn()
	require.Equal(t, s.ID, p.Session)
	require.Equal(t, f.proof(portalsec.FactorPassword).At, p.AuthTime)
	_, err = f.Principal(old)
	require.Equal(t, auth.ErrNoSession, err, "the old token is dead")
	other.wantSignedOut()
	_, err = waiting.complete(f.proof(portalsec.FactorTOTP))
	require.Equal(t, auth.ErrNoPending, err)
	e := f.last(audit.AuthPasswordChanged)
	require.Equal(t, audit.Success, e.Outcome)
	require.Equal(t, audit.Pseudonym(a.ID), e.Actor)

	_, err = other.login(goodPassword)
	require.Equal(t, auth.ErrLoginRefused, err)
	_, err = other.login(newPassword)
	require.NoError(t, err)

	f.full = true
	require.ErrorIs(t, change(b, newPassword, goodPassword), errBroken)
	f.full = false
	_, err = other.login(newPassword)
	require.NoError(t, err)
}

func TestChangePasswordTwiceAtOnce(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	b.mustLogin()
	f.onTake = func() {
		f.onTake = nil
		_, _ = f.store.SetPassword(t.Context(), a.ID, 1, auth.NewPassword{Hash: "another"})
	}
	err := b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
		return f.ChangePassword(ctx, w, r, goodPassword, newPassword)
	})
	require.ErrorIs(t, err, auth.ErrLoginRefused)
	rec, _ := f.store.Account(t.Context(), a.ID)
	require.Equal(t, "another", rec.PasswordHash)
}

// TestChangePasswordIsFinished has the client go away, and the store fail, at the worst moments.
func TestChangePasswordIsFinished(t *testing.T) {
	t.Parallel()
	start := func() (f *fixture, own, other *browser) {
		f = setUp(t, nil)
		f.account()
		own, other = f.browser(), f.browser()
		own.mustLogin()
		other.mustLogin()
		return f, own, other
	}
	change := func(b *browser, ctx context.Context) error {
		return b.do(func(c context.Context, w http.ResponseWriter, r *http.Request) error {
			p, _ := portalsec.PrincipalFrom(c)
			return b.f.ChangePassword(portalsec.WithPrincipal(ctx, p), w, r, goodPassword, newPassword)
		})
	}

	f, own, other := start()
	old := own.request("GET", "/")
	ctx, leave := context.WithCancel(t.Context())
	f.onSet = leave
	require.NoError(t, change(own, ctx))
	other.wantSignedOut()
	_, err := f.Principal(old)
	require.Equal(t, auth.ErrNoSession, err, "the token is new all the same")
	own.wantSignedIn()

	f, own, other = start()
	ctx, leave = context.WithCancel(t.Context())
	f.onBump = func() error { leave(); return nil }
	require.NoError(t, change(own, ctx), "once it is recorded it is done")
	_, err = other.login(newPassword)
	require.NoError(t, err)

	f, own, other = start()
	f.onBump = func() error { return errBroken }
	require.ErrorIs(t, change(own, t.Context()), errBroken)
	require.Equal(t, audit.Error, f.last(audit.AuthPasswordChanged).Outcome)
	other.wantSignedIn()
	other.mustLogin() // with the password that it still is

	f, own, other = start()
	f.onSet = func() { f.onBump = func() error { return errBroken } }
	require.ErrorIs(t, change(own, t.Context()), errBroken)
	other.wantSignedOut()
}

func TestReauthenticate(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	s := b.mustLogin()
	again := func(b *browser, pw string) error {
		return b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
			return f.Reauthenticate(ctx, w, r, pw)
		})
	}
	f.wait(30 * time.Minute)
	require.Equal(t, auth.ErrLoginRefused, again(b, "wrong"))
	require.Equal(t, s.AuthTime, b.wantSignedIn().AuthTime)
	e := f.last(audit.AuthReauthenticated)
	require.Equal(t, "wrong-password", e.Reason)

	old := b.request("GET", "/")
	require.NoError(t, again(b, goodPassword))
	p := b.wantSignedIn()
	require.Equal(t, s.ID, p.Session)
	require.Equal(t, f.proof(portalsec.FactorPassword).At, p.AuthTime)
	_, err := f.Principal(old)
	require.Equal(t, auth.ErrNoSession, err)
	e = f.last(audit.AuthReauthenticated)
	require.Equal(t, audit.Success, e.Outcome)
	require.Equal(t, a.ID, e.Target.ID)
	require.Equal(t, auth.ErrNoSession, again(f.browser(), goodPassword))

	f.full = true
	f.wait(time.Minute)
	require.ErrorIs(t, again(b, goodPassword), errBroken)
	f.full = false
	require.Equal(t, p.AuthTime, b.wantSignedIn().AuthTime)

	stolen := f.browser()
	stolen.cookies["__Host-session"] = b.cookies["__Host-session"]
	for range 5 {
		require.Equal(t, auth.ErrLoginRefused, again(stolen, "guess"))
	}
	require.IsType(t, &auth.ThrottledError{}, again(stolen, "guess"), "a stolen session is no way to guess the password")
}

func TestImpersonatorKnowsNoPassword(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	ctx := portalsec.WithPrincipal(t.Context(), portalsec.Principal{ID: a.ID, Tenant: "acme", Session: "s", Impersonator: "staff"})
	r := httptest.NewRequestWithContext(ctx, "POST", "/", nil)
	require.Equal(t, auth.ErrNoSession, f.ChangePassword(ctx, httptest.NewRecorder(), r, goodPassword, newPassword))
	require.Equal(t, auth.ErrNoSession, f.Reauthenticate(ctx, httptest.NewRecorder(), r, goodPassword))
}
