// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

const maxAge = 90 * 24 * time.Hour

func setUpExpired(t *testing.T) mailing {
	policy, err := password.NewPolicy(password.PolicyConfig{MaxAge: maxAge})
	require.NoError(t, err)
	f := setUpMail(t, func(c *auth.Config) { c.Policy = policy })
	f.account()
	f.browser().mustLogin()
	f.wait(maxAge)
	return f
}

func (b *browser) newPassword(pw string) (auth.Outcome, error) {
	w, r := httptest.NewRecorder(), b.request("POST", "/expired")
	out, err := b.f.CompletePasswordChange(r.Context(), w, r, pw)
	b.take(w)
	return out, err
}

func TestExpiredPassword(t *testing.T) {
	t.Parallel()
	f := setUpExpired(t)
	b := f.browser()
	_, err := b.newPassword(newPassword)
	require.Equal(t, auth.ErrNoPending, err, "without a login")
	out, err := b.login(goodPassword)
	require.NoError(t, err)
	require.Equal(t, auth.Outcome{Next: auth.NextPassword}, out)
	b.wantSignedOut()
	_, err = b.complete(f.proof(portalsec.FactorTOTP))
	require.Equal(t, auth.ErrNoPending, err, "a second factor does not make up for it")
	p, err := f.PendingLogin(b.request("GET", "/expired"))
	require.NoError(t, err)
	require.Equal(t, auth.NextPassword, p.Next)

	var weak *password.PolicyError
	_, err = b.newPassword("short")
	require.ErrorAs(t, err, &weak)
	_, err = b.newPassword(goodPassword)
	require.ErrorAs(t, err, &weak)
	require.Equal(t, password.ReusedPassword, weak.Problems[0].Code, "though the policy keeps no history")
	out, err = b.newPassword(newPassword)
	require.NoError(t, err)
	require.Equal(t, auth.NextSession, out.Next)
	b.wantSignedIn()
	require.NotContains(t, b.cookies, "__Host-login")
	_, err = b.newPassword("yet another long one")
	require.Equal(t, auth.ErrNoPending, err, "once")
	out, err = f.browser().login(newPassword)
	require.NoError(t, err)
	require.Equal(t, auth.NextSession, out.Next)
	subjects := []string{}
	for _, m := range f.mails() {
		subjects = append(subjects, m.Subject)
	}
	require.Contains(t, subjects, "Your password for Acme Help was changed")
}

func TestExpiredPasswordBeforeTheSecondFactor(t *testing.T) {
	t.Parallel()
	f := setUpExpired(t)
	f.enrolled = true
	b := f.browser()
	out, err := b.login(goodPassword)
	require.NoError(t, err)
	require.Equal(t, auth.NextPassword, out.Next, "first the password")
	out, err = b.newPassword(newPassword)
	require.NoError(t, err)
	require.Equal(t, auth.NextTOTP, out.Next)
	b.wantSignedOut()
	_, err = b.newPassword("yet another long one")
	require.Equal(t, auth.ErrNoPending, err, "this login waits for something else")
	_, err = b.complete(f.proof(portalsec.FactorTOTP))
	require.NoError(t, err)
	require.True(t, b.wantSignedIn().TwoFactors())
}

func TestRaceExpiredPassword(t *testing.T) {
	t.Parallel()
	f := setUpExpired(t)
	b := f.browser()
	_, err := b.login(goodPassword)
	require.NoError(t, err)
	var won atomic.Int32
	race(manyRivals, func(int) {
		r := b.request("POST", "/expired")
		switch _, err := f.CompletePasswordChange(r.Context(), httptest.NewRecorder(), r, newPassword); err {
		case nil:
			won.Add(1)
		case auth.ErrNoPending:
		default:
			t.Error(err)
		}
	})
	require.Equal(t, int32(1), won.Load())
}
