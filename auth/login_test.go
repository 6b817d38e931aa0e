// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/stretchr/testify/require"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.roles = []string{"agent"}
	a := f.account()
	b := f.browser()
	s := b.mustLogin()
	p := b.wantSignedIn()
	require.Equal(t, portalsec.Principal{
		ID: a.ID, Tenant: "acme", Roles: []string{"agent"}, Session: s.ID,
		AuthTime: f.now.Truncate(time.Microsecond), Factors: []portalsec.FactorProof{f.proof(portalsec.FactorPassword)},
	}, p)
	require.Len(t, b.cookies["__Host-browser"], 64)

	e := f.last(audit.AuthLogin)
	require.Equal(t, audit.Success, e.Outcome)
	require.Equal(t, audit.Pseudonym(a.ID), e.Actor)
	require.Equal(t, []audit.Detail{{Name: "factor", Value: "password"}}, e.Details)
	f.last(audit.AuthSessionStarted)
	got, err := f.Account(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, f.now.Truncate(time.Microsecond), got.LastLogin)

	f.roles = []string{"customer"}
	require.Equal(t, []string{"customer"}, b.wantSignedIn().Roles, "a change of roles is seen by the next request")
}

func TestLoginAnySpelling(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.account()
	w, r := httptest.NewRecorder(), f.browser().request("POST", "/login")
	out, err := f.Login(r.Context(), w, r, auth.Credentials{Email: " ann.example@ACME.test ", Password: goodPassword})
	require.NoError(t, err)
	require.Equal(t, auth.NextSession, out.Next)
}

// TestOnePublicError holds that the visitor learns nothing and the audit log everything but what was typed.
func TestOnePublicError(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	off, err := f.CreateAccount(t.Context(), auth.NewAccount{Email: "off@acme.test", Password: goodPassword})
	require.NoError(t, err)
	require.NoError(t, f.SetDisabled(t.Context(), off.ID, true))
	bad, err := f.CreateAccount(t.Context(), auth.NewAccount{Email: "bad@acme.test", Password: goodPassword})
	require.NoError(t, err)
	_, err = f.store.SetPassword(t.Context(), bad.ID, 1, auth.NewPassword{Hash: "$md5$x"})
	require.NoError(t, err)

	for _, c := range []struct{ email, password, reason, account string }{
		{"hunter2-typed-here", goodPassword, "unknown-account", ""},
		{"", "", "unknown-account", ""},
		{address, "wrong", "wrong-password", a.ID},
		{address, "", "wrong-password", a.ID},
		{"off@acme.test", goodPassword, "disabled", off.ID},
		{"off@acme.test", "wrong", "wrong-password", off.ID},
		{"bad@acme.test", goodPassword, "hash-not-understood", bad.ID},
	} {
		w, r := httptest.NewRecorder(), f.browser().request("POST", "/login")
		out, err := f.Login(r.Context(), w, r, auth.Credentials{Email: c.email, Password: c.password})
		require.Equal(t, auth.ErrLoginRefused, err, c.reason)
		require.Zero(t, out)
		require.Empty(t, w.Header(), c.reason)
		e := f.last(audit.AuthLogin)
		require.Equal(t, audit.Failure, e.Outcome)
		require.Equal(t, c.reason, e.Reason)
		require.Empty(t, e.Actor, "who typed it is not known")
		if c.account == "" {
			require.Nil(t, e.Target)
			require.Len(t, e.Details[0].Value, 8)
		} else {
			require.Equal(t, c.account, e.Target.ID)
		}
	}
	all, err := json.Marshal(f.events)
	require.NoError(t, err)
	for _, secret := range []string{"hunter2", goodPassword, "wrong\"", "@acme", "@Acme"} {
		require.NotContains(t, string(all), secret)
	}
}

func TestLoginThrottled(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	own := f.browser()
	own.mustLogin()

	attacker := f.browser()
	attacker.addr = "198.51.100.7"
	for range 5 {
		_, err := attacker.login("wrong")
		require.Equal(t, auth.ErrLoginRefused, err)
	}
	_, err := attacker.login(goodPassword)
	var throttled *auth.ThrottledError
	require.ErrorAs(t, err, &throttled)
	require.ErrorIs(t, err, auth.ErrLoginRefused)
	require.Equal(t, 30*time.Second, throttled.RetryAfter)
	e := f.last(audit.AuthThrottled)
	require.Equal(t, a.ID, e.Target.ID)
	require.Equal(t, "throttle.account", e.Rule)

	stranger := f.browser()
	_, err = stranger.login(goodPassword)
	require.ErrorAs(t, err, &throttled, "the owner on a new browser has to wait")
	own.mustLogin()

	f.wait(30 * time.Second)
	stranger.mustLogin()
	_, err = stranger.login("wrong")
	require.Equal(t, auth.ErrLoginRefused, err)
	require.NotErrorAs(t, err, &throttled)
}

