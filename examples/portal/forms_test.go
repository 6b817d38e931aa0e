// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"database/sql"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

// TestForms sends forms that browsers do not: what is missing or broken is told and changes nothing.
func TestForms(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	admin := p.as("noordzee", "administrator")
	customer := p.as("noordzee", "customer")
	agent := p.as("noordzee", "agent")
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/security", "form", "security", "everyone", "on").status)
	require.Equal(t, http.StatusUnprocessableEntity, admin.post("/admin/security").status)
	require.Contains(t, admin.get("/admin/security").body, `name="everyone" checked`)
	require.Equal(t, http.StatusUnprocessableEntity, customer.post("/account/contact").status)
	require.Contains(t, customer.get("/account").body, "Duinweg 14")
	for _, bad := range []string{"@", "a b@c d", "x@y\r\nBcc: z"} {
		require.Equal(t, http.StatusUnprocessableEntity, admin.post("/admin/users", "name", "N", "email", bad).status, bad)
	}
	lost := agent.post("/appointments", "topic", "KEEPTOPIC", "slot", "")
	require.Equal(t, http.StatusUnprocessableEntity, lost.status)
	require.Contains(t, lost.body, "Please choose a customer.")
	require.Contains(t, lost.body, "KEEPTOPIC")
	require.Equal(t, http.StatusUnprocessableEntity, agent.post("/tickets", "subject", "s", "body", "b").status, "staff name the customer")
	require.Equal(t, http.StatusUnprocessableEntity, customer.post("/tickets", "subject", "\u200b\u202e", "body", "b").status, "nothing to see")

	kind, form := ticketForm(t, "subject", "body", "f", "content")
	require.Equal(t, http.StatusBadRequest, customer.do(http.MethodPost, "/tickets", kind, bytes.NewReader(form.Bytes()[:form.Len()/2])).status, "cut short")
	html := p.as("vondel", "customer")
	html.header.Set("Accept", "text/html")
	require.Contains(t, html.do(http.MethodPost, "/tickets", kind, bytes.NewReader(form.Bytes()[:form.Len()/2])).body, "did not arrive whole")
	kind, form = ticketForm(t, "subject", "A long story", "f", strings.Repeat("x", 12<<20))
	require.Equal(t, http.StatusRequestEntityTooLarge, customer.do(http.MethodPost, "/tickets", kind, io.MultiReader(form)).status, "chunked")
	kind, form = ticketForm(t, "subject", "A long story", "f", strings.Repeat("x", 12<<20))
	announced := customer.do(http.MethodPost, "/tickets", kind, form)
	require.Equal(t, http.StatusRequestEntityTooLarge, announced.status, "by its announced length")
	require.NotEmpty(t, announced.header.Get("Content-Security-Policy"))
	kind, form = ticketForm(t, "subject", "A long story", "f", strings.Repeat("x", 10<<20+1))
	res := customer.do(http.MethodPost, "/tickets", kind, form)
	require.Equal(t, http.StatusRequestEntityTooLarge, res.status)
	require.Contains(t, res.body, "A long story", "what was typed is not lost")

	require.Equal(t, http.StatusRequestEntityTooLarge, p.client().post("/login", "email", strings.Repeat("x", 100_000)).status)

	path := customer.openTicket("names", "b", "..\\../\u202egnp.exe", "x")
	require.Contains(t, customer.get(path).body, ">gnp.exe<")
	require.Equal(t, http.StatusNotFound, customer.get("/static/").status)
}

// TestOutbox: the mail of a demonstration is for who sits at the machine.
func TestOutbox(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	require.Equal(t, http.StatusOK, p.client().get("/dev/outbox").status)
	proxied := p.client()
	proxied.header.Set("X-Forwarded-For", "203.0.113.9")
	require.Equal(t, http.StatusNotFound, proxied.get("/dev/outbox").status, "a proxy on this machine speaks for others")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/dev/outbox", nil)
	require.NoError(t, err)
	req.Host = "evil.example"
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusNotFound, res.StatusCode, "a page elsewhere that makes its name mean this machine")
}

// age makes all sessions of a portal older.
func (p *portal) age(d time.Duration) {
	p.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(p.data, "portal.db"))
	require.NoError(p.t, err)
	defer db.Close()
	_, err = db.Exec(`UPDATE ps_session SET auth_at = auth_at - ?`, d.Microseconds())
	require.NoError(p.t, err)
}

