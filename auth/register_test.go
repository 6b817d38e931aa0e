// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

func errorsAs[T error](err error, target *T) bool { return errors.As(err, target) }

// race calls act in n goroutines at once.
func race(n int, act func(i int)) {
	var wg sync.WaitGroup
	ready := make(chan struct{})
	for i := range n {
		wg.Go(func() { <-ready; act(i) })
	}
	close(ready)
	wg.Wait()
}

func TestRegister(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	require.NoError(t, f.Register(t.Context(), f.post(), auth.NewRegistration{
		Tenant: "acme", Email: " " + address + " ", Name: " Ann\u00e9 of https://evil.test ", Lang: "nl-BE",
	}))
	m := f.mail()
	require.Equal(t, address, m.To)
	require.Equal(t, "Bevestig uw e-mailadres voor Acme Help", m.Subject)
	require.NotContains(t, m.Text+m.HTML, "evil", "anybody may have made that name up to have it mailed")
	token := f.token(m, "/register/confirm")
	e := f.last(audit.AuthRegistration)
	require.Equal(t, "acme", e.Tenant)
	require.Nil(t, e.Target)

	info, err := f.Link(t.Context(), auth.PurposeRegistration, token)
	require.NoError(t, err)
	require.Equal(t, address, info.Email)
	require.Equal(t, "acme", info.Tenant)
	var weak *password.PolicyError
	for _, pw := range []string{"", "short", "ann.example is here", strings.Repeat("x", 1<<20), "\xff\xfe a long enough one", "tab\tand more of it"} {
		_, err = f.CompleteRegistration(t.Context(), f.post(), token, pw)
		require.ErrorAs(t, err, &weak)
	}
	a, err := f.CompleteRegistration(t.Context(), f.post(), token, newPassword)
	require.NoError(t, err)
	require.Equal(t, "acme", a.Tenant)
	require.Equal(t, "Ann\u00e9 of https://evil.test", a.Name)
	require.Equal(t, "nl-BE", a.Lang)
	require.True(t, a.HasPassword)
	stored, err := f.Account(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, a, stored)
	created := f.last(audit.AuthAccountCreated)
	require.Equal(t, audit.Pseudonym(a.ID), created.Actor)
	require.Equal(t, "registration", created.Details[0].Value)
	_, err = f.CompleteRegistration(t.Context(), f.post(), token, newPassword)
	require.Equal(t, auth.ErrNoToken, err)
	_, err = f.browser().login(newPassword)
	require.NoError(t, err)

	require.NoError(t, f.Register(t.Context(), f.post(), auth.NewRegistration{Email: strings.ToLower(address), Lang: "en"}))
	m = f.mail()
	require.Equal(t, address, m.To)
	require.Equal(t, "U hebt al een account bij Acme Help", m.Subject, "in the language of the account")
	require.NotContains(t, m.Text, "token")
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	for _, email := range hostileAddresses {
		require.Equal(t, auth.ErrEmail, f.Register(t.Context(), f.post(), auth.NewRegistration{Email: email}), "%q", email)
	}
	for _, name := range []string{strings.Repeat("x", 201), strings.Repeat("x", 1<<20), "a\nb", "\xff", "a\u202eb", "a\x00"} {
		require.Equal(t, auth.ErrName, f.Register(t.Context(), f.post(), auth.NewRegistration{Email: address, Name: name}), "%q", name)
	}
	require.Empty(t, f.box.take())
	require.NoError(t, f.Register(t.Context(), f.post(), auth.NewRegistration{Email: address, Name: strings.Repeat("\u6a58", 200), Lang: "en\n"}))
	f.token(f.mail(), "/register/confirm")

	f = mailing{setUp(t, nil), nil}
	require.Equal(t, auth.ErrNoMailer, f.Register(t.Context(), f.post(), auth.NewRegistration{Email: address}))
	require.Equal(t, auth.ErrNoMailer, f.RequestReset(t.Context(), f.post(), address))
	require.Equal(t, auth.ErrNoMailer, f.ForceReset(t.Context(), f.account().ID))
	_, err := f.Invite(t.Context(), auth.NewInvitation{Email: "x@acme.test"})
	require.Equal(t, auth.ErrNoMailer, err)
	b := f.browser()
	b.mustLogin()
	require.Equal(t, auth.ErrNoMailer, b.changeEmail(goodPassword, newAddress))
}

func TestRegisterTakenMeanwhile(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	token := f.registrationToken()
	f.account()
	_, err := f.CompleteRegistration(t.Context(), f.post(), token, newPassword)
	require.Equal(t, auth.ErrNoToken, err)
	_, err = f.browser().login(newPassword)
	require.Equal(t, auth.ErrLoginRefused, err, "the account keeps its password")
}

func TestRaceRegistration(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	tokens := []string{f.registrationToken(), f.registrationToken()} // two letters to one address
	var won atomic.Int32
	race(manyRivals, func(i int) {
		switch _, err := f.CompleteRegistration(t.Context(), f.post(), tokens[i%2], newPassword); err {
		case nil:
			won.Add(1)
		case auth.ErrNoToken:
		default:
			t.Error(err)
		}
	})
	require.Equal(t, int32(1), won.Load())
	all, err := f.Accounts(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, all, 1)
}

// TestRegisterSilencesNobody: who registers an address again and again keeps its owner from no letter of another kind.
func TestRegisterSilencesNobody(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	_, err := f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "acme", Email: address, Password: goodPassword})
	require.NoError(t, err)
	var throttled *auth.ThrottledError
	for range 5 {
		err = f.Register(t.Context(), f.post(), auth.NewRegistration{Tenant: "acme", Email: address})
	}
	require.ErrorAs(t, err, &throttled)
	require.NoError(t, f.RequestReset(t.Context(), f.post(), address))
}