// TestAddressWithoutOrigin is a portal without package clientip: whoever connects is the client.
func TestAddressWithoutOrigin(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	try := func(i int, peer string, origin bool) error {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/login", nil)
		if origin {
			r = f.browser().request("POST", "/login")
		}
		r.RemoteAddr = peer
		_, err := f.Login(r.Context(), httptest.NewRecorder(), r, auth.Credentials{Email: fmt.Sprint("user", i, "@acme.test"), Password: "wrong"})
		return err
	}
	for i := range 50 { // the ports differ, the client does not
		require.Equal(t, auth.ErrLoginRefused, try(i, fmt.Sprint("198.51.100.7:", 1000+i), false))
		require.Equal(t, auth.ErrLoginRefused, try(i, "@", false), "an address that is none")
	}
	require.IsType(t, &auth.ThrottledError{}, try(50, "198.51.100.7:1", false))
	require.Equal(t, "throttle.address", f.last(audit.AuthThrottled).Rule)
	require.IsType(t, &auth.ThrottledError{}, try(50, "another", false), "all of those share one counter")
	require.Equal(t, auth.ErrLoginRefused, try(50, "198.51.100.8:1", false), "another client")
	require.Equal(t, auth.ErrLoginRefused, try(51, "198.51.100.7:1", true), "the origin says who the client is")
}

func TestUnknownNamesAreThrottledAlike(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	for range 5 {
		_, err := b.login("wrong")
		require.Equal(t, auth.ErrLoginRefused, err)
	}
	_, err := b.login("wrong")
	require.IsType(t, &auth.ThrottledError{}, err)
}

func TestUnlock(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	for range 100 {
		f.wait(time.Hour)
		_, err := b.login("wrong")
		require.Equal(t, auth.ErrLoginRefused, err)
	}
	f.wait(240 * time.Hour)
	_, err := b.login(goodPassword)
	require.IsType(t, &auth.ThrottledError{}, err)
	require.Equal(t, "account-closed", f.last(audit.AuthThrottled).Reason)
	require.NoError(t, f.Unlock(t.Context(), a.ID))
	b.mustLogin()
	require.Equal(t, a.ID, f.last(audit.AuthAccountUnlocked).Target.ID)
	require.Equal(t, auth.ErrNoAccount, f.Unlock(t.Context(), "unknown"))
}

// TestUncheckedAttemptIsTakenBack lets clients leave while they wait for the hasher: that is no failure.
func TestUncheckedAttemptIsTakenBack(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.account()
	b := f.browser()
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		f.onTake = cancel
		w, r := httptest.NewRecorder(), b.request("POST", "/login")
		_, err := f.Login(ctx, w, r, auth.Credentials{Email: address, Password: goodPassword})
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, auth.ErrLoginRefused)
	}
	f.onTake = nil
	b.mustLogin()
}

// TestUnknownNamesAreHashedToo tells by a client that leaves at the hasher's door that it got there.
func TestUnknownNamesAreHashedToo(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	f.onTake = cancel
	w, r := httptest.NewRecorder(), f.browser().request("POST", "/login")
	_, err := f.Login(ctx, w, r, auth.Credentials{Email: "nobody@acme.test", Password: goodPassword})
	require.ErrorIs(t, err, context.Canceled)
}

func TestLoginNeedsTheRecorder(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.account()
	f.full = true
	b := f.browser()
	_, err := b.login(goodPassword)
	require.ErrorIs(t, err, errBroken)
	require.Empty(t, b.cookies)
	_, err = b.login("wrong")
	require.ErrorIs(t, err, errBroken)
	f.enrolled = true
	_, err = b.login(goodPassword)
	require.ErrorIs(t, err, errBroken)
	require.Empty(t, b.cookies)
}

func TestLoginUpgradesTheHash(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	old, err := f.store.Account(t.Context(), a.ID)
	require.NoError(t, err)
	c := f.config
	c.Hasher = hasher(t, 128)
	f.Auth, err = auth.New(c)
	require.NoError(t, err)
	b := f.browser()
	_, err = b.login("wrong")
	require.Equal(t, auth.ErrLoginRefused, err)
	same, _ := f.store.Account(t.Context(), a.ID)
	require.Equal(t, old, same)
	b.mustLogin()
	now, _ := f.store.Account(t.Context(), a.ID)
	require.NotEqual(t, old.PasswordHash, now.PasswordHash)
	require.Contains(t, now.PasswordHash, "m=128")
	require.Equal(t, old.Version, now.Version)
	b.mustLogin()
	again, _ := f.store.Account(t.Context(), a.ID)
	require.Equal(t, now.PasswordHash, again.PasswordHash)
}

