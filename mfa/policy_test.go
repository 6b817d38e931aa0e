// SPDX-License-Identifier: Apache-2.0

package mfa_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/mfa"
	"github.com/stretchr/testify/require"
)

func TestPolicyDefault(t *testing.T) {
	t.Parallel()
	for profile, want := range map[portalsec.Profile]bool{0: true, portalsec.L1: false, portalsec.L2: true, portalsec.L3: true} {
		b := newBench(t, func(c *mfa.Config) { c.Profile = profile })
		p, err := b.Policy(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, mfa.Policy{Everyone: want}, p)
		require.NoError(t, b.SetPolicy(t.Context(), "acme", mfa.Policy{Everyone: !want}))
		p, err = b.Policy(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, !want, p.Everyone)
	}
}

func TestSetPolicy(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *mfa.Config) { c.Profile = portalsec.L1 })
	set := func(p mfa.Policy) mfa.Policy {
		t.Helper()
		require.NoError(t, b.SetPolicy(t.Context(), "acme", p))
		got, err := b.Policy(t.Context(), "acme")
		require.NoError(t, err)
		return got
	}
	roles := []string{"b", "a", "b"}
	first := set(mfa.Policy{Roles: roles})
	require.Equal(t, mfa.Policy{Roles: []string{"a", "b"}, Since: b.now}, first)
	require.Equal(t, []string{"b", "a", "b"}, roles)
	e := b.last()
	require.Equal(t, audit.MFAPolicyChanged, e.Kind)
	require.Equal(t, []audit.Detail{{Name: "everyone", Value: "false"}, {Name: "roles", Value: "a,b"}}, e.Details)

	b.pass(time.Hour)
	require.Equal(t, first.Since, set(mfa.Policy{Roles: []string{"b"}}).Since, "asking less does not start anew")
	require.Equal(t, audit.Warning, b.last().Severity)
	require.Equal(t, b.now, set(mfa.Policy{Everyone: true}).Since)
	since := b.now
	b.pass(time.Hour)
	require.Equal(t, since, set(mfa.Policy{Everyone: true}).Since)
	require.Equal(t, since, set(mfa.Policy{Roles: []string{"a"}}).Since)
	require.Equal(t, b.now, set(mfa.Policy{Roles: []string{"a", "c"}}).Since)

	// Who has role a is freed, whoever else is asked instead.
	b.pass(time.Hour)
	require.Equal(t, b.now, set(mfa.Policy{Roles: []string{"d"}}).Since)
	require.Equal(t, audit.Warning, b.last().Severity)
	set(mfa.Policy{Roles: []string{"d", "e"}})
	require.Equal(t, audit.Notice, b.last().Severity, "nobody is freed")

	require.ErrorContains(t, b.SetPolicy(t.Context(), "acme", mfa.Policy{Roles: []string{""}}), "empty name")
	other, err := b.Policy(t.Context(), "other")
	require.NoError(t, err)
	require.Zero(t, other)
}

func TestRequired(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *mfa.Config) { c.Profile = portalsec.L1 })
	check := func(enrolled, must bool, roles ...string) {
		t.Helper()
		gotEnrolled, gotMust, err := b.Required(t.Context(), ann.Tenant, ann.ID, roles)
		require.NoError(t, err)
		require.Equal(t, []bool{enrolled, must}, []bool{gotEnrolled, gotMust})
	}
	check(false, false, "admin")
	require.NoError(t, b.SetPolicy(t.Context(), ann.Tenant, mfa.Policy{Roles: []string{"admin"}}))
	check(false, true, "agent", "admin")
	check(false, false, "agent")
	check(false, false)
	require.NoError(t, b.SetPolicy(t.Context(), ann.Tenant, mfa.Policy{Everyone: true}))
	check(false, true)
	e, _ := b.enrol(t)
	check(true, false, "admin")
	require.NoError(t, b.SetPolicy(t.Context(), ann.Tenant, mfa.Policy{}))
	check(true, false) // who has a factor is always asked for it
	require.NoError(t, b.Remove(t.Context(), ann.Tenant, ann.ID, e.ID))
	check(false, false)
}

