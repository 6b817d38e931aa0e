// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type object = map[string]any

// send sends JSON and gives the status and the problem document's code, if there is one.
func (c *client) send(method, path string, in any) (int, string) {
	c.p.t.Helper()
	b, err := json.Marshal(in)
	require.NoError(c.p.t, err)
	res := c.do(method, path, "application/json", strings.NewReader(string(b)))
	if res.status < 400 {
		require.Empty(c.p.t, res.body)
		return res.status, ""
	}
	require.Equal(c.p.t, "application/problem+json", res.header.Get("Content-Type"), res.body)
	var problem struct{ Code string }
	require.NoError(c.p.t, json.Unmarshal([]byte(res.body), &problem))
	return res.status, problem.Code
}

func (c *client) sends(want int, code, method, path string, in any) {
	c.p.t.Helper()
	status, got := c.send(method, path, in)
	require.Equal(c.p.t, []any{want, code}, []any{status, got}, "%s %s", method, path)
}

// TestAPIAccount runs the flows of an account as a program does.
func TestAPIAccount(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	p.openFor("vondel")
	c := p.client()
	post := func(want int, code, path string, in object) {
		t.Helper()
		c.sends(want, code, http.MethodPost, path, in)
	}

	post(202, "", "/api/register", object{"tenant": "vondel", "email": "new@vondel.example", "name": "New", "lang": "en"})
	post(202, "", "/api/register", object{"tenant": "vondel", "email": p.account("vondel", "customer").Email, "name": "New"})
	post(422, "invalid", "/api/register", object{"tenant": "nowhere", "email": "new@vondel.example", "name": "New"})
	post(422, "invalid", "/api/register", object{"tenant": "vondel", "email": "new@vondel.example", "name": "New", "lang": "xx"})
	post(422, "email-not-valid", "/api/register", object{"tenant": "vondel", "email": "nobody", "name": "New"})
	_, token := p.link(p.letter("new@vondel.example", "Confirm"))
	post(404, "link-not-valid", "/api/register/confirm", object{"token": token + "A", "password": newPassword})
	post(422, "password-refused", "/api/register/confirm", object{"token": token, "password": "short"})
	post(204, "", "/api/register/confirm", object{"token": token, "password": newPassword})
	post(404, "link-not-valid", "/api/register/confirm", object{"token": token, "password": newPassword})
	me := account{Email: "new@vondel.example", Password: newPassword}
	require.Equal(t, "session", c.login(me))

	c.sends(204, "", http.MethodPatch, "/api/profile", object{"name": "Newer"})
	require.Contains(t, c.get("/api/me").body, `"name":"Newer","lang":"en"`)
	c.sends(204, "", http.MethodPatch, "/api/profile", object{"lang": "nl"})
	require.Contains(t, c.get("/api/me").body, `"name":"Newer","lang":"nl"`)
	c.sends(422, "name-not-valid", http.MethodPatch, "/api/profile", object{"name": "a\nb"})
	c.sends(422, "invalid", http.MethodPatch, "/api/profile", object{"lang": "xx"})

	post(401, "sign-in-refused", "/api/reauthenticate", object{"password": "wrong"})
	p.age(time.Hour)
	post(403, "reauthentication-required", "/api/enrol", nil)
	post(204, "", "/api/reauthenticate", object{"password": newPassword})
	require.Equal(t, http.StatusOK, status(c.call("/api/enrol", nil)))

	post(401, "sign-in-refused", "/api/password", object{"old": "wrong", "new": otherPassword})
	post(422, "password-refused", "/api/password", object{"old": newPassword, "new": "short"})
	post(204, "", "/api/password", object{"old": newPassword, "new": otherPassword})
	me.Password = otherPassword

	others := []*client{p.client(), p.client(), p.client()}
	for _, o := range others {
		require.Equal(t, "session", o.login(me))
	}
	var list []struct {
		ID      string
		Current bool
	}
	require.NoError(t, json.Unmarshal([]byte(others[0].get("/api/sessions").body), &list))
	require.Len(t, list, 4)
	var own string
	for _, s := range list {
		if s.Current {
			require.Empty(t, own)
			own = s.ID
		}
	}
	remove := func(c *client, path string) int {
		t.Helper()
		return c.do(http.MethodDelete, path, "", nil).status
	}
	require.Equal(t, http.StatusNotFound, remove(p.as("vondel", "agent"), "/api/sessions/"+own), "somebody else's")
	require.Equal(t, http.StatusNotFound, remove(c, "/api/sessions/x"))
	require.Equal(t, http.StatusNoContent, remove(c, "/api/sessions/"+own))
	require.Equal(t, http.StatusUnauthorized, others[0].get("/api/me").status)
	require.Equal(t, http.StatusOK, others[1].get("/api/me").status)
	require.Equal(t, http.StatusNoContent, remove(c, "/api/sessions/others"))
	require.Equal(t, http.StatusUnauthorized, others[1].get("/api/me").status)
	require.Equal(t, http.StatusOK, c.get("/api/me").status)

	post(401, "sign-in-refused", "/api/email", object{"password": "wrong", "email": "moved@vondel.example"})
	post(422, "email-not-valid", "/api/email", object{"password": otherPassword, "email": "nowhere"})
	post(202, "", "/api/email", object{"password": otherPassword, "email": "moved@vondel.example"})
	_, token = p.link(p.letter("moved@vondel.example", "nieuwe e-mailadres"))
	post(404, "link-not-valid", "/api/email/confirm", object{"token": ""})
	post(204, "", "/api/email/confirm", object{"token": token})
	former := me.Email
	me.Email = "moved@vondel.example"
	require.Equal(t, "session", c.login(me))

	path, token := p.link(p.letter(former, "Uw e-mailadres bij"))
	require.Equal(t, "/not-me", path)
	post(404, "link-not-valid", "/api/not-me", object{"token": token[1:]})
	post(204, "", "/api/not-me", object{"token": token})
	post(401, "sign-in-required", "/api/reauthenticate", object{"password": otherPassword})

	post(202, "", "/api/reset/request", object{"email": former})
	post(202, "", "/api/reset/request", object{"email": "nobody@vondel.example"})
	post(422, "email-not-valid", "/api/reset/request", object{"email": ""})
	_, token = p.link(p.letter(former, "Kies een nieuw wachtwoord"))
	post(422, "password-refused", "/api/reset", object{"token": token, "password": otherPassword})
	post(204, "", "/api/reset", object{"token": token, "password": "a third one, longer than the others"})
	post(404, "link-not-valid", "/api/reset", object{"token": token, "password": newPassword})
	require.Equal(t, "session", c.login(account{Email: former, Password: "a third one, longer than the others"}))
	post(403, "factors-frozen", "/api/enrol", nil)
	post(403, "factors-frozen", "/api/email", object{"password": "a third one, longer than the others", "email": "x@vondel.example"})

	admin := p.as("vondel", "administrator")
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/users", "name", "Ann", "email", "ann@vondel.example", "lang", "en").status)
	_, token = p.link(p.letter("ann@vondel.example", "Your account at"))
	post(422, "invalid", "/api/invitation/accept", object{"token": token, "password": newPassword, "lang": "xx"})
	post(204, "", "/api/invitation/accept", object{"token": token, "password": newPassword, "lang": "zh"})
	post(404, "link-not-valid", "/api/invitation/accept", object{"token": token, "password": newPassword})
	post(401, "sign-in-required", "/api/password/expired", object{"new": newPassword})
	post(401, "sign-in-required", "/api/impersonation/stop", nil)
}

