// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/stretchr/testify/require"
)

const staffAddress = "staff@acme.test"

// support is a fixture with a member of staff who is signed in, and a user.
type support struct {
	*fixture
	staff, user auth.Account
	b           *browser
}

func setUpSupport(t *testing.T) support {
	t.Helper()
	f := setUp(t, nil)
	s := support{fixture: f, user: f.account(), b: f.browser()}
	var err error
	s.staff, err = f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "acme", Email: staffAddress, Password: goodPassword})
	require.NoError(t, err)
	s.login()
	return s
}

// login signs the member of staff in, with two factors.
func (s support) login() {
	s.t.Helper()
	w, r := httptest.NewRecorder(), s.b.request("POST", "/login")
	_, err := s.Login(r.Context(), w, r, auth.Credentials{Email: staffAddress, Password: goodPassword})
	require.NoError(s.t, err)
	s.b.take(w)
	require.NoError(s.t, s.b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
		_, err := s.sessions.Rotate(ctx, w, r, s.proof(portalsec.FactorTOTP))
		return err
	}))
}

func (s support) impersonate(id, reason string) (got session.Session, err error) {
	err = s.b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) (err error) {
		got, err = s.Impersonate(ctx, w, r, id, reason)
		return err
	})
	return got, err
}

func (s support) mustImpersonate() session.Session {
	s.t.Helper()
	got, err := s.impersonate(s.user.ID, "ticket 12")
	require.NoError(s.t, err)
	return got
}

func (s support) stop() (got session.Session, err error) {
	err = s.b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) (err error) {
		got, err = s.StopImpersonating(ctx, w, r)
		return err
	})
	return got, err
}

func TestImpersonate(t *testing.T) {
	t.Parallel()
	f := setUpSupport(t)
	owner := f.browser()
	known := f.b.cookies["__Host-browser"]
	old := f.b.request("GET", "/")
	was := f.b.wantSignedIn()
	f.wait(time.Minute)
	f.roles = []string{"customer"}
	s, err := f.impersonate(f.user.ID, "  Ann asked for help, ticket 12 ")
	require.NoError(t, err)
	p, w := f.b.get()
	require.Equal(t, portalsec.Principal{
		ID: f.user.ID, Tenant: "acme", Roles: []string{"customer"}, Session: s.ID, AuthTime: was.AuthTime, Factors: was.Factors,
		Impersonator: f.staff.ID,
	}, p)
	require.True(t, p.TwoFactors())
	require.Empty(t, w.Result().Cookies(), "the session has the stamp of the user's roles")
	require.Equal(t, known, f.b.cookies["__Host-browser"], "the user's known browser it is not")
	_, err = f.Principal(old)
	require.Equal(t, auth.ErrNoSession, err, "the own session has ended")
	got, err := f.Account(t.Context(), f.user.ID)
	require.NoError(t, err)
	require.Zero(t, got.LastLogin)

	e := f.last(audit.AuthImpersonated)
	require.Equal(t, audit.Success, e.Outcome)
	require.Equal(t, audit.Pseudonym(f.staff.ID), e.Actor)
	require.Equal(t, audit.Pseudonym(f.user.ID), e.OnBehalfOf)
	require.Equal(t, []audit.Pseudonym{audit.Pseudonym(f.user.ID)}, e.Subjects)
	require.Equal(t, audit.Pseudonym(was.Session), e.Session)
	require.Equal(t, []audit.Change{{Field: "reason", New: "Ann asked for help, ticket 12"}}, e.Changes)
	require.Empty(t, e.Details, "a reason may name people")

	// Whatever is done in it names both.
	h := portalsec.Chain(who, f.Middleware(), audit.Middleware(f.config.Audit))
	h.ServeHTTP(httptest.NewRecorder(), f.b.request("POST", "/tickets"))
	e = f.last(audit.HTTPRequest)
	require.Equal(t, audit.Pseudonym(f.staff.ID), e.Actor)
	require.Equal(t, audit.Pseudonym(f.user.ID), e.OnBehalfOf)
	require.Equal(t, audit.Pseudonym(s.ID), e.Session)

	f.wait(30*time.Minute - time.Microsecond)
	f.b.wantSignedIn()
	f.wait(time.Microsecond)
	f.b.wantSignedOut()
	owner.mustLogin()
}

