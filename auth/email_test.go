// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/stretchr/testify/require"
)

func TestChangeEmail(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	a := f.account()
	b, other := f.browser(), f.browser()
	b.mustLogin()
	other.mustLogin()
	f.box.take() // the letter about a new browser
	reset := f.resetToken()
	token := f.emailToken(b)
	require.Equal(t, audit.Pseudonym(a.ID), f.last(audit.AuthEmailRequested).Actor)
	require.Equal(t, a.Email, must(f.Account(t.Context(), a.ID)).Email, "nothing changes before the link is used")
	b.wantSignedIn()

	require.NoError(t, f.ConfirmEmail(t.Context(), f.post(), token))
	b.wantSignedOut()
	other.wantSignedOut()
	got := must(f.Account(t.Context(), a.ID))
	require.Equal(t, newAddress, got.Email)
	require.Equal(t, a.Name, got.Name)
	_, err := b.login(goodPassword)
	require.Equal(t, auth.ErrLoginRefused, err, "the former address")
	_, err = b.loginAs(strings.ToUpper(newAddress), goodPassword)
	require.NoError(t, err)
	require.Equal(t, auth.ErrNoToken, f.ConfirmEmail(t.Context(), f.post(), token))
	require.Equal(t, auth.ErrNoToken, f.CompleteReset(t.Context(), f.post(), reset, newPassword))

	mails := f.mails()
	require.Equal(t, address, mails[0].To, "to the former address")
	require.Equal(t, "Your e-mail address at Acme Help was changed", mails[0].Subject)
	require.NotContains(t, mails[0].Text, newAddress)
	f.token(mails[0], "/not-me")
	_, err = f.CreateAccount(t.Context(), auth.NewAccount{Email: address, Password: goodPassword})
	require.NoError(t, err, "the former address is free")
}

// must gives what a call gave that cannot fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestChangeEmailRefuses(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	a := f.account()
	b := f.browser()
	require.Equal(t, auth.ErrNoSession, b.changeEmail(goodPassword, newAddress))
	b.mustLogin()
	require.Equal(t, auth.ErrLoginRefused, b.changeEmail("guess", newAddress))
	require.Equal(t, audit.Failure, f.last(audit.AuthEmailRequested).Outcome)
	for _, email := range hostileAddresses {
		require.Equal(t, auth.ErrEmail, b.changeEmail(goodPassword, email), "%q", email)
	}
	require.NoError(t, f.Freeze(t.Context(), a.ID, f.now.Add(time.Hour)))
	require.Equal(t, auth.ErrFrozen, b.changeEmail(goodPassword, newAddress))
	require.Empty(t, f.box.take())
	require.NoError(t, f.Unfreeze(t.Context(), a.ID))

	token := f.emailToken(b)
	require.NoError(t, f.Freeze(t.Context(), a.ID, f.now.Add(time.Minute)))
	require.Equal(t, auth.ErrFrozen, f.ConfirmEmail(t.Context(), f.post(), token))
	f.wait(2 * time.Minute)
	require.NoError(t, f.ConfirmEmail(t.Context(), f.post(), token), "the link is still good")
}

func TestChangeEmailToTaken(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	a := f.account()
	b := f.browser()
	b.mustLogin()
	_, err := f.CreateAccount(t.Context(), auth.NewAccount{Email: "Bob@acme.test", Name: "Bob", Lang: "nl", Password: goodPassword})
	require.NoError(t, err)
	require.NoError(t, b.changeEmail(goodPassword, "bob@ACME.test"), "the answer is the same")
	m := f.mail()
	require.Equal(t, "Bob@acme.test", m.To)
	require.Equal(t, "Dit e-mailadres is al in gebruik bij Acme Help", m.Subject)
	require.NotContains(t, m.Text, "token")

	token := f.emailToken(b) // taken after the letter went out
	_, err = f.CreateAccount(t.Context(), auth.NewAccount{Email: newAddress, Password: goodPassword})
	require.NoError(t, err)
	require.Equal(t, auth.ErrNoToken, f.ConfirmEmail(t.Context(), f.post(), token))
	require.Equal(t, a.Email, must(f.Account(t.Context(), a.ID)).Email)
	require.Empty(t, f.box.take())

	require.NoError(t, b.login2(goodPassword))
	f.box.take()
	require.NoError(t, b.changeEmail(goodPassword, strings.ToLower(address)), "its own in another way of writing")
	m = f.mail()
	require.NoError(t, f.ConfirmEmail(t.Context(), f.post(), f.token(m, "/email/confirm")))
	require.Equal(t, strings.ToLower(address), must(f.Account(t.Context(), a.ID)).Email)
}

func (b *browser) login2(pw string) error { _, err := b.login(pw); return err }

// TestChangeEmailLate lets the account change before the letter goes out.
func TestChangeEmailLate(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	f.account()
	b := f.browser()
	b.mustLogin()
	require.NoError(t, b.changeEmail(goodPassword, newAddress))
	letters := f.box.take()
	require.NoError(t, f.CompleteReset(t.Context(), f.post(), f.resetToken(), newPassword))
	f.box.take()
	f.box.letters = letters
	require.Empty(t, f.mails())
}
