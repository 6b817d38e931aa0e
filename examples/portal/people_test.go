// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"database/sql"
	"html"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

const (
	newPassword   = "seven grey herons over the polder"
	otherPassword = "a bicycle left beside the canal"
)

// letter is a mail as /dev/outbox shows it.
type letter struct{ to, subject, text string }

var letterOnPage = regexp.MustCompile(`(?s)<h2>([^<]*)</h2><p class="soft">to ([^,]+),.*?<pre>(.*?)</pre>`)

// letters gives the mails that were sent, newest first.
func (p *portal) letters() (list []letter) {
	p.t.Helper()
	for _, m := range letterOnPage.FindAllStringSubmatch(p.client().get("/dev/outbox").body, -1) {
		list = append(list, letter{html.UnescapeString(m[2]), html.UnescapeString(m[1]), html.UnescapeString(m[3])})
	}
	return list
}

// letter waits for a mail to an address with a subject, and gives the newest.
func (p *portal) letter(to, subject string) (found letter) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		for _, l := range p.letters() {
			if l.to == to && strings.Contains(l.subject, subject) {
				found = l
				return true
			}
		}
		return false
	}, 20*time.Second, 20*time.Millisecond, "no mail to %s about %q", to, subject)
	return found
}

// link gives the path and the token of the mail's link.
func (p *portal) link(l letter) (path, token string) {
	p.t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(p.url) + `(/[a-z/-]+)\?token=([\w-]+)`).FindStringSubmatch(l.text)
	require.NotNil(p.t, m, l.text)
	return m[1], m[2]
}

// query asks the database for one value.
func query[T any](p *portal, text string, args ...any) (v T) {
	p.t.Helper()
	p.database(func(db *sql.DB) { require.NoError(p.t, db.QueryRow(text, args...).Scan(&v)) })
	return v
}

func (p *portal) exec(text string, args ...any) {
	p.t.Helper()
	p.database(func(db *sql.DB) {
		_, err := db.Exec(text, args...)
		require.NoError(p.t, err)
	})
}

func (p *portal) database(f func(*sql.DB)) {
	p.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(p.data, "portal.db")+"?_pragma=busy_timeout(10000)")
	require.NoError(p.t, err)
	defer db.Close()
	f(db)
}

// openFor lets visitors register as customers of an organisation.
func (p *portal) openFor(tenant string) {
	p.t.Helper()
	p.exec(`UPDATE portal_organisation SET open = TRUE WHERE tenant = ?`, tenant)
}

// rows gives all that the database holds, but for when a session was last seen.
func (p *portal) rows() (all []string) {
	p.t.Helper()
	p.database(func(db *sql.DB) {
		for _, table := range strs(p, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`) {
			columns := slices.DeleteFunc(strs(p, db, `SELECT name FROM pragma_table_info(?) ORDER BY name`, table), func(c string) bool {
				return table == "ps_session" && c == "last_seen"
			})
			quoted := "quote(" + strings.Join(columns, ") || ' ' || quote(") + ")"
			for _, row := range strs(p, db, `SELECT `+quoted+` FROM `+table+` ORDER BY 1`) {
				all = append(all, table+": "+row)
			}
		}
	})
	require.NotEmpty(p.t, all)
	return all
}

func strs(p *portal, db *sql.DB, text string, args ...any) (list []string) {
	p.t.Helper()
	rows, err := db.Query(text, args...)
	require.NoError(p.t, err)
	defer rows.Close()
	for rows.Next() {
		var s string
		require.NoError(p.t, rows.Scan(&s))
		list = append(list, s)
	}
	require.NoError(p.t, rows.Err())
	return list
}

// same gives what can be compared of an answer: all but the time and the nonce, which are new each time.
func same(r response) response {
	r.header = r.header.Clone()
	r.header.Del("Date")
	csp := r.header.Get("Content-Security-Policy")
	r.header.Del("Content-Security-Policy")
	for _, m := range regexp.MustCompile(`'nonce-([^']+)'`).FindAllStringSubmatch(csp, -1) {
		r.body = strings.ReplaceAll(r.body, m[1], "NONCE")
	}
	return r
}