func TestStopImpersonating(t *testing.T) {
	t.Parallel()
	f := setUpSupport(t)
	was := f.b.wantSignedIn()
	f.mustImpersonate()
	acting := f.b.request("GET", "/")
	f.wait(20 * time.Minute)
	s, err := f.stop()
	require.NoError(t, err)
	p := f.b.wantSignedIn()
	require.Equal(t, f.staff.ID, p.ID)
	require.Empty(t, p.Impersonator)
	require.Equal(t, s.ID, p.Session)
	require.NotEqual(t, was.Session, p.Session)
	require.Equal(t, was.Factors, p.Factors, "as old as they are")
	require.Equal(t, was.AuthTime, p.AuthTime)
	_, err = f.Principal(acting)
	require.Equal(t, auth.ErrNoSession, err)
	e := f.last(audit.AuthImpersonationEnd)
	require.Equal(t, audit.Pseudonym(f.staff.ID), e.Actor)
	require.Equal(t, audit.Pseudonym(f.user.ID), e.OnBehalfOf)
	_, err = f.impersonate(f.user.ID, "again")
	require.IsType(t, &auth.ProofNeededError{}, err, "the proof has not become younger")
	_, err = f.stop()
	require.Equal(t, auth.ErrNoSession, err)
	f.b.wantSignedIn()
}

func TestImpersonateRefuses(t *testing.T) {
	t.Parallel()
	f := setUpSupport(t)
	foreign, err := f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "zeta", Email: "bob@zeta.test", Password: goodPassword})
	require.NoError(t, err)
	off, err := f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "acme", Email: "off@acme.test", Password: goodPassword})
	require.NoError(t, err)
	require.NoError(t, f.SetDisabled(t.Context(), off.ID, true))
	for _, c := range []struct {
		id, reason string
		want       error
		status     int
	}{
		{f.staff.ID, "why", auth.ErrImpersonation, 403},
		{off.ID, "why", auth.ErrImpersonation, 403},
		{"unknown", "why", auth.ErrNoAccount, 503},
		{foreign.ID, "why", auth.ErrNoAccount, 503},
		{f.user.ID, "", auth.ErrReason, 422},
		{f.user.ID, " \n", auth.ErrReason, 422},
		{f.user.ID, strings.Repeat("ä", 201), auth.ErrReason, 422},
		{f.user.ID, "\xff", auth.ErrReason, 422},
	} {
		_, err := f.impersonate(c.id, c.reason)
		require.Equal(t, c.want, err)
		require.Equal(t, c.status, auth.DenialOf(err).Status)
	}
	nobody := f
	nobody.b = f.browser()
	_, err = nobody.impersonate(f.user.ID, "why")
	require.Equal(t, auth.ErrNoSession, err)

	// A request that carries another session than its principal's.
	other := f.browser()
	other.mustLogin()
	r := other.request("POST", "/")
	_, err = f.Impersonate(portalsec.WithPrincipal(r.Context(), f.b.wantSignedIn()), httptest.NewRecorder(), r, f.user.ID, "why")
	require.Equal(t, auth.ErrNoSession, err)

	second := support{fixture: f.fixture, b: f.browser()}
	second.login()
	r = second.b.request("POST", "/")
	_, err = f.Impersonate(portalsec.WithPrincipal(r.Context(), f.b.wantSignedIn()), httptest.NewRecorder(), r, f.user.ID, "why")
	require.Equal(t, auth.ErrNoSession, err, "another session of the same person")

	f.wait(5*time.Minute + time.Microsecond)
	_, err = f.impersonate(f.user.ID, "why")
	require.IsType(t, &auth.ProofNeededError{}, err)
	require.Equal(t, "reauthentication-required", auth.DenialOf(err).Code)
	require.Equal(t, f.staff.ID, f.b.wantSignedIn().ID)

	f.login()
	f.full = true
	_, err = f.impersonate(f.user.ID, "why")
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, f.staff.ID, f.b.wantSignedIn().ID, "nothing is done that the log does not know of")
	f.full = false
	_, err = f.impersonate(f.user.ID, strings.Repeat("ä", 200))
	require.NoError(t, err)
	_, err = f.impersonate(f.user.ID, "why")
	require.Equal(t, auth.ErrImpersonation, err, "from one into another")
	f.full = true
	_, err = f.stop()
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, f.user.ID, f.b.wantSignedIn().ID)
}

// TestImpersonatorChangesNothing holds that who acts as a user cannot take the account over.
func TestImpersonatorChangesNothing(t *testing.T) {
	t.Parallel()
	m := setUpMail(t, nil)
	f := support{fixture: m.fixture, user: m.account(), b: m.browser()}
	var err error
	f.staff, err = f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "acme", Email: staffAddress, Password: goodPassword})
	require.NoError(t, err)
	f.login()
	f.mustImpersonate()
	for name, act := range map[string]func(ctx context.Context, w http.ResponseWriter, r *http.Request) error{
		"password": func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
			return f.ChangePassword(ctx, w, r, goodPassword, newPassword)
		},
		"proof": func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
			return f.Reauthenticate(ctx, w, r, goodPassword)
		},
		"address": func(ctx context.Context, _ http.ResponseWriter, r *http.Request) error {
			return f.ChangeEmail(ctx, r, goodPassword, "other@acme.test")
		},
	} {
		require.Equal(t, auth.ErrNoSession, f.b.do(act), name)
	}
	require.Empty(t, m.box.take())
	f.b.wantSignedIn()
}

