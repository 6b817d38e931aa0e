// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPasswordFields: what holds a password is masked, named for password managers, and nothing is in the way of
// pasting (ASVS 6.2.6, 6.2.7).
func TestPasswordFields(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	c := p.as("noordzee", "customer")
	require.Equal(t, http.StatusSeeOther, p.client().post("/forgot", "email", "customer@noordzee.example").status)
	page, token := p.link(p.letter("customer@noordzee.example", "password"))
	input := regexp.MustCompile(`<input[^>]*name="(password|old|new|again)"[^>]*>`)
	for path, body := range map[string]string{
		"/login":   p.client().get("/login").body,
		"/confirm": c.get("/confirm").body,
		"/account": c.get("/account").body,
		page:       p.client().get(page + "?token=" + token).body,
	} {
		fields := input.FindAllStringSubmatch(body, -1)
		require.NotEmpty(t, fields, path)
		for _, f := range fields {
			require.Contains(t, f[0], `type="password"`, path)
			want := "current-password"
			if f[1] == "new" || f[1] == "again" {
				want = "new-password"
			}
			require.Contains(t, f[0], `autocomplete="`+want+`"`, path)
			require.NotContains(t, f[0], "maxlength", "a manager's password would be cut short")
		}
		require.NotContains(t, strings.ToLower(body), "onpaste", path)
		require.NotContains(t, body, "<script", path)
	}
}

// TestSignOutEverywhere: every page of who is signed in has the button (ASVS 7.4.4).
func TestSignOutEverywhere(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	for role, paths := range map[string][]string{
		"customer":         {"/", "/tickets", "/tickets/new", "/appointments", "/account", "/confirm"},
		"administrator":    {"/", "/admin/users", "/admin/security", "/admin/network", "/admin/mail", "/nothing-here"},
		"security-officer": {"/admin/audit", "/admin/reports"},
		"privacy-officer":  {"/admin/retention"},
	} {
		c := p.as("noordzee", role)
		c.header.Set("Accept", "text/html")
		for _, path := range paths {
			require.Contains(t, c.get(path).body, `action="/logout"`, path)
		}
		require.Equal(t, http.StatusSeeOther, c.post("/logout").status)
		require.NotContains(t, c.get("/login").body, `action="/logout"`)
	}
}