// browser gives a client that asks for pages.
func (p *portal) browser() *client {
	c := p.client()
	c.header.Set("Accept", "text/html")
	return c
}

// setPassword opens a mailed link and sends its form.
func (c *client) setPassword(path, token, pw string, fields ...string) response {
	c.p.t.Helper()
	require.Equal(c.p.t, http.StatusOK, c.get(path+"?token="+token).status)
	return c.post(path, append([]string{"token", token, "new", pw, "again", pw}, fields...)...)
}

// TestRegister makes an account by mail.
func TestRegister(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	p.exec(`UPDATE portal_organisation SET open = FALSE`)
	c := p.browser()
	require.Contains(t, c.get("/register").body, "Nobody can register")
	require.Equal(t, http.StatusUnprocessableEntity, c.post("/register", "tenant", "vondel", "name", "N", "email", "n@n.example").status)
	p.openFor("vondel")
	require.NotContains(t, c.get("/register").body, "Noordzee")
	c.header.Set("Accept-Language", "fr, nl-BE;q=0.8, en")
	require.Contains(t, c.get("/register").body, `<option value="nl" lang="nl" selected>`)
	form := func(email string) []string {
		return []string{"tenant", "vondel", "name", "Nieuwe Huurder", "email", email, "lang", "en"}
	}
	for field, bad := range map[string]string{"tenant": "noordzee", "name": " ", "email": "nobody", "lang": "xx"} {
		fields := form("new@vondel.example")
		fields[slices.Index(fields, field)+1] = bad
		res := c.post("/register", fields...)
		require.Equal(t, http.StatusUnprocessableEntity, res.status, field)
		if field != "name" {
			require.Contains(t, res.body, "Nieuwe Huurder", "what was typed is not lost")
		}
	}
	require.Equal(t, http.StatusUnprocessableEntity, c.post("/register").status, "a form without fields")

	customer := p.account("vondel", "customer")
	known, unknown := c.post("/register", form(customer.Email)...), c.post("/register", form("new@vondel.example")...)
	require.Equal(t, "/login?done=mailed", unknown.header.Get("Location"))
	require.Equal(t, same(known), same(unknown), "the answer does not tell who has an account")
	require.NotContains(t, p.letter(customer.Email, "already have").text, "token=", "who has an account is told so")

	path, token := p.link(p.letter("new@vondel.example", "Confirm"))
	require.Equal(t, "/register/confirm", path)
	page := c.get(path + "?token=" + token).body
	require.Contains(t, page, `autocomplete="username" value="new@vondel.example"`)
	require.Equal(t, http.StatusUnprocessableEntity, c.post(path, "token", token, "new", newPassword, "again", otherPassword).status)
	weak := c.setPassword(path, token, "vondel")
	require.Equal(t, http.StatusUnprocessableEntity, weak.status)
	require.Contains(t, weak.body, "Use at least 15 characters")
	require.Contains(t, weak.body, token, "the form is there once more")
	require.NotContains(t, weak.body, `value="vondel"`, "a password is never shown")
	set := c.setPassword(path, token, newPassword)
	require.Equal(t, "/login?done=welcome", set.header.Get("Location"), set.body)
	require.Empty(t, set.header.Values("Set-Cookie"), "nobody is signed in by a mailed link")
	require.Contains(t, c.get("/login?done=welcome").body, "Your password is set")
	require.Equal(t, http.StatusNotFound, c.post(path, "token", token, "new", newPassword, "again", newPassword).status, "used")

	require.Equal(t, "session", c.login(account{Email: "new@vondel.example", Password: newPassword}))
	require.Equal(t, http.StatusOK, c.get("/tickets").status, "a customer")
	require.Equal(t, http.StatusForbidden, c.get("/admin/users").status)
	require.Contains(t, c.get("/api/me").body, `"name":"Nieuwe Huurder","lang":"en","tenant":"vondel","roles":["customer"]`)

	require.Equal(t, http.StatusSeeOther, p.browser().post("/register", form("late@vondel.example")...).status)
	path, token = p.link(p.letter("late@vondel.example", "Confirm"))
	p.exec(`UPDATE portal_organisation SET open = FALSE`)
	require.Equal(t, http.StatusNotFound, p.browser().post(path, "token", token, "new", newPassword, "again", newPassword).status, "closed meanwhile")
}

