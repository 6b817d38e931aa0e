// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

func TestReset(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	f.enrolled = true
	a := f.account()
	b, pending := f.browser(), f.browser()
	_, err := b.login(goodPassword)
	require.NoError(t, err)
	_, err = b.complete(f.proof(portalsec.FactorTOTP))
	require.NoError(t, err)
	_, err = pending.login(goodPassword)
	require.NoError(t, err)
	other := f.resetToken()

	require.NoError(t, f.RequestReset(t.Context(), f.post(), " "+strings.ToUpper(address)+" "))
	m := f.mail()
	require.Equal(t, address, m.To, "to the address of the account, not the one that was typed")
	require.Equal(t, "Choose a new password for Acme Help", m.Subject)
	require.Contains(t, m.Text, "until 2026-05-04 03:32 UTC")
	token := f.token(m, "/reset")
	e := f.last(audit.AuthResetRequested)
	require.Nil(t, e.Target)
	require.Empty(t, e.Subjects)
	require.Len(t, e.Details[0].Value, 8)
	for _, r := range f.store.OneTimes() {
		require.NotContains(t, string(r.Data)+r.ID, token, "the token itself is stored nowhere")
	}
	b.wantSignedIn() // a request alone changes nothing

	err = f.CompleteReset(t.Context(), f.post(), token, "short")
	var weak *password.PolicyError
	require.ErrorAs(t, err, &weak)
	b.wantSignedIn()
	require.NoError(t, f.CompleteReset(t.Context(), f.post(), token, newPassword), "a bad password has not burnt the link")
	require.Equal(t, audit.Pseudonym(a.ID), f.last(audit.AuthPasswordReset).Actor)

	b.wantSignedOut()
	_, err = pending.complete(f.proof(portalsec.FactorTOTP))
	require.Equal(t, auth.ErrNoPending, err)
	require.Equal(t, auth.ErrNoToken, f.CompleteReset(t.Context(), f.post(), token, newPassword), "once")
	require.Equal(t, auth.ErrNoToken, f.CompleteReset(t.Context(), f.post(), other, newPassword), "the other link too")
	require.Equal(t, "unknown", f.last(audit.AuthLinkRefused).Reason)
	_, err = b.login(goodPassword)
	require.Equal(t, auth.ErrLoginRefused, err)
	out, err := b.login(newPassword)
	require.NoError(t, err)
	require.Equal(t, auth.NextTOTP, out.Next, "the second factor is still asked for")

	m = f.mail()
	require.Equal(t, address, m.To)
	require.Equal(t, "Your password for Acme Help was changed", m.Subject)
	require.Contains(t, m.Text, "On 2026-05-04 03:02 UTC")
	f.token(m, "/not-me")
}

func TestResetOpensTheAccount(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	f.account()
	b := f.browser()
	var err error
	for i := 0; ; i++ {
		require.Less(t, i, 200)
		var throttled *auth.ThrottledError
		if _, err = b.login("guess"); err != nil && errorsAs(err, &throttled) {
			break
		}
	}
	require.NoError(t, f.CompleteReset(t.Context(), f.post(), f.resetToken(), newPassword))
	b.addr = "203.0.113.77"
	_, err = b.login(newPassword)
	require.NoError(t, err)
}

// TestPublicAnswersAreEqual compares what a visitor sees for an address that is known and one that is not.
func TestPublicAnswersAreEqual(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	f.account()
	f.broken = true // no look-up of an account would succeed
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, r *http.Request) {
		if err := f.RequestReset(r.Context(), r, r.FormValue("email")); err != nil {
			portalsec.Deny(w, r, auth.DenialOf(err))
			return
		}
		_, _ = w.Write([]byte("If there is such an account, a mail is on its way.\n"))
	})
	mux.HandleFunc("POST /register", func(w http.ResponseWriter, r *http.Request) {
		if err := f.Register(r.Context(), r, auth.NewRegistration{Email: r.FormValue("email")}); err != nil {
			portalsec.Deny(w, r, auth.DenialOf(err))
			return
		}
		_, _ = w.Write([]byte("A mail is on its way.\n"))
	})
	for _, path := range []string{"/reset", "/register"} {
		ask := func(email string) (answers []string) {
			for range 40 { // until both are throttled
				r := f.browser().request("POST", path)
				r.Form = url.Values{"email": {email}}
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, r)
				h := w.Result().Header
				answers = append(answers, w.Body.String(), h.Get("Retry-After"), h.Get("Content-Type"), http.StatusText(w.Code))
			}
			return answers
		}
		known := ask(address)
		f.wait(48 * time.Hour)
		unknown := ask("who@acme.test")
		f.wait(48 * time.Hour)
		require.Equal(t, known, unknown, path)
		require.Contains(t, known, "OK")
		require.Contains(t, known, "Too Many Requests")
	}
}

