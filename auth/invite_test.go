// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

func TestInvite(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	acc, err := f.Invite(t.Context(), auth.NewInvitation{Tenant: "acme", Email: address, Name: "Ann", Lang: "zh-CN"})
	require.NoError(t, err)
	require.False(t, acc.HasPassword)
	m := f.mail()
	require.Equal(t, "您在Acme Help的账号", m.Subject)
	require.Contains(t, m.Text, "您好，Ann：")
	require.Contains(t, m.Text, "2026-05-07 03:02 UTC", "72 hours at L2")
	token := f.token(m, "/welcome")
	require.Equal(t, acc.ID, f.last(audit.AuthAccountInvited).Target.ID)
	for _, pw := range []string{"", goodPassword} {
		_, err = f.browser().login(pw)
		require.Equal(t, auth.ErrLoginRefused, err, "no password is no empty one")
		require.Equal(t, "no-password", f.last(audit.AuthLogin).Reason)
	}
	_, err = f.Invite(t.Context(), auth.NewInvitation{Email: strings.ToUpper(address)})
	require.Equal(t, auth.ErrEmailTaken, err)

	var weak *password.PolicyError
	_, err = f.AcceptInvitation(t.Context(), f.post(), token, "short")
	require.ErrorAs(t, err, &weak)
	f.wait(71 * time.Hour)
	got, err := f.AcceptInvitation(t.Context(), f.post(), token, newPassword)
	require.NoError(t, err)
	require.True(t, got.HasPassword)
	require.Equal(t, got.Created.Add(71*time.Hour), got.PasswordSet)
	_, err = f.AcceptInvitation(t.Context(), f.post(), token, newPassword)
	require.Equal(t, auth.ErrNoToken, err)
	require.Empty(t, f.box.take(), "a first password has replaced nothing")
	_, err = f.browser().login(newPassword)
	require.NoError(t, err)
	for _, n := range []auth.NewInvitation{{Email: "x"}, {}} {
		_, err = f.Invite(t.Context(), n)
		require.Equal(t, auth.ErrEmail, err)
	}
	_, err = f.Invite(t.Context(), auth.NewInvitation{Email: "x@acme.test", Name: "a\nb"})
	require.Equal(t, auth.ErrName, err)
}

// TestInvitationAgain asks for it in every way there is.
func TestInvitationAgain(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	acc, first := f.invitationToken()
	for name, ask := range map[string]func() error{
		"reset":    func() error { return f.RequestReset(t.Context(), f.post(), address) },
		"register": func() error { return f.Register(t.Context(), f.post(), auth.NewRegistration{Email: address}) },
		"force":    func() error { return f.ForceReset(t.Context(), acc.ID) },
	} {
		require.NoError(t, ask(), name)
		m := f.mail()
		require.Equal(t, "您在Acme Help的账号", m.Subject, name)
		f.token(m, "/welcome")
	}
	_, err := f.AcceptInvitation(t.Context(), f.post(), first, newPassword)
	require.Equal(t, auth.ErrNoToken, err, "ForceReset has taken it back")
	require.NoError(t, f.ForceReset(t.Context(), acc.ID))
	_, err = f.AcceptInvitation(t.Context(), f.post(), f.token(f.mail(), "/welcome"), newPassword)
	require.NoError(t, err)

	require.NoError(t, f.RequestReset(t.Context(), f.post(), address))
	require.NoError(t, f.ForceReset(t.Context(), acc.ID))
	for _, m := range f.mails() {
		f.token(m, "/reset")
	}
}

func TestInviteByHand(t *testing.T) {
	t.Parallel()
	f := mailing{setUp(t, func(c *auth.Config) { c.PublicURL = &url.URL{Scheme: "https", Host: "portal.acme.test"} }), nil}
	acc, link, err := f.InviteByHand(t.Context(), auth.NewInvitation{Tenant: "acme", Email: address})
	require.NoError(t, err)
	e := f.last(audit.AuthAccountInvited)
	require.Equal(t, []audit.Detail{{Name: "link", Value: "hand"}}, e.Details)
	token, ok := strings.CutPrefix(link, "https://portal.acme.test/welcome?token=")
	require.True(t, ok, link)
	got, err := f.AcceptInvitation(t.Context(), f.post(), token, newPassword)
	require.NoError(t, err)
	require.Equal(t, acc.ID, got.ID)

	f = mailing{setUp(t, nil), nil}
	_, _, err = f.InviteByHand(t.Context(), auth.NewInvitation{Email: address})
	require.ErrorContains(t, err, "PublicURL")
}

