// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// follow opens the link of a mail that /dev/outbox shows, as its reader would.
func (v *visitor) follow(to, subject string) string {
	v.t.Helper()
	path, token := v.p.link(v.p.letter(to, subject))
	v.open("/dev/outbox")
	require.Contains(v.t, v.text(), token)
	v.open(path + "?token=" + token)
	return path
}

// choose fills in a new password and sends the form.
func (v *visitor) choose(pw string) {
	v.t.Helper()
	v.fill("#new", pw)
	v.fill("#again", pw)
	v.submit("main form button")
}

// narrow looks at a page in the width of a phone.
func (v *visitor) narrow(name string) {
	v.t.Helper()
	v.do(chromedp.EmulateViewport(390, 844))
	require.False(v.t, ask(v, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)), "%s is wider than a phone", name)
	v.picture(name + "-narrow")
	v.do(chromedp.EmulateViewport(1200, 900))
}

// scheme has the pages shown in the light or the dark colours.
func (v *visitor) scheme(name string) {
	v.t.Helper()
	ctx, stop := v.soon()
	defer stop()
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
	require.NoError(v.t, err)
}

// contrast gives how well the text of an element is told from its ground (WCAG 2.2, contrast ratio).
func (v *visitor) contrast(selector string) float64 {
	v.t.Helper()
	return ask(v, chromedp.Evaluate[float64](fmt.Sprintf(`(() => {
		const s = getComputedStyle(document.querySelector(%q));
		const l = c => c.match(/[\d.]+/g).slice(0, 3).map(x => x / 255).map(x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4)
			.reduce((sum, x, i) => sum + x * [.2126, .7152, .0722][i], 0);
		const [a, b] = [l(s.color), l(s.backgroundColor)].sort((x, y) => y - x);
		return (a + .05) / (b + .05);
	})()`, selector)))
}

// look takes pictures of a page, wide, narrow and dark, and looks for labels that are missing.
func (v *visitor) look(name string) {
	v.t.Helper()
	v.picture(name)
	v.narrow(name)
	if v.pictures != "" {
		v.scheme("dark")
		v.picture(name + "-dark")
		v.scheme("light")
	}
	unlabelled := ask(v, chromedp.Evaluate[string](`[...document.querySelectorAll('input:not([type=hidden]),select,textarea')].filter(e => !e.labels.length && !e.getAttribute('aria-label')).map(e => e.outerHTML).join('\n')`))
	require.Empty(v.t, unlabelled, name)
}

