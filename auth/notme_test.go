// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/stretchr/testify/require"
)

// desk takes incidents.
type desk struct {
	mu  sync.Mutex
	got []auth.Incident
	err error
}

func (d *desk) OpenIncident(_ context.Context, i auth.Incident) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, i)
	return d.err
}

// reporting is a portal with mail and a desk, whose user has signed in once.
type reporting struct {
	mailing
	desk *desk
	acc  auth.Account
	own  *browser
}

func setUpReporting(t *testing.T) reporting {
	d := &desk{}
	f := reporting{mailing: setUpMail(t, func(c *auth.Config) { c.Incidents = d }), desk: d}
	f.acc, f.own = f.account(), f.browser()
	f.own.mustLogin()
	require.Empty(t, f.box.take(), "the first login of all")
	f.wait(time.Minute)
	return f
}

// stranger signs in on another browser and gives the token of the notice.
func (f reporting) stranger() (*browser, string) {
	f.t.Helper()
	b := f.browser()
	b.mustLogin()
	return b, f.token(f.mail(), "/not-me")
}

// move gives the account another address and gives the token of the notice to the former one.
func (f reporting) move(b *browser, to string) string {
	f.t.Helper()
	require.NoError(f.t, b.changeEmail(goodPassword, to))
	require.NoError(f.t, f.ConfirmEmail(f.t.Context(), f.post(), f.token(f.mail(), "/email/confirm")))
	token := f.token(f.mail(), "/not-me")
	_, err := b.loginAs(to, goodPassword)
	require.NoError(f.t, err)
	f.box.take()
	return token
}

func (f reporting) report(token string) error { return f.NotMe(f.t.Context(), f.post(), token) }

func (f reporting) email() string {
	f.t.Helper()
	return must(f.Account(f.t.Context(), f.acc.ID)).Email
}

func TestNewDevice(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	f.own.mustLogin()
	require.Empty(t, f.box.take(), "a known browser")

	b := f.browser()
	w, r := httptest.NewRecorder(), b.request("POST", "/login")
	r = r.WithContext(portalsec.WithOrigin(r.Context(), portalsec.Origin{Country: "NL"}))
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	out, err := f.Login(r.Context(), w, r, auth.Credentials{Email: address, Password: goodPassword})
	require.NoError(t, err)
	b.take(w)
	letters := f.box.take()
	require.Equal(t, []portalsec.Letter{{Kind: "auth.new-device", Tenant: "acme", Account: f.acc.ID, Data: map[string]string{
		"device": "Firefox on Linux", "country": "NL", "session": out.Session.ID, "time": f.now.Truncate(time.Second).Format(time.RFC3339),
	}}}, letters)
	m, err := f.Compose(t.Context(), letters[0])
	require.NoError(t, err)
	require.Equal(t, address, m.To)
	require.Contains(t, m.Text, "Firefox on Linux")
	b.mustLogin()
	require.Empty(t, f.box.take(), "known now")
}

func TestNewDeviceAfterSecondFactor(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	for _, next := range []func(){func() { f.enrolled = true }, func() { f.enrolled, f.mustEnrol = false, true }} {
		next()
		for _, b := range []*browser{f.own, f.browser()} {
			_, err := b.login(goodPassword)
			require.NoError(t, err)
			require.Empty(t, f.box.take(), "nobody has signed in yet")
			_, err = b.complete(f.proof(portalsec.FactorTOTP))
			require.NoError(t, err)
			if b == f.own {
				require.Empty(t, f.box.take())
			} else {
				require.Len(t, f.box.take(), 1)
			}
		}
	}
}

// TestNewDeviceWithoutLetter holds that a notice that cannot be sent keeps nobody out.
func TestNewDeviceWithoutLetter(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	f.box.err = errBroken
	f.browser().mustLogin()
	e := f.last(audit.AuthNoticeFailed)
	require.Equal(t, audit.Error, e.Outcome)
	require.Equal(t, f.acc.ID, e.Target.ID)

	plain := setUp(t, nil) // sends no mail at all
	plain.account()
	plain.browser().mustLogin()
	plain.browser().mustLogin()
}