// TestAPIBodies sends each flow of the API what it does not take.
func TestAPIBodies(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	c := p.as("noordzee", "customer")
	for path, method := range map[string]string{
		"/api/login": "POST", "/api/register": "POST", "/api/register/confirm": "POST", "/api/invitation/accept": "POST",
		"/api/reset/request": "POST", "/api/reset": "POST", "/api/email": "POST", "/api/email/confirm": "POST", "/api/not-me": "POST",
		"/api/password": "POST", "/api/password/expired": "POST", "/api/reauthenticate": "POST", "/api/profile": "PATCH",
	} {
		for name, want := range map[string]struct {
			kind, body string
			status     int
		}{
			"nothing":          {"application/json", "", 400},
			"no JSON":          {"application/json", "{", 400},
			"two values":       {"application/json", "{}{}", 400},
			"an unknown field": {"application/json", `{"tokn":"x"}`, 400},
			"another type":     {"application/json", `{"password":{},"email":1,"token":2,"new":3,"name":4}`, 400},
			"a form":           {"application/x-www-form-urlencoded", "token=x", 415},
			"a huge body":      {"application/json", `{"token":"` + strings.Repeat("x", 100_000) + `"}`, 413},
			"a huge mess":      {"application/json", strings.Repeat(" ", 100_000), 413},
		} {
			res := c.do(method, path, want.kind, strings.NewReader(want.body))
			require.Equal(t, want.status, res.status, "%s: %s: %s", path, name, res.body)
			require.Equal(t, "application/problem+json", res.header.Get("Content-Type"))
		}
	}
	require.Equal(t, http.StatusOK, c.get("/api/me").status)
	visitor := p.client()
	for _, path := range []string{"/api/email", "/api/password", "/api/reauthenticate", "/api/impersonation/stop"} {
		visitor.sends(401, "sign-in-required", http.MethodPost, path, object{})
	}
	visitor.sends(401, "sign-in-required", http.MethodPatch, "/api/profile", object{})
	visitor.sends(401, "sign-in-required", http.MethodGet, "/api/sessions", object{})
	visitor.sends(401, "sign-in-required", http.MethodDelete, "/api/sessions/others", object{})

	crossSite := p.as("noordzee", "customer")
	crossSite.header.Set("Sec-Fetch-Site", "cross-site")
	for path, method := range map[string]string{"/api/profile": "PATCH", "/api/sessions/others": "DELETE", "/api/not-me": "POST"} {
		require.Equal(t, http.StatusForbidden, crossSite.do(method, path, "application/json", strings.NewReader(`{}`)).status)
	}
}