// TestPeople is the journey of somebody who registers and of those around them.
func TestPeople(t *testing.T) {
	chromium(t)
	p := start(t, filepath.Join(t.TempDir(), "data"), "-password-age", "4320h")
	p.openFor("noordzee")
	p.openFor("vondel")
	const email = "femke@people.example"
	me := account{Email: email, Password: newPassword}

	// Registration.
	person := p.visit(t)
	person.open("/login")
	person.submit(`a[href="/register"]`)
	person.look("register")
	person.do(chromedp.SetValue(chromedp.CSS("#tenant"), "noordzee"))
	person.fill("#name", "Femke Kuiper")
	person.fill("#email", email)
	person.submit("main form button")
	require.Contains(t, person.text(), "A mail is on its way")
	person.picture("mailed")
	require.Equal(t, "/register/confirm", person.follow(email, "Confirm"))
	person.look("register-confirm")
	person.choose("noordzee")
	require.Contains(t, person.text(), "Use at least 15 characters")
	person.look("register-refused")
	person.choose(newPassword)
	require.Contains(t, person.text(), "Your password is set")
	person.follow(email, "Confirm")
	require.Contains(t, person.text(), "This link is not valid", "it works once")
	person.look("badlink")
	person.submit("main a.button")
	require.Equal(t, "/register", person.path())
	person.signIn(me)
	require.Equal(t, "/", person.path())

	// Somebody else signs in, in another browser. The owner ends that session, and then reports it.
	thief := p.visit(t)
	thief.signIn(me)
	require.Equal(t, "/", thief.path())
	person.open("/account")
	require.Contains(t, person.text(), "End it")
	person.look("account-own")
	person.submit(`form[action$="/revoke"] button`)
	require.Contains(t, person.text(), "That session was ended")
	thief.open("/account")
	require.Equal(t, "/login", thief.path())
	thief.signIn(me)
	require.Equal(t, "/not-me", person.follow(email, "New sign-in"))
	person.look("not-me")
	thief.open("/account")
	require.Equal(t, "/account", thief.path(), "looking changes nothing")
	person.submit("main form button")
	require.Contains(t, person.text(), "The account is locked")
	person.look("reported")
	thief.open("/account")
	require.Equal(t, "/login", thief.path())
	thief.signIn(me)
	require.Contains(t, thief.text(), "is wrong")

	// A new password, from the mail that came with the report.
	require.Equal(t, "/reset", person.follow(email, "must be replaced"))
	person.look("reset")
	person.choose(otherPassword)
	require.Contains(t, person.text(), "Your new password is set")
	me.Password = otherPassword
	person.signIn(me)
	person.open("/account")
	require.Contains(t, person.text(), "cannot be changed until")
	person.look("account-frozen")
	person.open("/enrol")
	require.Contains(t, person.text(), "frozen")
	person.picture("frozen")

	// Forgotten.
	person.open("/account")
	person.signOut()
	person.submit(`a[href="/forgot"]`)
	person.look("forgot")
	person.fill("#email", email)
	person.submit("main form button")
	require.Contains(t, person.text(), "If there is an account")
	require.Equal(t, "/reset", person.follow(email, "Choose a new password"))
	me.Password = "the third one is a wet umbrella"
	person.choose(me.Password)
	person.signIn(me)
	require.Equal(t, "/", person.path())

	// Another address, for an account that is not frozen.
	mover := p.visit(t)
	customer := p.account("vondel", "customer")
	mover.signIn(customer)
	mover.open("/account")
	mover.fill("#email", "noor@people.example")
	mover.fill("#email-password", "wrong")
	mover.submit(`form[action="/account/email"] button`)
	require.Contains(t, mover.text(), "The present password is not right")
	mover.look("account-refused")
	mover.fill("#email-password", customer.Password)
	mover.submit(`form[action="/account/email"] button`)
	require.Contains(t, mover.text(), "A mail is on its way to the new address")
	require.Equal(t, "/email/confirm", mover.follow("noor@people.example", "Confirm your new"))
	mover.look("email-confirm")
	mover.submit("main form button")
	require.Contains(t, mover.text(), "The new address is in use")
	customer.Email = "noor@people.example"
	mover.signIn(customer)
	require.Equal(t, "/", mover.path())

	// An invitation.
	admin := p.visit(t)
	admin.signIn(p.account("noordzee", "administrator"))
	admin.open("/admin/users")
	admin.fill("#name", "Guus Prins")
	admin.fill("#email", "guus@people.example")
	admin.submit(`form[action="/admin/users"] button`)
	guest := p.visit(t)
	require.Equal(t, "/welcome", guest.follow("guus@people.example", "Your account at"))
	guest.look("welcome")
	guest.choose(newPassword)
	guest.signIn(account{Email: "guus@people.example", Password: newPassword})
	require.Equal(t, "/", guest.path())

	p.exec(`UPDATE ps_account SET password_set_at = password_set_at - ? WHERE last_login_at = (SELECT MAX(last_login_at) FROM ps_account)`,
		(4321 * time.Hour).Microseconds())
	guest.signOut()
	guest.signIn(account{Email: "guus@people.example", Password: newPassword})
	require.Equal(t, "/password", guest.path())
	guest.look("expired")
	guest.choose(otherPassword)
	require.Equal(t, "/", guest.path())

	// A supervisor acts as the customer.
	staff := p.visit(t)
	staff.signIn(p.account("noordzee", "supervisor"))
	staff.open("/tickets")
	staff.submit(`main tbody tr:nth-child(1) a`)
	staff.do(chromedp.Click(chromedp.CSS("summary")))
	staff.picture("act-as")
	staff.fill(`form[action$="/act-as"] input[name="reason"]`, "The customer asks what they see")
	staff.submit(`form[action$="/act-as"] button`)
	const banner = "You act as Sanne de Vries. Everything is recorded under both names."
	for _, path := range []string{"/", "/tickets", "/account", "/appointments", "/admin/users"} {
		staff.open(path)
		require.Contains(t, staff.text(), banner, path)
	}
	staff.open("/account")
	staff.look("acting")
	for _, scheme := range []string{"light", "dark"} {
		staff.scheme(scheme)
		require.Greater(t, staff.contrast(".acting"), 4.5, scheme)
		require.Greater(t, staff.contrast(".acting button"), 4.5, scheme)
	}
	require.Equal(t, 0.0, ask(staff, chromedp.Evaluate[float64](`scrollTo(0, 9999), document.querySelector('.acting').getBoundingClientRect().top`)), "it stays in sight")
	require.Contains(t, staff.text(), "Only the user may change")
	staff.submit(`form[action="/impersonation/stop"] button`)
	require.Contains(t, staff.text(), "You act as yourself again")
	require.NotContains(t, staff.text(), banner)
	staff.picture("acted")

	for _, v := range []*visitor{person, thief, mover, admin, guest, staff} {
		v.content()
	}
}