func TestNotMe(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	thief, token := f.stranger()
	reset := f.resetToken()
	f.enrolled = true
	waiting := f.browser()
	require.NoError(t, waiting.login2(goodPassword))
	f.enrolled = false
	sessionID := thief.wantSignedIn().Session
	staff := support{fixture: f.fixture, user: f.acc, b: f.browser()}
	var err error
	staff.staff, err = f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "acme", Email: staffAddress, Password: goodPassword})
	require.NoError(t, err)
	staff.login()
	staff.mustImpersonate()

	require.NoError(t, f.report(token))
	for _, b := range []*browser{thief, f.own, staff.b} {
		b.wantSignedOut()
	}
	_, err = waiting.complete(f.proof(portalsec.FactorTOTP))
	require.Equal(t, auth.ErrNoPending, err)
	require.Equal(t, auth.ErrLoginRefused, f.own.login2(goodPassword))
	require.Equal(t, "no-password", f.last(audit.AuthLogin).Reason)
	require.Equal(t, auth.ErrNoToken, f.CompleteReset(t.Context(), f.post(), reset, newPassword))
	acc := must(f.Account(t.Context(), f.acc.ID))
	require.False(t, acc.HasPassword)
	require.Equal(t, f.now.Add(72*time.Hour).Truncate(time.Microsecond), acc.FrozenUntil)
	require.Equal(t, address, acc.Email)

	e := f.last(audit.AuthReported)
	require.Equal(t, audit.Success, e.Outcome)
	require.Equal(t, audit.Critical, e.Severity)
	require.Equal(t, f.acc.ID, e.Target.ID)
	require.Empty(t, e.Actor, "who has the mail is not proven to be the owner")
	require.Equal(t, []audit.Detail{{Name: "session", Value: sessionID}}, e.Details)
	require.Equal(t, []auth.Incident{{
		Kind: audit.AuthReported, Tenant: "acme", Account: f.acc.ID, Session: sessionID, At: f.now.Truncate(time.Microsecond),
	}}, f.desk.got)

	m := f.mail()
	require.Equal(t, address, m.To)
	require.Equal(t, auth.ErrNoToken, f.report(token), "once")
	require.NoError(t, f.CompleteReset(t.Context(), f.post(), f.token(m, "/reset"), newPassword))
	f.box.take()
	before := f.store.Dump()
	require.Equal(t, auth.ErrNoToken, f.report(token))
	require.Equal(t, before, f.store.Dump(), "a replay does nothing")
	require.Len(t, f.desk.got, 1)
	require.NoError(t, f.own.login2(newPassword))
	require.Empty(t, f.box.take(), "the browser is known as before")
}

// TestNotMeOutlivesTheThief lets the thief do first what they can.
func TestNotMeOutlivesTheThief(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	thief, token := f.stranger()
	require.NoError(t, thief.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
		return f.ChangePassword(ctx, w, r, goodPassword, newPassword)
	}))
	require.NoError(t, f.RequestReset(t.Context(), f.post(), address))
	for _, m := range f.mails() {
		if found := links.FindStringSubmatch(m.Text); found[1] == "/reset" {
			require.NoError(t, f.CompleteReset(t.Context(), f.post(), found[2], "the thief's own password"))
		}
	}
	require.NoError(t, thief.login2("the thief's own password"))
	f.box.take()
	require.NoError(t, f.report(token))
	thief.wantSignedOut()
	require.Equal(t, auth.ErrLoginRefused, thief.login2("the thief's own password"))
	require.Equal(t, address, f.mail().To)
}

func TestNotMeRestoresTheAddress(t *testing.T) {
	t.Parallel()
	for name, notice := range map[string]func(f reporting, thief *browser, newDevice string) string{
		"of the change":         func(f reporting, thief *browser, _ string) string { return f.move(thief, newAddress) },
		"of the sign-in before": func(f reporting, thief *browser, token string) string { f.move(thief, newAddress); return token },
		"of the first of two": func(f reporting, thief *browser, _ string) string {
			token := f.move(thief, newAddress)
			f.move(thief, "third@evil.test")
			return token
		},
		"after the profile was changed": func(f reporting, thief *browser, _ string) string {
			token, name := f.move(thief, newAddress), "Mallory"
			_, err := f.UpdateProfile(f.t.Context(), f.acc.ID, auth.ProfileChange{Name: &name})
			require.NoError(f.t, err)
			return token
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setUpReporting(t)
			thief, token := f.stranger()
			token = notice(f, thief, token)
			require.NotEqual(t, address, f.email())
			require.NoError(t, f.report(token))
			require.Equal(t, address, f.email())
			thief.wantSignedOut()
			require.True(t, f.desk.got[0].AddressRestored)
			require.False(t, f.desk.got[0].AddressTaken)
			m := f.mail()
			require.Equal(t, address, m.To)
			require.NoError(t, f.CompleteReset(t.Context(), f.post(), f.token(m, "/reset"), newPassword))
			require.NoError(t, f.own.login2(newPassword))
		})
	}
}