// TestInviteLeavesNothingHalfDone has the letter fail.
func TestInviteLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	f.box.err = errBroken
	_, err := f.Invite(t.Context(), auth.NewInvitation{Email: address})
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, audit.Error, f.last(audit.AuthAccountInvited).Outcome)
	f.box.err = nil
	_, err = f.Invite(t.Context(), auth.NewInvitation{Email: address})
	require.NoError(t, err)
}

func TestUpdateProfile(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	b.mustLogin()
	text := func(s string) *string { return &s }
	was := f.rec(a.ID)
	got, err := f.UpdateProfile(t.Context(), a.ID, auth.ProfileChange{Name: text(" Ann B. ")})
	require.NoError(t, err)
	require.Equal(t, "Ann B.", got.Name)
	got, err = f.UpdateProfile(t.Context(), a.ID, auth.ProfileChange{Lang: text("nl")})
	require.NoError(t, err)
	require.Equal(t, "Ann B.", got.Name)
	require.Equal(t, "nl", got.Lang)
	require.Equal(t, a.Email, got.Email)
	stored, err := f.Account(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, stored, got)
	require.Equal(t, was.Version, f.rec(a.ID).Version)
	b.wantSignedIn()
	require.Equal(t, a.ID, f.last(audit.AuthProfileChanged).Target.ID)

	got, err = f.UpdateProfile(t.Context(), a.ID, auth.ProfileChange{Lang: text("<script>"), Name: text("")})
	require.NoError(t, err)
	require.Empty(t, got.Lang+got.Name)
	_, err = f.UpdateProfile(t.Context(), a.ID, auth.ProfileChange{Name: text("\xff")})
	require.Equal(t, auth.ErrName, err)
	_, err = f.UpdateProfile(t.Context(), "nobody", auth.ProfileChange{})
	require.ErrorIs(t, err, auth.ErrNoAccount)

	race(100, func(i int) { // neither undoes the other
		c := auth.ProfileChange{Name: text("Name")}
		if i%2 == 0 {
			c = auth.ProfileChange{Lang: text("zh")}
		}
		if _, err := f.UpdateProfile(t.Context(), a.ID, c); err != nil {
			t.Error(err)
		}
	})
	stored, err = f.Account(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, "Name zh", stored.Name+" "+stored.Lang)
}

// rec gives an account as it is stored.
func (f *fixture) rec(id string) auth.AccountRecord {
	f.t.Helper()
	r, err := f.store.Account(f.t.Context(), id)
	require.NoError(f.t, err)
	return r
}

func TestComposeRefuses(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	_, err := f.Compose(t.Context(), portalsec.Letter{Kind: "mfa.code"})
	require.ErrorContains(t, err, "unknown kind")
	for _, kind := range []string{"auth.invitation", "auth.reset", "auth.reset-forced", "auth.email", "auth.email-changed", "auth.password-changed", "auth.new-device"} {
		_, err = f.Compose(t.Context(), portalsec.Letter{Kind: kind, Account: "gone", To: "x@acme.test"})
		require.Equal(t, portalsec.ErrNoMail, err, kind)
	}
	require.Empty(t, f.store.OneTimes())
	_, err = setUp(t, nil).Compose(t.Context(), portalsec.Letter{Kind: "auth.reset"})
	require.Equal(t, auth.ErrNoMailer, err)
	a := f.account()
	for _, kind := range []string{"auth.invitation", "auth.reset-forced"} { // the password is there meanwhile
		_, err = f.Compose(t.Context(), portalsec.Letter{Kind: kind, Account: a.ID})
		require.Equal(t, portalsec.ErrNoMail, err, kind)
	}
}
