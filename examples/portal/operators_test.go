// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/audit/ledger"
)

// user gives the path of a user's page for administrators.
func (c *client) user(name string) string {
	c.p.t.Helper()
	m := regexp.MustCompile(`href="(/admin/users/[\w-]+)"><strong>` + regexp.QuoteMeta(name) + `<`).FindStringSubmatch(c.get("/admin/users").body)
	require.NotNil(c.p.t, m, "no user %s", name)
	return m[1]
}

// firstAdministrator signs in to a portal that is no demonstration. Its profile asks everybody for two factors.
func (p *portal) firstAdministrator(email string) *client {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.data, "first-account.json"))
	require.NoError(p.t, err)
	var first []account
	require.NoError(p.t, json.Unmarshal(b, &first))
	require.Equal(p.t, email, first[0].Email)
	admin := p.client()
	require.Equal(p.t, "enrol", admin.login(first[0]))
	_, enrolment := admin.call("/api/enrol", nil)
	code, err := totp.GenerateCode(enrolment["secret"].(string), time.Now())
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, status(admin.call("/api/mfa", map[string]string{"code": code})))
	return admin
}

// TestUserPage ends sessions of somebody else, one and all, and of a whole organisation.
func TestUserPage(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	admin := p.as("noordzee", "administrator")
	path := admin.user("Joris Bakker")
	first, second := p.as("noordzee", "agent"), p.as("noordzee", "agent")

	sessions := regexp.MustCompile(`/sessions/([\w-]+)/end"`).FindAllStringSubmatch(admin.get(path).body, -1)
	require.Len(t, sessions, 2)
	require.Equal(t, http.StatusSeeOther, admin.post(path+"/sessions/"+sessions[0][1]+"/end").status) // the one used last
	require.Equal(t, http.StatusUnauthorized, second.get("/api/me").status, "at the very next request")
	require.Equal(t, http.StatusOK, first.get("/api/me").status)
	require.Equal(t, http.StatusSeeOther, admin.post(path+"/sessions/"+sessions[0][1]+"/end").status, "it is over already")

	other := admin.user("Mila Jansen")
	require.Equal(t, other+"?done=ended", admin.post(other+"/sessions/end").header.Get("Location"))
	require.Equal(t, path+"?done=unlocked", admin.post(path+"/unlock").header.Get("Location"))
	third := p.as("noordzee", "agent")
	require.Equal(t, http.StatusSeeOther, admin.post(path+"/sessions/end").status)
	require.Equal(t, http.StatusUnauthorized, first.get("/api/me").status)
	require.Equal(t, http.StatusUnauthorized, third.get("/api/me").status)

	foreigner := p.as("vondel", "administrator")
	require.Equal(t, http.StatusNotFound, foreigner.get(path).status, "another organisation's user looks like none")
	require.Equal(t, http.StatusNotFound, foreigner.post(path+"/sessions/end").status)
	own := admin.user("Daan Meijer")
	require.Equal(t, http.StatusUnprocessableEntity, admin.post(own+"/delete").status)
	require.Equal(t, http.StatusForbidden, p.as("noordzee", "agent").post(path+"/sessions/end").status)

	agent := p.as("noordzee", "agent")
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/sessions/end").status)
	for _, c := range []*client{agent, admin} {
		require.Equal(t, http.StatusUnauthorized, c.get("/api/me").status)
	}
	require.Equal(t, http.StatusOK, foreigner.get("/api/me").status, "other organisations go on")
}

// TestHelpUser makes somebody set a new password, lets in who was locked out, and deletes.
func TestHelpUser(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	admin := p.as("noordzee", "administrator")
	path := admin.user("Joris Bakker")
	agent := p.account("noordzee", "agent")
	session := p.as("noordzee", "agent")

	require.Equal(t, http.StatusSeeOther, admin.post(path+"/reset").status)
	require.Equal(t, http.StatusUnauthorized, session.get("/api/me").status)
	require.Equal(t, http.StatusUnauthorized, status(p.client().call("/api/login", map[string]string{"email": agent.Email, "password": agent.Password})))
	require.Contains(t, admin.get(path).body, "no password yet")
	page, token := p.link(p.letter(agent.Email, "password"))
	require.Equal(t, "/reset", page)
	require.Equal(t, http.StatusUnprocessableEntity, p.client().setPassword(page, token, agent.Password).status, "the one that was taken away is refused")
	require.Equal(t, http.StatusSeeOther, p.client().post(page, "token", token, "new", newPassword, "again", newPassword).status)
	agent.Password = newPassword
	require.Equal(t, "session", p.client().login(agent))

	// Too many wrong passwords from unknown browsers close the account to them.
	for range 6 {
		_, _ = p.client().call("/api/login", map[string]string{"email": agent.Email, "password": "wrong"})
	}
	require.Equal(t, http.StatusTooManyRequests, status(p.client().call("/api/login", map[string]string{"email": agent.Email, "password": newPassword})))
	require.Equal(t, http.StatusSeeOther, admin.post(path+"/unlock").status)
	require.Equal(t, "session", p.client().login(agent))

	require.Equal(t, http.StatusSeeOther, admin.post(path+"/delete").status)
	require.Equal(t, http.StatusNotFound, admin.get(path).status)
	require.Equal(t, http.StatusUnauthorized, status(p.client().call("/api/login", map[string]string{"email": agent.Email, "password": newPassword})))
	require.Contains(t, p.as("noordzee", "customer").get("/tickets").body, "Referral letter", "the customers' tickets stay")
}