// TestReset sets a forgotten password by mail.
func TestReset(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	customer := p.account("noordzee", "customer")
	signedIn := p.as("noordzee", "customer")
	_, enrolment := signedIn.call("/api/enrol", nil)
	code, err := totp.GenerateCode(enrolment["secret"].(string), time.Now())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status(signedIn.call("/api/mfa", map[string]string{"code": code})))
	p.letter(customer.Email, "second factor")

	c := p.browser()
	require.Contains(t, c.get("/login").body, `href="/forgot"`)
	known, unknown := c.post("/forgot", "email", customer.Email), c.post("/forgot", "email", "nobody@noordzee.example")
	require.Equal(t, "/login?done=asked", known.header.Get("Location"))
	require.Equal(t, same(known), same(unknown), "the answer does not tell who has an account")
	require.Equal(t, http.StatusUnprocessableEntity, c.post("/forgot").status, "a form without fields")
	require.Equal(t, http.StatusUnprocessableEntity, c.post("/forgot", "email", "x@y\r\nBcc: z@z.example").status)
	require.Equal(t, http.StatusRequestEntityTooLarge, c.post("/forgot", "email", strings.Repeat("x", 100_000)).status)

	path, token := p.link(p.letter(customer.Email, "Choose a new password"))
	require.Equal(t, "/reset", path)
	require.Equal(t, http.StatusOK, signedIn.get("/api/me").status, "asking ends nothing")
	require.Equal(t, http.StatusUnprocessableEntity, c.setPassword(path, token, "too short").status)
	require.Equal(t, http.StatusRequestEntityTooLarge, c.post(path, "token", token, "new", strings.Repeat("x", 1<<20)).status)
	set := c.setPassword(path, token, newPassword)
	require.Equal(t, "/login?done=resetDone", set.header.Get("Location"), set.body)
	require.Empty(t, set.header.Values("Set-Cookie"), "nobody is signed in by a mailed link")
	require.Equal(t, http.StatusUnauthorized, signedIn.get("/api/me").status, "signed out everywhere")
	p.letter(customer.Email, "was changed")
	used := c.post(path, "token", token, "new", otherPassword, "again", otherPassword)
	require.Equal(t, http.StatusNotFound, used.status)

	require.Equal(t, http.StatusUnauthorized, status(c.call("/api/login", map[string]string{"email": customer.Email, "password": customer.Password})))
	require.Equal(t, "totp", c.login(account{Email: customer.Email, Password: newPassword}), "the second factor is as it was")
	for range 9 {
		p.browser().post("/forgot", "email", customer.Email)
	}
	throttled := p.browser().post("/forgot", "email", customer.Email)
	require.Equal(t, http.StatusTooManyRequests, throttled.status, "nobody's mailbox is flooded")
	require.NotEmpty(t, throttled.header.Get("Retry-After"))
}

// TestInvitation makes an account that its user opens.
func TestInvitation(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	admin := p.as("noordzee", "administrator")
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/users", "name", "New Person", "email", "new@noordzee.example", "lang", "en").status)
	path, token := p.link(p.letter("new@noordzee.example", "Your account at"))
	require.Equal(t, "/welcome", path)
	c := p.browser()
	require.Contains(t, c.get(path+"?token="+token).body, `<option value="zh" lang="zh">`)
	require.Equal(t, http.StatusUnprocessableEntity, c.setPassword(path, token, newPassword, "lang", "xx").status)
	require.Equal(t, http.StatusUnprocessableEntity, c.setPassword(path, token, "new person", "lang", "zh").status)
	require.Equal(t, "/login?done=welcome", c.setPassword(path, token, newPassword, "lang", "zh").header.Get("Location"))
	require.Equal(t, http.StatusNotFound, c.post(path, "token", token, "new", otherPassword, "again", otherPassword).status, "used")
	require.Equal(t, "session", c.login(account{Email: "new@noordzee.example", Password: newPassword}))
	require.Contains(t, c.get("/api/me").body, `"lang":"zh"`)
}