// TestThiefsNotice has a thief who changes the address twice, and so gets a notice, with a link, at an address of theirs.
func TestThiefsNotice(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"owner", "thief"} {
		t.Run(first+" first", func(t *testing.T) {
			t.Parallel()
			f := setUpReporting(t)
			thief, _ := f.stranger()
			owners := f.move(thief, newAddress)
			thiefs := f.move(thief, "third@evil.test")
			if first == "thief" {
				require.NoError(t, f.report(thiefs))
				require.Equal(t, newAddress, f.email())
				require.NoError(t, f.CompleteReset(t.Context(), f.post(), f.token(f.mail(), "/reset"), newPassword))
				f.box.take()
			}
			require.NoError(t, f.report(owners))
			require.Equal(t, address, f.email())
			m := f.mail()
			require.Equal(t, address, m.To)
			if first == "owner" {
				require.NoError(t, f.report(thiefs), "it may lock the account again")
				require.False(t, f.desk.got[1].AddressRestored)
				require.Equal(t, address, f.email(), "and gives the thief nothing")
				m = f.mail()
				require.Equal(t, address, m.To)
			}
			require.NoError(t, f.CompleteReset(t.Context(), f.post(), f.token(m, "/reset"), "the owner's new password"))
			require.NoError(t, f.own.login2("the owner's new password"))
		})
	}
}

// TestNotMeAfterOwnChange has a user who changed the address last week, and reports a sign-in of today.
func TestNotMeAfterOwnChange(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	f.move(f.own, newAddress)
	f.wait(7 * 24 * time.Hour)
	thief := f.browser()
	_, err := thief.loginAs(newAddress, goodPassword)
	require.NoError(t, err)
	require.NoError(t, f.report(f.token(f.mail(), "/not-me")))
	require.Equal(t, newAddress, f.email(), "nothing to restore")
	require.False(t, f.desk.got[0].AddressRestored)
	require.Equal(t, newAddress, f.mail().To)
}

func TestNotMeAddressTaken(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	thief, _ := f.stranger()
	token := f.move(thief, newAddress)
	_, err := f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "acme", Email: address, Password: goodPassword})
	require.NoError(t, err)
	require.NoError(t, f.report(token))
	thief.wantSignedOut()
	require.False(t, must(f.Account(t.Context(), f.acc.ID)).HasPassword)
	require.Equal(t, newAddress, f.email())
	require.Empty(t, f.box.take(), "a letter would go to the thief")
	require.True(t, f.desk.got[0].AddressTaken)
	require.False(t, f.desk.got[0].AddressRestored)
	require.Equal(t, "address-taken", f.last(audit.AuthReported).Reason)

	// Nor does the thief get one by asking for it.
	require.True(t, must(f.Account(t.Context(), f.acc.ID)).Disabled)
	require.NoError(t, f.RequestReset(t.Context(), f.post(), newAddress))
	require.Empty(t, f.mails())
}

func TestNotMeRefuses(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	_, token := f.stranger()
	reset := f.resetToken()
	before := f.store.Dump()
	for _, bad := range []string{"", "AAAA", token[1:], token + "A", reset} {
		require.Equal(t, auth.ErrNoToken, f.report(bad))
	}
	f.full = true
	require.ErrorIs(t, f.report(token), errBroken)
	f.full = false
	require.Equal(t, before, f.store.Dump())
	require.Empty(t, f.desk.got)
	f.own.wantSignedIn()
	f.wait(14*24*time.Hour - time.Microsecond)
	f.own.mustLogin()
	require.NoError(t, f.SetDisabled(t.Context(), f.acc.ID, true))
	require.Equal(t, auth.ErrNoToken, f.report(token))
	require.NoError(t, f.SetDisabled(t.Context(), f.acc.ID, false))
	f.wait(time.Microsecond)
	require.Equal(t, auth.ErrNoToken, f.report(token))
	require.Equal(t, "expired", f.last(audit.AuthLinkRefused).Reason)
	_, token = f.stranger()
	require.NoError(t, f.DeleteAccount(t.Context(), f.acc.ID))
	require.Equal(t, auth.ErrNoToken, f.report(token))
	require.Empty(t, f.desk.got)
}

// TestNotMeLongerFreeze keeps what an administrator has frozen for longer.
func TestNotMeLongerFreeze(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	_, token := f.stranger()
	until := f.now.Add(1000 * time.Hour)
	require.NoError(t, f.Freeze(t.Context(), f.acc.ID, until))
	require.NoError(t, f.report(token))
	require.Equal(t, until.Truncate(time.Microsecond), must(f.Account(t.Context(), f.acc.ID)).FrozenUntil)
}

// TestNotMeIncidentLost does everything else all the same.
func TestNotMeIncidentLost(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	thief, token := f.stranger()
	f.desk.err = errBroken
	err := f.report(token)
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, 503, auth.DenialOf(err).Status)
	e := f.last(audit.AuthReported)
	require.Equal(t, audit.Error, e.Outcome)
	require.Equal(t, "incident", e.Reason)
	thief.wantSignedOut()
	require.Len(t, f.mails(), 1)
	require.Equal(t, auth.ErrNoToken, f.report(token))
}