// TestStepUp asks for the password again before what is sensitive, and leads back to where that was.
func TestStepUp(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	officer := p.as("noordzee", "privacy-officer")
	admin := p.as("noordzee", "administrator")
	agent := p.as("noordzee", "agent")
	for _, c := range []*client{officer, admin, agent} {
		c.header.Set("Accept", "text/html")
	}
	p.age(20 * time.Minute)
	officer.header.Set("Referer", p.url+"/admin/retention/noordzee-closed-tickets/dry-run") // cannot be opened by its address
	res := officer.post("/admin/retention/noordzee-closed-tickets/approve", "plan", "x")
	require.Equal(t, http.StatusForbidden, res.status)
	require.Contains(t, res.body, `href="/confirm?next=%2Fadmin%2Fretention"`)
	admin.header.Set("Referer", p.url+"/admin/security")
	require.Contains(t, admin.post("/admin/security", "form", "security").body, `href="/confirm?next=%2Fadmin%2Fsecurity"`)
	require.Equal(t, "/confirm?next=%2Fenrol", agent.get("/enrol").header.Get("Location"))
	agent.header.Set("Referer", p.url+"/account")
	for _, path := range []string{"/account/sessions/revoke-others", "/account/sessions/x/revoke", "/account/factors/x/remove"} {
		require.Contains(t, agent.post(path).body, `href="/confirm?next=%2Faccount"`, path)
	}
	for _, path := range []string{"/api/sessions/others", "/api/sessions/x"} {
		res := agent.do(http.MethodDelete, path, "", nil)
		require.Equal(t, http.StatusForbidden, res.status, path)
		require.Contains(t, res.body, "reauthentication-required", path)
	}

	confirmed := agent.post("/confirm", "next", "/enrol", "password", p.account("noordzee", "agent").Password)
	require.Equal(t, "/enrol", confirmed.header.Get("Location"))
	require.Equal(t, http.StatusOK, agent.get("/enrol").status)

	program := p.client()
	require.Equal(t, "session", program.login(p.account("noordzee", "supervisor")))
	// Who must enrol and has an old session can still prove who they are.
	require.Equal(t, http.StatusSeeOther, admin.post("/confirm", "password", p.account("noordzee", "administrator").Password).status)
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/security", "form", "security", "everyone", "on").status)
	require.Equal(t, http.StatusSeeOther, agent.post("/confirm", "password", p.account("noordzee", "agent").Password).status)
	require.Equal(t, "/enrol", agent.get("/tickets").header.Get("Location"), "the new proof is after the switch")
	for path, want := range map[string]int{"/forgot": http.StatusOK, "/reset?token=x": http.StatusNotFound, "/not-me?token=x": http.StatusNotFound, "/welcome?token=x": http.StatusNotFound} {
		require.Equal(t, want, agent.get(path).status, "mailed links need no session")
	}
	require.Equal(t, http.StatusSeeOther, program.post("/confirm", "password", p.account("noordzee", "supervisor").Password).status)
	require.Equal(t, http.StatusForbidden, program.get("/api/tickets").status)
	require.Equal(t, http.StatusOK, status(program.call("/api/enrol", nil)), "a program can enrol as well")
	p.age(20 * time.Minute)
	db, err := sql.Open("sqlite", filepath.Join(p.data, "portal.db"))
	require.NoError(t, err)
	_, err = db.Exec(`UPDATE ps_mfa_policy SET since = since - ?`, time.Hour.Microseconds())
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.Equal(t, "/confirm?next=%2Fenrol", agent.get("/enrol").header.Get("Location"))
	require.Equal(t, http.StatusOK, agent.get("/confirm").status, "no circle")
}

// TestTwoEnrolments enrols one user in two browsers: they share no secret, and the one that is late is told.
func TestTwoEnrolments(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	require.Equal(t, http.StatusSeeOther, p.as("noordzee", "administrator").post("/admin/security", "form", "security", "everyone", "on").status)
	customer := p.account("noordzee", "customer")
	thief, user := p.client(), p.client()
	require.Equal(t, "enrol", thief.login(customer))
	require.Equal(t, "enrol", user.login(customer))
	_, known := thief.call("/api/enrol", nil)
	_, own := user.call("/api/enrol", nil)
	require.NotEqual(t, known["secret"], own["secret"])
	code, err := totp.GenerateCode(own["secret"].(string), time.Now())
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, status(thief.call("/api/mfa", map[string]string{"code": code})))
	require.Equal(t, http.StatusOK, status(user.call("/api/mfa", map[string]string{"code": code})))

	require.Equal(t, http.StatusConflict, status(thief.call("/api/enrol", nil)))
	require.Equal(t, http.StatusConflict, status(thief.call("/api/mfa", map[string]string{"code": code})))
	require.Equal(t, "/login?done=enrolled", thief.get("/enrol").header.Get("Location"))
	require.Equal(t, "/login?done=enrolled", thief.post("/enrol", "code", code).header.Get("Location"))
}