// TestAddress changes the address that one signs in with.
func TestAddress(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	customer := p.account("noordzee", "customer")
	c := p.as("noordzee", "customer")
	c.header.Set("Accept", "text/html")
	change := func(password, email string) response {
		return c.post("/account/email", "password", password, "email", email)
	}
	wrong := change("wrong", "moved@noordzee.example")
	require.Equal(t, http.StatusUnauthorized, wrong.status)
	require.Contains(t, wrong.body, "The present password is not right.")
	require.Contains(t, wrong.body, "moved@noordzee.example", "what was typed is not lost")
	require.Equal(t, http.StatusUnprocessableEntity, change(customer.Password, "nowhere").status)
	require.Equal(t, http.StatusUnprocessableEntity, c.post("/account/email").status)

	agent := p.account("noordzee", "agent")
	taken, free := change(customer.Password, agent.Email), change(customer.Password, "moved@noordzee.example")
	require.Equal(t, "/account?done=newEmail", free.header.Get("Location"))
	require.Equal(t, same(taken), same(free), "the answer does not tell who has an account")
	require.NotContains(t, p.letter(agent.Email, "already in use").text, "token=")

	path, token := p.link(p.letter("moved@noordzee.example", "Confirm your new"))
	require.Equal(t, "/email/confirm", path)
	require.Contains(t, c.get("/api/me").body, customer.Email, "not yet")
	other := p.browser()
	require.Contains(t, other.get(path+"?token="+token).body, "moved@noordzee.example")
	require.Equal(t, "/login?done=email", other.post(path, "token", token).header.Get("Location"))
	require.Equal(t, http.StatusNotFound, other.post(path, "token", token).status, "used")
	require.Equal(t, http.StatusUnauthorized, c.get("/api/me").status, "signed out everywhere")
	require.Equal(t, "session", c.login(account{Email: "moved@noordzee.example", Password: customer.Password}))
	require.Equal(t, http.StatusUnauthorized, status(c.call("/api/login", map[string]string{"email": customer.Email, "password": customer.Password})))

	// The former address is told, and can take it back.
	path, token = p.link(p.letter(customer.Email, "was changed"))
	require.Equal(t, "/not-me", path)
	require.Equal(t, "/login?done=notme", other.post(path, "token", token).header.Get("Location"))
	path, token = p.link(p.letter(customer.Email, "must be replaced"))
	require.Equal(t, "/login?done=resetDone", other.setPassword(path, token, newPassword).header.Get("Location"))
	require.Equal(t, "session", c.login(account{Email: customer.Email, Password: newPassword}))
}

// TestNotMe reports a sign-in as somebody else's.
func TestNotMe(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	customer := p.account("noordzee", "customer")
	owner := p.as("noordzee", "customer")
	thief := p.as("noordzee", "customer")
	path, token := p.link(p.letter(customer.Email, "New sign-in"))
	require.Equal(t, "/not-me", path)
	c := p.browser()
	require.Contains(t, c.get(path+"?token="+token).body, "signed out everywhere")
	require.Equal(t, http.StatusOK, thief.get("/api/me").status, "looking changes nothing")
	reported := c.post(path, "token", token)
	require.Equal(t, "/login?done=notme", reported.header.Get("Location"), reported.body)
	require.Equal(t, http.StatusUnauthorized, thief.get("/api/me").status)
	require.Equal(t, http.StatusUnauthorized, owner.get("/api/me").status)
	require.Equal(t, http.StatusUnauthorized, status(thief.call("/api/login", map[string]string{"email": customer.Email, "password": customer.Password})))
	require.Equal(t, http.StatusNotFound, c.post(path, "token", token).status, "used")
	require.Contains(t, p.as("noordzee", "security-officer").get("/admin/reports").body, "Sanne de Vries")

	path, token = p.link(p.letter(customer.Email, "must be replaced"))
	again := c.setPassword(path, token, customer.Password)
	require.Equal(t, http.StatusUnprocessableEntity, again.status, "the password that somebody else knows")
	require.Equal(t, "/login?done=resetDone", c.setPassword(path, token, newPassword).header.Get("Location"))
	require.Equal(t, "session", c.login(account{Email: customer.Email, Password: newPassword}))
	require.Contains(t, c.get("/account").body, "cannot be changed until")
	frozen := c.get("/enrol")
	require.Equal(t, http.StatusForbidden, frozen.status)
	require.Contains(t, frozen.body, "Contact the administrators")
	require.Equal(t, http.StatusForbidden, c.post("/account/email", "password", newPassword, "email", "moved@noordzee.example").status)
	require.Equal(t, http.StatusForbidden, status(c.call("/api/enrol", nil)))
}