func TestNotMeOneWinner(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	thief, _ := f.stranger()
	token := f.move(thief, newAddress)
	errs := make([]error, 200)
	var wg, read sync.WaitGroup
	var readers atomic.Int32
	read.Add(len(errs))
	f.onRead = func() { // all of them see it before anybody consumes it; some read it again later
		if readers.Add(1) <= int32(len(errs)) {
			read.Done()
			read.Wait()
		}
	}
	for i := range errs {
		wg.Go(func() { errs[i] = f.report(token) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.Equal(t, auth.ErrNoToken, err)
		}
	}
	require.Equal(t, 1, won)
	require.Len(t, f.desk.got, 1)
	require.Equal(t, address, f.email())
	require.False(t, must(f.Account(t.Context(), f.acc.ID)).HasPassword)
}

// TestNotMeLate holds a call back until another one has done it all and the owner has a new password.
func TestNotMeLate(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	_, token := f.stranger()
	f.onFound = func() { // the late one has read token and account
		f.onFound = nil
		require.NoError(t, f.report(token))
		require.NoError(t, f.CompleteReset(t.Context(), f.post(), f.token(f.mail(), "/reset"), newPassword))
	}
	require.Equal(t, auth.ErrNoToken, f.report(token))
	require.NoError(t, f.own.login2(newPassword), "the new password stays")
	require.Len(t, f.desk.got, 1)
}

func (s failingAccounts) SetFrozen(ctx context.Context, id string, until time.Time) error {
	if err := s.step(ctx); err != nil {
		return err
	}
	return s.AccountStore.SetFrozen(ctx, id, until)
}

// TestNotMeWithFaults lets one call of a store fail, each in turn. The user is told so, can report again with the same
// link, and then everything has been done.
func TestNotMeWithFaults(t *testing.T) {
	t.Parallel()
	steps := 0
	for n := 1; ; n++ {
		f, x := setUpFault(t)
		r := reporting{mailing: f, acc: f.account(), own: f.browser()}
		r.own.mustLogin()
		thief, _ := r.stranger()
		token := r.move(thief, newAddress)
		*x = fault{at: n}
		err := r.report(token)
		if x.n < n {
			require.NoError(t, err)
			break
		}
		steps++
		require.Error(t, err, "call %d", n)
		require.Equal(t, 503, auth.DenialOf(err).Status, "call %d", n)
		*x = fault{}
		require.NoError(t, r.report(token), "after call %d", n)
		acc := must(f.Account(t.Context(), r.acc.ID))
		require.Equal(t, address, acc.Email, "after call %d", n)
		require.False(t, acc.HasPassword)
		require.True(t, acc.FrozenUntil.After(f.now))
		thief.wantSignedOut()
		mails := f.mails()
		require.NotEmpty(t, mails)
		require.Equal(t, address, mails[len(mails)-1].To)
		require.NoError(t, f.CompleteReset(t.Context(), f.post(), f.token(mails[len(mails)-1], "/reset"), newPassword))
	}
	require.Greater(t, steps, 8)
}

// noPasswords is an account store that cannot set passwords for now.
type noPasswords struct {
	auth.AccountStore
	broken *bool
}

func (s noPasswords) SetPassword(ctx context.Context, id string, version int64, p auth.NewPassword) (bool, error) {
	if *s.broken {
		return false, errBroken
	}
	return s.AccountStore.SetPassword(ctx, id, version, p)
}

// TestNotMeTriesAll has a store that fails for good: what others can do is done.
func TestNotMeTriesAll(t *testing.T) {
	t.Parallel()
	f := setUpReporting(t)
	thief, token := f.stranger()
	f.onBump = func() error { return errBroken }
	require.ErrorIs(t, f.report(token), errBroken)
	acc := must(f.Account(t.Context(), f.acc.ID))
	require.False(t, acc.HasPassword)
	require.True(t, acc.FrozenUntil.After(f.now))
	require.Empty(t, f.box.take())
	require.Equal(t, audit.Error, f.last(audit.AuthReported).Outcome)
	f.onBump = nil
	require.NoError(t, f.report(token))
	thief.wantSignedOut()

	broken := false
	f = reporting{desk: &desk{}, mailing: setUpMail(t, func(c *auth.Config) { c.Accounts = noPasswords{c.Accounts, &broken} })}
	f.acc = f.account()
	f.browser().mustLogin()
	thief, token = f.stranger()
	broken = true
	require.ErrorIs(t, f.report(token), errBroken)
	thief.wantSignedOut()
	require.True(t, must(f.Account(t.Context(), f.acc.ID)).FrozenUntil.After(f.now))
	broken = false
	require.NoError(t, f.report(token))
	require.False(t, must(f.Account(t.Context(), f.acc.ID)).HasPassword)
}