// TestDeleteUser leaves nothing of the user's own behind: no second factor, no contact details, no session.
func TestDeleteUser(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	admin := p.as("noordzee", "administrator")
	path := admin.user("Joris Bakker")
	agent := p.as("noordzee", "agent")
	_, enrolment := agent.call("/api/enrol", nil)
	code, err := totp.GenerateCode(enrolment["secret"].(string), time.Now())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status(agent.call("/api/mfa", map[string]string{"code": code})))
	require.Equal(t, http.StatusSeeOther, agent.post("/account/contact", "phone", "+31 20 555 01 23", "address", "").status)
	id := strings.TrimPrefix(path, "/admin/users/")
	p.exec(`UPDATE ps_account SET frozen_until = ? WHERE id = ?`, time.Now().Add(time.Hour).UnixMicro(), id)

	require.Equal(t, http.StatusSeeOther, admin.post(path+"/delete").status)
	require.Equal(t, http.StatusUnauthorized, agent.get("/api/me").status)
	for _, of := range []string{"ps_account WHERE id", "ps_session WHERE user_id", "ps_mfa_factor WHERE user_id", "portal_contact WHERE account_id"} {
		require.Zero(t, query[int](p, `SELECT COUNT(*) FROM `+of+` = ?`, id), of)
	}
}

// TestActAs lets a supervisor see what a customer sees, and nobody gain by it.
func TestActAs(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	supervisor := p.as("noordzee", "supervisor")
	form := regexp.MustCompile(`action="(/customers/[\w-]+/act-as)"`)
	ticket := regexp.MustCompile(`href="(/tickets/[A-Z0-9]+)"`).FindStringSubmatch(supervisor.get("/tickets").body)[1]
	act := form.FindStringSubmatch(supervisor.get(ticket).body)
	require.NotNil(t, act)
	require.Nil(t, form.FindStringSubmatch(p.as("noordzee", "agent").get(ticket).body))
	require.Equal(t, http.StatusForbidden, p.as("noordzee", "agent").post(act[1], "reason", "curious").status)
	require.Equal(t, http.StatusNotFound, p.as("vondel", "supervisor").post(act[1], "reason", "curious").status)
	require.Equal(t, http.StatusUnprocessableEntity, supervisor.post(act[1], "reason", "").status)
	admin := strings.TrimPrefix(p.as("noordzee", "administrator").user("Daan Meijer"), "/admin/users/")
	require.Equal(t, http.StatusForbidden, supervisor.post("/customers/"+admin+"/act-as", "reason", "more rights").status)

	require.Equal(t, http.StatusSeeOther, supervisor.post(act[1], "reason", "cannot find the invoice").status)
	home := supervisor.get("/").body
	require.Contains(t, home, "You act as")
	require.Contains(t, home, "Sanne de Vries")
	require.Equal(t, http.StatusForbidden, supervisor.post("/account/password", "old", "x", "new", newPassword, "again", newPassword).status)
	require.Equal(t, http.StatusSeeOther, supervisor.post("/impersonation/stop").status)
	require.NotContains(t, supervisor.get("/").body, "You act as")
	require.Equal(t, http.StatusOK, supervisor.get("/tickets").status)

	log := p.as("noordzee", "security-officer").get("/admin/audit").body
	require.Contains(t, log, "auth.impersonation_started")
	require.Contains(t, log, "auth.impersonation_ended")
}

// TestReports: what a user disowns is on the security officer's page until somebody has closed it.
func TestReports(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	agent := p.account("noordzee", "agent")
	require.Equal(t, "session", p.client().login(agent))
	thief := p.client()
	require.Equal(t, "session", thief.login(agent), "from another browser")
	page, token := p.link(p.letter(agent.Email, "New sign-in"))
	require.Equal(t, http.StatusSeeOther, p.client().post(page, "token", token).status)
	require.Equal(t, http.StatusUnauthorized, thief.get("/api/me").status)

	officer := p.as("noordzee", "security-officer")
	report := officer.get("/admin/reports").body
	require.Contains(t, report, "Joris Bakker")
	require.Contains(t, report, `<span class="badge bad">open</span>`)
	id := regexp.MustCompile(`/admin/reports/(\w+)/close`).FindStringSubmatch(report)
	require.NotNil(t, id)
	require.Equal(t, http.StatusNotFound, p.as("vondel", "security-officer").post("/admin/reports/"+id[1]+"/close").status)
	require.Equal(t, http.StatusSeeOther, officer.post("/admin/reports/"+id[1]+"/close").status)
	require.Contains(t, officer.get("/admin/reports").body, "by Fenna Smit")
	require.Equal(t, http.StatusNotFound, officer.post("/admin/reports/"+id[1]+"/close").status)

	admin := p.as("noordzee", "administrator")
	path := admin.user("Joris Bakker")
	closed, err := ledger.Read(t.Context(), filepath.Join(p.data, "audit"), ledger.Query{Tenant: "noordzee", Kinds: []audit.Kind{"app.report_closed"}, Limit: 10})
	require.NoError(t, err)
	require.Len(t, closed, 1, "once, and not for the refused ones")
	require.Equal(t, []audit.Pseudonym{audit.Pseudonym(strings.TrimPrefix(path, "/admin/users/"))}, closed[0].Event.Subjects, "the user whom it is about")
	require.NotEqual(t, closed[0].Event.Subjects[0], closed[0].Event.Actor)
	require.Contains(t, admin.get(path).body, "second factors frozen until")
	require.Equal(t, http.StatusSeeOther, admin.post(path+"/unlock").status)
	require.NotContains(t, admin.get(path).body, "second factors frozen until")
}