// TestAccount changes what a user may change, and looks at the refusals.
func TestAccount(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	customer := p.account("noordzee", "customer")
	c := p.as("noordzee", "customer")
	c.header.Set("Accept", "text/html")
	require.Equal(t, http.StatusSeeOther, c.post("/account/profile", "name", "Sanne Bos", "lang", "nl").status)
	require.Contains(t, c.get("/account").body, `value="Sanne Bos"`)
	require.Contains(t, c.get("/api/me").body, `"name":"Sanne Bos","lang":"nl"`)
	require.Equal(t, http.StatusUnprocessableEntity, c.post("/account/profile").status, "a form without fields")
	require.Equal(t, http.StatusUnprocessableEntity, c.post("/account/profile", "name", "x", "lang", "xx").status)
	require.Contains(t, c.get("/account").body, `value="Sanne Bos"`)

	differ := c.post("/account/password", "old", customer.Password, "new", newPassword, "again", otherPassword)
	require.Equal(t, http.StatusUnprocessableEntity, differ.status)
	require.Contains(t, differ.body, "The two new passwords differ.")
	wrong := c.post("/account/password", "old", "wrong", "new", newPassword, "again", newPassword)
	require.Equal(t, http.StatusUnauthorized, wrong.status)
	require.Contains(t, wrong.body, "The present password is not right.")
	weak := c.post("/account/password", "old", customer.Password, "new", "aaaaaaaaaaaaaaaaaaaa", "again", "aaaaaaaaaaaaaaaaaaaa")
	require.Equal(t, http.StatusUnprocessableEntity, weak.status)
	require.Contains(t, weak.body, "Do not repeat the same characters.", "the hint")
	require.Equal(t, http.StatusUnauthorized, c.post("/account/password").status, "a form without fields")
	require.Equal(t, http.StatusSeeOther, c.post("/account/password", "old", customer.Password, "new", newPassword, "again", newPassword).status)
	p.letter(customer.Email, "achtwoord") // in Dutch now

	others := []*client{p.client(), p.client()}
	for _, o := range others {
		require.Equal(t, "session", o.login(account{Email: customer.Email, Password: newPassword}))
	}
	require.Equal(t, 2, strings.Count(c.get("/account").body, "End it"))
	require.Equal(t, http.StatusSeeOther, c.post("/account/sessions/revoke-others").status)
	for _, o := range others {
		require.Equal(t, http.StatusUnauthorized, o.get("/api/me").status)
	}
	require.Equal(t, http.StatusOK, c.get("/account").status)
	require.NotContains(t, c.get("/account").body, "End all others")
}

// TestNoMailServer: without one nobody registers or resets a password, and the pages say so.
func TestNoMailServer(t *testing.T) {
	t.Parallel()
	p := fresh(t, "-demo=false")
	p.exec(`UPDATE portal_organisation SET open = TRUE`)
	c := p.browser()
	require.Contains(t, c.get("/forgot").body, "sends no mail yet")
	require.Contains(t, c.get("/register").body, "Nobody can register")
	for path, fields := range map[string][]string{
		"/forgot":   {"email", "boss@example.org"},
		"/register": {"tenant", "main", "name", "N", "email", "n@example.org"},
	} {
		res := c.post(path, fields...)
		require.Equal(t, http.StatusServiceUnavailable, res.status)
		require.Contains(t, res.body, "ask the administrators")
	}
	p.client().sends(http.StatusServiceUnavailable, "no-mail", http.MethodPost, "/api/reset/request", object{"email": "boss@example.org"})
}