// TestLoginAgainstChangeMeanwhile changes the account at the worst moments of a login that is under way.
func TestLoginAgainstChangeMeanwhile(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	reset := func() { f.onRoles, f.onMark = nil, nil }

	f.onRoles = func() { reset(); _, _ = f.store.SetPassword(t.Context(), a.ID, 1, auth.NewPassword{Hash: "changed"}) }
	_, err := b.login(goodPassword)
	require.Equal(t, auth.ErrLoginRefused, err, "after the check of the password")
	require.Equal(t, "changed-meanwhile", f.last(audit.AuthLogin).Reason)

	f = setUp(t, nil)
	a = f.account()
	b = f.browser()
	f.onFound = func() { f.onFound = nil; require.NoError(t, f.SetDisabled(t.Context(), a.ID, true)) }
	_, err = b.login(goodPassword)
	require.Equal(t, auth.ErrLoginRefused, err, "right after the account was read anew")
	require.Empty(t, b.cookies)
	list, err := f.sessions.List(t.Context(), "acme", a.ID)
	require.NoError(t, err)
	require.Empty(t, list)

	f = setUp(t, nil)
	a = f.account()
	b = f.browser()
	f.onMark = func() { reset(); require.NoError(t, f.SetDisabled(t.Context(), a.ID, true)) }
	_, err = b.login(goodPassword)
	require.Equal(t, auth.ErrLoginRefused, err, "right before the session starts")
	require.Empty(t, b.cookies)
	list, err = f.sessions.List(t.Context(), "acme", a.ID)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestLogout(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.account()
	b := f.browser()
	b.mustLogin()
	f.enrolled = true
	_, err := b.login(goodPassword)
	require.NoError(t, err)
	stolen := b.request("POST", "/mfa")
	require.NoError(t, b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error { return f.Logout(ctx, w, r) }))
	require.NotContains(t, b.cookies, "__Host-session")
	require.NotContains(t, b.cookies, "__Host-login")
	require.Contains(t, b.cookies, "__Host-browser")
	f.last(audit.AuthLogout)
	_, err = f.Principal(stolen)
	require.Equal(t, auth.ErrNoSession, err)
	_, err = f.PendingLogin(stolen)
	require.Equal(t, auth.ErrNoPending, err)
}

// TestLogoutIsFinished has a client that did not wait for the answer.
func TestLogoutIsFinished(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.account()
	b := f.browser()
	b.mustLogin()
	f.enrolled = true
	_, err := b.login(goodPassword)
	require.NoError(t, err)
	r := b.request("POST", "/logout")
	ctx, leave := context.WithCancel(r.Context())
	leave()
	require.NoError(t, f.Logout(ctx, httptest.NewRecorder(), r))
	_, err = f.Principal(r)
	require.Equal(t, auth.ErrNoSession, err)
	_, err = f.PendingLogin(r)
	require.Equal(t, auth.ErrNoPending, err)
}

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		next                auth.Next
		enrolled, mustEnrol bool
	}{{auth.NextTOTP, true, false}, {auth.NextTOTP, true, true}, {auth.NextEnrol, false, true}} {
		f := setUp(t, nil)
		f.enrolled, f.mustEnrol = c.enrolled, c.mustEnrol
		a := f.account()
		b := f.browser()
		out, err := b.login(goodPassword)
		require.NoError(t, err)
		require.Equal(t, auth.Outcome{Next: c.next}, out)
		require.Len(t, b.cookies, 1, "no session, no known browser")
		b.wantSignedOut()
		require.Equal(t, audit.Pseudonym(a.ID), f.last(audit.AuthFirstFactor).Actor)

		p, err := f.PendingLogin(b.request("GET", "/mfa"))
		require.NoError(t, err)
		require.Equal(t, auth.Pending{ID: p.ID, Account: a, Next: c.next}, p)
		require.Len(t, p.ID, 36)
		require.NotEqual(t, p.ID, b.cookies["__Host-login"], "the ID is no secret")

		proven := f.proof(portalsec.FactorPassword)
		f.wait(9 * time.Minute)
		totp := f.proof(portalsec.FactorTOTP)
		s, err := b.complete(totp)
		require.NoError(t, err)
		require.Equal(t, []portalsec.FactorProof{proven, totp}, s.Factors)
		require.NotContains(t, b.cookies, "__Host-login")
		require.Contains(t, b.cookies, "__Host-browser")
		require.True(t, b.wantSignedIn().TwoFactors())
		require.Equal(t, []audit.Detail{{Name: "factor", Value: "password"}, {Name: "factor", Value: "totp"}}, f.last(audit.AuthLogin).Details)
	}
}