func TestResetLetters(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	a := f.account()
	ask := func(email string) []portalsec.Mail {
		require.NoError(t, f.RequestReset(t.Context(), f.post(), email))
		return f.mails()
	}
	require.Empty(t, ask("who@acme.test"), "unknown")
	require.Len(t, ask(address), 1)
	require.NoError(t, f.SetDisabled(t.Context(), a.ID, true))
	require.Empty(t, ask(address), "disabled")
	require.NoError(t, f.SetDisabled(t.Context(), a.ID, false))
	require.NoError(t, f.DeleteAccount(t.Context(), a.ID))
	require.Empty(t, ask(address), "deleted")
	for _, email := range hostileAddresses {
		require.Equal(t, auth.ErrEmail, f.RequestReset(t.Context(), f.post(), email), "%q", email)
	}
	require.Empty(t, f.box.take())
}

var hostileAddresses = []string{
	"", "@", "a", "a@", "@b", "a@b@c", "a b@c.test", "a@b.test\r\nBcc: x@y.test", "a@b.test\x00", "a@\xff.test", "\xff@b.test",
	"a@b\u202e.test", "<a@b.test>", "a@b.test,c@d.test", "a@b.test;c@d.test", `"a b"@c.test`, "a@[127.0.0.1]", "a(x)@b.test",
	".a@b.test", "a.@b.test", "a..b@c.test", "a@b..test", "a@.test", "a@b.", "-oQ/tmp@b.test", "a@-b.test", "a\u200b@b.test",
	strings.Repeat("a", 65) + "@b.test", "a@" + strings.Repeat("b", 254), strings.Repeat("a@", 1<<19),
}

func TestForceReset(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	a := f.account()
	b := f.browser()
	b.mustLogin()
	link := f.resetToken()
	require.NoError(t, f.ForceReset(t.Context(), a.ID))
	b.wantSignedOut()
	require.Equal(t, auth.ErrNoToken, f.CompleteReset(t.Context(), f.post(), link, newPassword), "an older link may be the thief's")
	_, err := b.login(goodPassword)
	require.Equal(t, auth.ErrLoginRefused, err)
	require.Equal(t, "no-password", f.last(audit.AuthLogin).Reason)
	_, err = b.login("")
	require.Equal(t, auth.ErrLoginRefused, err)
	acc, err := f.Account(t.Context(), a.ID)
	require.NoError(t, err)
	require.False(t, acc.HasPassword)
	require.Zero(t, acc.PasswordSet)
	require.Equal(t, audit.AuthPasswordTaken, f.last(audit.AuthPasswordTaken).Kind)

	m := f.mail()
	require.Equal(t, "Your password for Acme Help must be replaced", m.Subject)
	token := f.token(m, "/reset")
	var weak *password.PolicyError
	require.ErrorAs(t, f.CompleteReset(t.Context(), f.post(), token, goodPassword), &weak)
	require.Equal(t, password.ReusedPassword, weak.Problems[0].Code, "the one that was taken away may have leaked")
	require.NoError(t, f.ForceReset(t.Context(), a.ID), "again: the letter was lost")
	token = f.token(f.mail(), "/reset")
	require.ErrorAs(t, f.CompleteReset(t.Context(), f.post(), token, goodPassword), &weak)
	require.NoError(t, f.CompleteReset(t.Context(), f.post(), token, newPassword))
	_, err = b.login(newPassword)
	require.NoError(t, err)

	require.Equal(t, auth.ErrNoAccount, f.ForceReset(t.Context(), "nobody"))
	f.box.take()
	require.NoError(t, f.ForceReset(t.Context(), a.ID))
	token = f.token(f.mail(), "/reset")
	require.NoError(t, f.SetDisabled(t.Context(), a.ID, true))
	require.Equal(t, auth.ErrNoToken, f.CompleteReset(t.Context(), f.post(), token, goodPassword))
}

func TestHistory(t *testing.T) {
	t.Parallel()
	policy, err := password.NewPolicy(password.PolicyConfig{History: 2})
	require.NoError(t, err)
	f := setUpMail(t, func(c *auth.Config) { c.Policy = policy })
	f.account()
	const third = "a third one that is long"
	var weak *password.PolicyError
	for i, step := range []struct {
		pw     string
		reused bool
	}{{goodPassword, true}, {newPassword, false}, {goodPassword, true}, {third, false}, {newPassword, true}, {goodPassword, false}} {
		f.wait(time.Hour)
		err := f.CompleteReset(t.Context(), f.post(), f.resetToken(), step.pw)
		if !step.reused {
			require.NoError(t, err, i)
			f.box.take()
			continue
		}
		require.ErrorAs(t, err, &weak, i)
		require.Equal(t, password.ReusedPassword, weak.Problems[0].Code)
	}
}

// manyRivals is how many try to use one link at once.
const manyRivals = 1000

func TestRaceReset(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	f.account()
	token := f.resetToken()
	var won atomic.Int32
	race(manyRivals, func(int) {
		switch err := f.CompleteReset(t.Context(), f.post(), token, newPassword); err {
		case nil:
			won.Add(1)
		case auth.ErrNoToken:
		default:
			t.Error(err)
		}
	})
	require.Equal(t, int32(1), won.Load())
	_, err := f.browser().login(newPassword)
	require.NoError(t, err)
	require.Len(t, f.mails(), 1)
}