// TestExpired signs in with a password that is too old.
func TestExpired(t *testing.T) {
	t.Parallel()
	p := fresh(t, "-password-age", "4320h")
	a := p.account("noordzee", "customer")
	c := p.browser()
	login := func(pw string) string {
		return c.post("/login", "email", a.Email, "password", pw, "next", "/tickets").header.Get("Location")
	}
	require.Equal(t, "/tickets", login(a.Password), "not yet")
	other := p.as("noordzee", "customer")
	c.post("/logout")
	p.exec(`UPDATE ps_account SET password_set_at = password_set_at - ?`, (4321 * time.Hour).Microseconds())
	require.Equal(t, "/password?next=%2Ftickets", login(a.Password))
	require.Equal(t, "/login", c.get("/tickets").header.Get("Location")[:6], "half a login opens nothing")
	require.Contains(t, c.get("/password").body, a.Email)
	form := func(pw string) response { return c.post("/password", "next", "/tickets", "new", pw, "again", pw) }
	same := form(a.Password)
	require.Equal(t, http.StatusUnprocessableEntity, same.status, "the expired one")
	require.Contains(t, same.body, "You had this password before")
	require.Equal(t, http.StatusUnprocessableEntity, form("short").status)
	require.Equal(t, http.StatusUnprocessableEntity, c.post("/password", "new", newPassword).status, "not typed again")
	require.Equal(t, "/tickets", form(newPassword).header.Get("Location"))
	require.Equal(t, http.StatusOK, c.get("/tickets").status)
	require.Equal(t, http.StatusUnauthorized, other.get("/api/me").status, "signed out everywhere")
	require.Equal(t, "/login", form(otherPassword).header.Get("Location"), "once")

	program := p.client()
	b := p.account("noordzee", "agent")
	require.Equal(t, "password", program.login(b))
	program.sends(422, "password-refused", http.MethodPost, "/api/password/expired", object{"new": b.Password})
	code, out := program.call("/api/password/expired", object{"new": newPassword})
	require.Equal(t, []any{200, "session"}, []any{code, out["next"]})
	require.Equal(t, http.StatusOK, program.get("/api/me").status)
}

// TestImpersonation lets staff see the portal as a customer does, and nothing more.
func TestImpersonation(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	customer := p.as("noordzee", "customer")
	id := regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(customer.get("/api/me").body)[1]
	staff := p.as("noordzee", "supervisor")
	staff.header.Set("Accept", "text/html")
	own := staff.get("/api/me").body
	require.Equal(t, "/", staff.post("/impersonation/stop").header.Get("Location"), "nobody is acted for")
	require.Equal(t, http.StatusOK, staff.get("/api/me").status)
	start := staff.post("/customers/"+id+"/act-as", "reason", "they ask what they see")
	require.Equal(t, http.StatusSeeOther, start.status, start.body)

	const banner = "You act as <strong>Sanne de Vries</strong>. Everything is recorded under both names."
	for _, page := range []string{"/", "/tickets", "/tickets/new", "/appointments", "/account", "/nothing-here", "/admin/users"} {
		body := staff.get(page).body
		require.Contains(t, body, banner, page)
		require.Contains(t, body, `<p role="status">`)
	}
	require.Contains(t, staff.get("/api/me").body, `"acted_by"`)
	require.Contains(t, customer.get("/account").body, "staff, acting as you")

	// What is the user's alone.
	secret := p.account("noordzee", "customer").Password
	for path, fields := range map[string][]string{
		"/account/profile":                {"name", "Taken", "lang", "en"},
		"/account/password":               {"old", secret, "new", newPassword, "again", newPassword},
		"/account/email":                  {"password", secret, "email", "taken@noordzee.example"},
		"/account/sessions/revoke-others": nil,
		"/account/sessions/x/revoke":      nil,
		"/account/factors/x/remove":       nil,
		"/confirm":                        {"password", secret},
		"/enrol":                          {"code", "000000"},
	} {
		res := staff.post(path, fields...)
		require.Equal(t, http.StatusForbidden, res.status, path)
		require.Contains(t, res.body, "Only the user may do this", path)
	}
	require.Equal(t, http.StatusForbidden, staff.get("/enrol").status)
	for path, method := range map[string]string{"/api/password": "POST", "/api/email": "POST", "/api/reauthenticate": "POST",
		"/api/profile": "PATCH", "/api/sessions/others": "DELETE", "/api/sessions/x": "DELETE", "/api/enrol": "POST", "/api/mfa": "POST"} {
		require.Equal(t, http.StatusForbidden, staff.do(method, path, "application/json", strings.NewReader(`{}`)).status, path)
	}
	page := staff.get("/account").body
	require.NotContains(t, page, `name="old"`)
	require.NotContains(t, page, "End it")
	require.Equal(t, http.StatusOK, customer.get("/api/me").status, "the customer notices nothing")

	require.Equal(t, "/?done=stopped", staff.post("/impersonation/stop").header.Get("Location"))
	require.NotContains(t, staff.get("/").body, banner)
	session := regexp.MustCompile(`,"session":.*`)
	require.Equal(t, session.ReplaceAllString(own, ""), session.ReplaceAllString(staff.get("/api/me").body, ""), "oneself again")

	// A program stops as well, and the customer can end it.
	require.Equal(t, http.StatusSeeOther, staff.post("/customers/"+id+"/act-as", "reason", "again").status)
	require.Equal(t, http.StatusNoContent, status(staff.call("/api/impersonation/stop", nil)))
	require.NotContains(t, staff.get("/api/me").body, "acted_by")
	require.Equal(t, http.StatusSeeOther, staff.post("/customers/"+id+"/act-as", "reason", "once more").status)
	require.Equal(t, http.StatusSeeOther, customer.post("/account/sessions/revoke-others").status)
	require.Equal(t, http.StatusUnauthorized, staff.get("/api/me").status)
}