// TestImpersonationEnds ends one by what ends the sessions of either of the two.
func TestImpersonationEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ctx context.Context, f support) error{
		"staff's sessions": func(ctx context.Context, f support) error {
			_, err := f.sessions.RevokeUser(ctx, "acme", f.staff.ID, "")
			return err
		},
		"user's sessions": func(ctx context.Context, f support) error {
			_, err := f.sessions.RevokeUser(ctx, "acme", f.user.ID, "")
			return err
		},
		"tenant's sessions":    func(ctx context.Context, f support) error { _, err := f.sessions.RevokeTenant(ctx, "acme"); return err },
		"staff disabled":       func(ctx context.Context, f support) error { return f.SetDisabled(ctx, f.staff.ID, true) },
		"user disabled":        func(ctx context.Context, f support) error { return f.SetDisabled(ctx, f.user.ID, true) },
		"staff deleted":        func(ctx context.Context, f support) error { return f.DeleteAccount(ctx, f.staff.ID) },
		"staff disabled, half": func(ctx context.Context, f support) error { return f.store.SetDisabled(ctx, f.staff.ID, true) },
		"staff deleted, half":  func(ctx context.Context, f support) error { return f.store.DeleteAccount(ctx, f.staff.ID) },
		"user disabled, half":  func(ctx context.Context, f support) error { return f.store.SetDisabled(ctx, f.user.ID, true) },
		"the user ends it there": func(ctx context.Context, f support) error {
			return f.sessions.Revoke(ctx, "acme", f.user.ID, f.b.wantSignedIn().Session)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setUpSupport(t)
			f.mustImpersonate()
			f.b.wantSignedIn()
			require.NoError(t, end(t.Context(), f))
			f.b.wantSignedOut()
			_, err := f.stop()
			require.Equal(t, auth.ErrNoSession, err)
			f.b.wantSignedOut()
		})
	}
}

// TestStaffOfAnotherTenant is a session that should never have been.
func TestStaffOfAnotherTenant(t *testing.T) {
	t.Parallel()
	f := setUpSupport(t)
	foreign, err := f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "zeta", Email: "bob@zeta.test", Password: goodPassword})
	require.NoError(t, err)
	w, r := httptest.NewRecorder(), f.b.request("POST", "/")
	_, err = f.sessions.Start(r.Context(), w, r, session.Identity{
		Tenant: "acme", User: f.user.ID, Impersonator: foreign.ID, Factors: []portalsec.FactorProof{f.proof(portalsec.FactorPassword)},
	})
	require.NoError(t, err)
	f.b.take(w)
	f.b.wantSignedOut()
}

// TestImpersonateAgainstRevocation ends sessions at the worst moments.
func TestImpersonateAgainstRevocation(t *testing.T) {
	t.Parallel()
	revoke := func(f support, id string) func() {
		return func() {
			f.onRoles = nil
			_, err := f.sessions.RevokeUser(t.Context(), "acme", id, "")
			require.NoError(t, err)
		}
	}
	act := func(f support, call func(ctx context.Context, w http.ResponseWriter, r *http.Request) error, id string) error {
		return f.b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
			f.onRoles = revoke(f, id) // once what can be checked has been
			return call(ctx, w, r)
		})
	}
	for _, who := range []string{"staff", "user"} {
		f := setUpSupport(t)
		id := map[string]string{"staff": f.staff.ID, "user": f.user.ID}[who]
		err := act(f, func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
			_, err := f.Impersonate(ctx, w, r, f.user.ID, "why")
			return err
		}, id)
		require.Equal(t, auth.ErrNoSession, err, who)
		f.b.wantSignedOut()
		require.Zero(t, f.sessionsOf(f.user.ID), who)
		require.Equal(t, audit.Error, f.last(audit.AuthImpersonated).Outcome)
	}
	f := setUpSupport(t)
	f.mustImpersonate()
	err := act(f, func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
		_, err := f.StopImpersonating(ctx, w, r)
		return err
	}, f.staff.ID)
	require.Equal(t, auth.ErrNoSession, err)
	f.b.wantSignedOut()
	require.Zero(t, f.sessionsOf(f.staff.ID))
}