func TestEnforce(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *mfa.Config) { c.Profile = portalsec.L1 })
	require.NoError(t, b.SetPolicy(t.Context(), "acme", mfa.Policy{Roles: []string{"admin"}}))
	since := b.now
	h := b.Enforce()(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	proofs := func(kinds ...string) (fs []portalsec.FactorProof) {
		for _, k := range kinds {
			fs = append(fs, portalsec.FactorProof{Kind: k, At: since})
		}
		return fs
	}
	admin := portalsec.Principal{ID: "ann", Tenant: "acme", Roles: []string{"admin"}, AuthTime: since, Factors: proofs("password")}
	with := func(change func(*portalsec.Principal)) portalsec.Principal {
		p := admin
		change(&p)
		return p
	}
	for _, c := range []struct {
		name string
		p    portalsec.Principal
		path string
		want int
	}{
		{"password only", admin, "/tickets", 403},
		{"two factors", with(func(p *portalsec.Principal) { p.Factors = proofs("password", "totp") }), "/tickets", 204},
		{"recovery code", with(func(p *portalsec.Principal) { p.Factors = proofs("password", "recovery") }), "/tickets", 204},
		{"mail code is none", with(func(p *portalsec.Principal) { p.Factors = proofs("password", "email") }), "/tickets", 403},
		{"password twice", with(func(p *portalsec.Principal) { p.Factors = proofs("password", "password") }), "/tickets", 403},
		{"no proof at all", with(func(p *portalsec.Principal) { p.Factors = nil }), "/tickets", 403},
		{"other role", with(func(p *portalsec.Principal) { p.Roles = []string{"agent"} }), "/tickets", 204},
		{"other tenant", with(func(p *portalsec.Principal) { p.Tenant = "other" }), "/tickets", 204},
		{"session from before the switch", with(func(p *portalsec.Principal) { p.AuthTime = since.Add(-time.Second) }), "/tickets", 204},
		{"sign-in at an unknown time", with(func(p *portalsec.Principal) { p.AuthTime = time.Time{} }), "/tickets", 403},
		{"nobody", portalsec.Principal{}, "/tickets", 204},
		{"enrolment", admin, "/mfa/enrol", 204},
		{"below enrolment", admin, "/mfa/enrol/qr.png", 204},
		{"beside enrolment", admin, "/mfa/enrolments", 403},
		{"exempt", admin, "/logout", 204},
		{"below exempt", admin, "/logout/", 204},
		{"exempt folder", admin, "/static/a.css", 204},
		{"beside exempt folder", admin, "/statics", 403},
		{"climbing out", admin, "/static/../tickets", 403},
		{"climbing out, encoded", admin, "/static/%2e%2e/tickets", 403},
		{"another element for a router", admin, "/logout%2Ftickets", 403},
		{"encoded otherwise", admin, "/l%6Fgout/a%20b", 204},
		{"doubled slash", admin, "//static/a.css", 403},
		{"exempt is case-sensitive", admin, "/LOGOUT", 403},
	} {
		r := httptest.NewRequest("GET", "http://portal.test"+c.path, nil)
		r = r.WithContext(portalsec.WithPrincipal(r.Context(), c.p))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, c.want, w.Code, c.name)
		if c.want == 204 {
			require.NoError(t, b.Check(r), c.name)
			continue
		}
		require.ErrorIs(t, b.Check(r), mfa.ErrRequired, c.name)
		require.Contains(t, w.Body.String(), `"code":"second-factor-required"`)
		require.Contains(t, w.Body.String(), `"next":"/mfa/enrol"`)
		require.Equal(t, audit.MFARequired, b.last().Kind)
		require.Equal(t, "second-factor-required", b.last().Reason)
	}
}

func TestEnforceStoreFails(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *mfa.Config) { c.Store = downStore{c.Store, []string{"Policy"}} })
	h := b.Enforce()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("let through") }))
	r := httptest.NewRequest("GET", "/tickets", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(as(r.Context(), portalsec.FactorPassword)))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, audit.Error, b.last().Outcome)
}