func TestPendingLoginIsNoSession(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.enrolled = true
	f.account()
	b := f.browser()
	_, err := b.login(goodPassword)
	require.NoError(t, err)
	b.cookies["__Host-session"] = b.cookies["__Host-login"]
	b.wantSignedOut()
	f.enrolled = false
	other := f.browser()
	other.mustLogin()
	other.cookies["__Host-login"] = other.cookies["__Host-session"]
	_, err = other.complete(f.proof(portalsec.FactorTOTP))
	require.Equal(t, auth.ErrNoPending, err)
}

func TestCompleteLoginRefuses(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.enrolled = true
	a := f.account()
	pending := func() *browser {
		b := f.browser()
		_, err := b.login(goodPassword)
		require.NoError(t, err)
		return b
	}
	refused := func(b *browser, why string) {
		t.Helper()
		_, err := f.PendingLogin(b.request("GET", "/"))
		require.Equal(t, auth.ErrNoPending, err, why)
		_, err = b.complete(f.proof(portalsec.FactorTOTP))
		require.Equal(t, auth.ErrNoPending, err, why)
		b.wantSignedOut()
	}

	b := pending()
	for _, proof := range []portalsec.FactorProof{{}, f.proof(portalsec.FactorPassword), f.proof(""), {Kind: portalsec.FactorTOTP}} {
		_, err := b.complete(proof)
		require.Error(t, err)
		require.NotErrorIs(t, err, auth.ErrNoPending)
	}
	f.wait(10 * time.Minute)
	refused(b, "ten minutes are over")
	n, err := f.Prune(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	f.wait(time.Microsecond)
	n, err = f.Prune(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, n)

	refused(f.browser(), "no cookie")
	b = pending()
	b.cookies["__Host-login"] = "AAAA"
	refused(b, "malformed cookie")

	b = pending()
	again := f.browser()
	again.cookies["__Host-login"] = b.cookies["__Host-login"]
	_, err = b.complete(f.proof(portalsec.FactorTOTP))
	require.NoError(t, err)
	refused(again, "used")

	b = pending()
	rec, _ := f.store.Account(t.Context(), a.ID)
	_, err = f.store.SetPassword(t.Context(), a.ID, rec.Version, auth.NewPassword{Hash: rec.PasswordHash})
	require.NoError(t, err)
	refused(b, "password changed")

	b = pending()
	require.NoError(t, f.SetDisabled(t.Context(), a.ID, true))
	refused(b, "disabled")
	require.NoError(t, f.SetDisabled(t.Context(), a.ID, false))
	refused(b, "was disabled meanwhile")

	b = pending()
	f.onMark = func() { f.onMark = nil; require.NoError(t, f.SetDisabled(t.Context(), a.ID, true)) }
	_, err = b.complete(f.proof(portalsec.FactorTOTP))
	require.Equal(t, auth.ErrNoPending, err, "disabled at the last moment")
	b.wantSignedOut()

	require.NoError(t, f.SetDisabled(t.Context(), a.ID, false))
	b = pending()
	require.NoError(t, f.DeleteAccount(t.Context(), a.ID))
	refused(b, "deleted")
}

func TestCompleteLoginOneWinner(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.enrolled = true
	a := f.account()
	b := f.browser()
	_, err := b.login(goodPassword)
	require.NoError(t, err)
	errs := make([]error, 1000)
	proof := f.proof(portalsec.FactorTOTP)
	var wg, read sync.WaitGroup
	read.Add(len(errs))
	f.onRead = func() { read.Done(); read.Wait() } // all of them see it before anybody consumes it
	for i := range errs {
		r := b.request("POST", "/mfa")
		wg.Go(func() { _, errs[i] = f.CompleteLogin(r.Context(), httptest.NewRecorder(), r, proof) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.Equal(t, auth.ErrNoPending, err)
		}
	}
	require.Equal(t, 1, won)
	list, err := f.sessions.List(t.Context(), "acme", a.ID)
	require.NoError(t, err)
	require.Len(t, list, 1)
}