// TestRegistrationSwitch lets an organisation take registrations, and take them no more.
func TestRegistrationSwitch(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	admin := p.as("vondel", "administrator")
	require.NotContains(t, p.client().get("/register").body, "Vondel Housing")
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/security", "form", "security", "open", "on").status)
	require.Contains(t, p.client().get("/register").body, "Vondel Housing")
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/security", "form", "security").status)
	require.NotContains(t, p.client().get("/register").body, "Vondel Housing")
	require.Equal(t, http.StatusForbidden, p.as("vondel", "agent").post("/admin/security", "form", "security", "open", "on").status)

	// The log tells which way, and of nothing else that was saved with the same form.
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/security", "form", "security").status)
	log, err := ledger.Read(t.Context(), filepath.Join(p.data, "audit"), ledger.Query{Tenant: "vondel", Kinds: []audit.Kind{"app.registration_switched"}, Limit: 10})
	require.NoError(t, err)
	require.Len(t, log, 2)
	for i, open := range []string{"false", "true"} { // newest first
		require.Equal(t, []audit.Detail{{Name: "open", Value: open}}, log[i].Event.Details)
		require.Empty(t, log[i].Event.Subjects, "it is about nobody")
	}
}

// TestMailServerDown: mail waits, and the administrator sees that it does; nobody's request waits for it.
func TestMailServerDown(t *testing.T) {
	t.Parallel()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, dead.Close()) // nobody listens there
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, data, "-smtp", "insecure-smtp://"+dead.Addr().String(), "-mail-from", "portal@example.org", "-demo=false")
	require.Equal(t, http.StatusSeeOther, p.client().post("/forgot", "email", "administrator@localhost").status)

	admin := p.firstAdministrator("administrator@localhost")
	require.Eventually(t, func() bool { // two letters: the one that was asked for, and that about the new factor
		return strings.Contains(admin.get("/admin/mail").body, `<span class="badge warn">2</span>`)
	}, 20*time.Second, 20*time.Millisecond, "the mail page does not tell that mails were tried in vain")
	require.Contains(t, admin.get("/admin/mail").body, "unreachable")
	require.Equal(t, 0, p.stop())
}

// TestLetterNotQueued: what was done is told as done. Who is told that it failed would do it twice.
func TestLetterNotQueued(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	path := p.as("noordzee", "customer").openTicket("Invoice", "Where is it?", "a.txt", "a")
	agent := p.as("noordzee", "agent")
	p.exec(`ALTER TABLE ps_outbox RENAME TO ps_outbox_away`)
	require.Equal(t, http.StatusSeeOther, agent.post(path+"/reply", "body", "It is on its way.").status)
	require.Equal(t, 1, strings.Count(agent.get(path).body, "It is on its way."))
	require.Contains(t, p.log(), "letter not queued")
}

// TestServerFlags refuses what is wrong with the flags about other servers, without repeating a password.
func TestServerFlags(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("x\n"), 0o600))
	for _, flags := range [][]string{
		{"-smtp", "mail.example:587"},
		{"-smtp", "smtp://portal:hunter2@mail.example", "-mail-from", "a@example.org"},
		{"-smtp", "smtp://mail.example"},
		{"-smtp", "insecure-smtp://mail.example", "-mail-from", "a@example.org"},
		{"-smtp", "smtp://portal@mail.example", "-mail-from", "a@example.org", "-smtp-password", "/nonexistent"},
		{"-smtp", "smtp://mail.example", "-mail-from", "a@example.org", "-smtp-password", secret},
		{"-smtp", "smtp://mail.example", "-mail-from", "a@example.org", "-smtp-ca", secret},
		{"-mail-from", "a@example.org"},
		{"-redis", "http://hunter2@127.0.0.1"},
	} {
		said := refused(t, 2, "-", append([]string{"-data", filepath.Join(t.TempDir(), "data")}, flags...)...)
		require.NotContains(t, said, "hunter2")
	}
}