// TestCookies sends cookies that are cut, doubled or somebody else's kind: none opens anything.
func TestCookies(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	c := p.client()
	res := func(cookie string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/api/me", nil)
		require.NoError(t, err)
		req.Header.Set("Cookie", cookie)
		r, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		return r.StatusCode
	}
	a := p.account("noordzee", "customer")
	signedIn := c.post("/login", "email", a.Email, "password", a.Password)
	cookies := map[string]string{}
	for _, line := range signedIn.header.Values("Set-Cookie") {
		parsed, err := http.ParseSetCookie(line)
		require.NoError(t, err)
		cookies[parsed.Name] = parsed.Value
	}
	s := cookies["session"]
	require.NotEmpty(t, s)
	require.Equal(t, http.StatusOK, res("session="+s))
	for name, cookie := range map[string]string{
		"cut":             "session=" + s[:len(s)-1],
		"longer":          "session=" + s + "A",
		"empty":           "session=",
		"doubled":         "session=" + s + "; session=" + s,
		"with another":    "session=AAAA; session=" + s,
		"of another kind": "session=" + cookies["browser"],
		"other case":      "SESSION=" + s,
		"huge":            "session=" + strings.Repeat("A", 10_000),
	} {
		require.Equal(t, http.StatusUnauthorized, res(cookie), name)
	}

	// A pending login's cookie is no better.
	require.Equal(t, http.StatusSeeOther, p.as("noordzee", "administrator").post("/admin/security", "form", "security", "everyone", "on").status)
	half := p.client()
	require.Equal(t, "enrol", half.login(a))
	require.Equal(t, http.StatusUnauthorized, half.get("/api/me").status)
	require.Equal(t, http.StatusSeeOther, half.get("/password").status, "no password is asked for")
	require.Equal(t, "/login", half.post("/password", "new", newPassword, "again", newPassword).header.Get("Location"))
}

// TestSameAnswers compares what a page answers to an address that has an account and to one that has none.
func TestSameAnswers(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	known := p.account("noordzee", "customer").Email
	for path, fields := range map[string][]string{"/login": {"password", "not the password"}, "/forgot": nil} {
		answer := func(email string) response {
			res := same(p.browser().post(path, append([]string{"email", email}, fields...)...))
			res.body = strings.ReplaceAll(res.body, email, "ADDRESS")
			return res
		}
		require.Equal(t, answer(known), answer("stranger@noordzee.example"), path)
	}
}
