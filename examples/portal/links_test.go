// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mailedLinks has one link of each purpose sent, and gives the tokens by the path of their page. None is used.
func (p *portal) mailedLinks() map[string]string {
	p.t.Helper()
	customer, agent := p.account("noordzee", "customer"), p.account("noordzee", "agent")
	p.openFor("noordzee")
	p.as("noordzee", "agent")
	c := p.as("noordzee", "agent") // another browser: its owner is told
	require.Equal(p.t, http.StatusSeeOther, p.browser().post("/register", "tenant", "noordzee", "name", "N", "email", "n@noordzee.example", "lang", "en").status)
	require.Equal(p.t, http.StatusSeeOther, p.as("noordzee", "administrator").post("/admin/users", "name", "I", "email", "i@noordzee.example", "lang", "en").status)
	require.Equal(p.t, http.StatusSeeOther, p.browser().post("/forgot", "email", customer.Email).status)
	require.Equal(p.t, http.StatusSeeOther, c.post("/account/email", "password", agent.Password, "email", "moved@noordzee.example").status)
	tokens := map[string]string{}
	for to, subject := range map[string]string{"n@noordzee.example": "Confirm", "i@noordzee.example": "Your account",
		customer.Email: "Choose a new password", "moved@noordzee.example": "Confirm", agent.Email: "New sign-in"} {
		path, token := p.link(p.letter(to, subject))
		tokens[path] = token
	}
	require.Len(p.t, tokens, 5)
	return tokens
}

// settled waits until the outbox is empty and gives the rows of the database.
func (p *portal) settled() []string {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return query[int](p, `SELECT COUNT(*) FROM ps_outbox`) == 0 }, 20*time.Second, 20*time.Millisecond)
	return p.rows()
}

// TestLinksChangeNothing opens each mailed link ten times, as mail servers and previews do.
func TestLinksChangeNothing(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	links := p.mailedLinks()
	before := p.settled()
	for path, token := range links {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for range 10 {
				res := p.browser().do(method, path+"?token="+token, "", nil)
				require.Equal(t, http.StatusOK, res.status, path)
				require.Equal(t, "no-store", res.header.Get("Cache-Control"))
				require.Equal(t, "same-origin", res.header.Get("Referrer-Policy"), "the token goes to no other site")
			}
		}
	}
	require.Equal(t, before, p.rows())
}

// TestBadLinks opens links that are not good, with all reasons alike.
func TestBadLinks(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	links := p.mailedLinks()
	before := p.settled()
	for path, good := range links {
		foreign := links["/reset"]
		if path == "/reset" {
			foreign = links["/welcome"]
		}
		var answers []response
		for name, token := range map[string]string{
			"none": "", "cut": good[:len(good)-1], "longer": good + "A", "made up": strings.Repeat("A", len(good)),
			"of another page": foreign, "no token": "../../etc", "huge": strings.Repeat("x", 8000), "not UTF-8": "%ff%fe",
		} {
			res := p.browser().get(path + "?token=" + token)
			require.Equal(t, http.StatusNotFound, res.status, "%s %s", path, name)
			require.Contains(t, res.body, "This link is not valid")
			posted := p.browser().post(path, "token", token, "new", newPassword, "again", newPassword)
			answers = append(answers, same(res), same(posted))
		}
		answers = append(answers, same(p.browser().post(path)))
		for _, a := range answers {
			require.Equal(t, answers[0], a, path)
		}
		require.Equal(t, http.StatusOK, p.browser().get(path+"?token="+good).status, "the good one is still good")
	}
	require.Equal(t, before, p.rows())

	p.exec(`UPDATE ps_one_time SET expires_at = created_at`)
	for path, token := range links {
		require.Equal(t, http.StatusNotFound, p.browser().get(path+"?token="+token).status, "expired")
		require.Equal(t, http.StatusNotFound, p.browser().post(path, "token", token, "new", newPassword, "again", newPassword).status)
	}
}
