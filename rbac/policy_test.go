// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/rbac"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMistakes(t *testing.T) {
	t.Parallel()
	const dir = "testdata/mistakes"
	names, err := filepath.Glob(dir + "/*.yaml")
	require.NoError(t, err)
	require.Greater(t, len(names), 20)
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			_, err := rbac.ParsePolicy(catalog(t), os.DirFS(dir), filepath.Base(name))
			require.Error(t, err)
			var mistake *rbac.PolicyError
			require.ErrorAs(t, err, &mistake)
			golden := strings.TrimSuffix(name, ".yaml") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644))
			}
			want, err2 := os.ReadFile(golden)
			require.NoError(t, err2)
			require.Equal(t, string(want), err.Error()+"\n")
		})
	}
}

func TestParsePolicyFiles(t *testing.T) {
	t.Parallel()
	two := fstest.MapFS{
		"a.yaml":       {Data: []byte("roles: {agent: {inherits: [base], allow: [ticket.read]}}\n")},
		"b.yaml":       {Data: []byte("roles:\n  base: {description: all have it, allow: [ticket.open]}\n")},
		"c.yaml.off":   {Data: []byte("not read")},
		"again.policy": {Data: []byte("roles:\n  base: {}\n")},
	}
	p, err := rbac.ParsePolicy(catalog(t), two)
	require.NoError(t, err)
	require.Equal(t, []rbac.RoleInfo{{Name: "agent"}, {Name: "base", Description: "all have it"}}, p.Roles())

	_, err = rbac.ParsePolicy(catalog(t), two, "b.yaml", "again.policy")
	require.EqualError(t, err, `again.policy:2:3: role "base" stands twice, first in b.yaml:2`)
	_, err = rbac.ParsePolicy(catalog(t), two, "none.yaml")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = rbac.ParsePolicy(catalog(t), fstest.MapFS{
		"a.yaml": {Data: []byte("roles: {reader: {description: r, allow: [ticket.read]}}")},
		"b.yml":  {Data: []byte("roles: {reader: {description: again, allow: [ticket.read]}}")},
	})
	require.ErrorContains(t, err, "b.yml:1:", "no file is passed over for its ending")
	_, err = rbac.ParsePolicy(catalog(t), fstest.MapFS{})
	require.ErrorContains(t, err, "no file *.yaml")
	_, err = rbac.ParsePolicy(catalog(t), fstest.MapFS{"a.yaml": {Data: make([]byte, 2<<20)}})
	require.ErrorContains(t, err, "larger than")
}

// Without a catalog, names of permissions cannot be known, and everything else is still checked.
func TestParsePolicyWithoutCatalog(t *testing.T) {
	t.Parallel()
	_, err := rbac.ParsePolicy(nil, files("roles: {agent: {allow: [any.thing, more.*]}}\ntests: [{role: agent, permission: any.thing, want: deny}]\n"))
	require.NoError(t, err)
	for text, want := range map[string]string{
		"roles: {agent: {allow: [Any]}}":                                      "is not a permission",
		"roles: {agent: {allow: ['*']}}":                                      "wildcard",
		"roles: {agent: {inherits: [agent]}}":                                 "inherits itself",
		"roles: {agent: {}}\ntests: [{role: a, permission: b.c, want: deny}]": "there is no role",
	} {
		_, err := rbac.ParsePolicy(nil, files(text))
		require.ErrorContains(t, err, want)
	}
}

func TestOpenRecordsPolicy(t *testing.T) {
	t.Parallel()
	rec := &events{}
	cfg := rbac.Config{Policy: files(policy), Assignments: rbac.NewMemory(), Audit: rec}
	_, err := rbac.Open(t.Context(), catalog(t), cfg)
	require.NoError(t, err)
	got := rec.take()
	require.Len(t, got, 1)
	require.Equal(t, audit.RBACPolicyLoaded, got[0].Kind)
	require.Len(t, got[0].Rule, 64)

	rec.fail = errors.New("disk full")
	_, err = rbac.Open(t.Context(), catalog(t), cfg)
	require.ErrorIs(t, err, rec.fail)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := rbac.Config{Policy: files(policy), Assignments: rbac.NewMemory(), Audit: audit.Discard}
	for want, change := range map[string]func(*rbac.Config){
		"SignIn must be a path":   func(c *rbac.Config) { c.SignIn = "/lo\ngin" }, // portalsec.Deny would drop it
		"StepUp must be a path":   func(c *rbac.Config) { c.StepUp = `/a\b` },
		"Config.Policy":           func(c *rbac.Config) { c.Policy = nil },
		"Config.Assignments":      func(c *rbac.Config) { c.Assignments = nil },
		"exclude each other":      func(c *rbac.Config) { c.RolesOfPrincipal = true },
		"Config.SignIn":           func(c *rbac.Config) { c.SignIn = "//elsewhere.example" },
		"Config.StepUp":           func(c *rbac.Config) { c.StepUp = "confirm" },
		"no file *.yaml or *.yml": func(c *rbac.Config) { c.Policy = fstest.MapFS{} },
		"policy.yaml:1:1":         func(c *rbac.Config) { c.Policy = files("[]") },
	} {
		cfg := good
		change(&cfg)
		_, err := rbac.Open(t.Context(), catalog(t), cfg)
		require.ErrorContains(t, err, want)
	}
	_, err := rbac.Open(t.Context(), nil, good)
	require.ErrorContains(t, err, "catalog is required")
}

func TestNewCatalogRefuses(t *testing.T) {
	t.Parallel()
	for want, perms := range map[string][]*rbac.Perm{
		"want a name such as":                    {rbac.Permission("Ticket.read", "x")},
		`permission "ticket"`:                    {rbac.Permission("ticket", "x")},
		"has no description":                     {rbac.Permission("ticket.read", "")},
		"in the catalog twice":                   {rbac.Permission("a.b", "x"), rbac.Permission("a.b", "y")},
		"is nil":                                 {nil},
		"not the name of a column":               {rbac.Permission("a.b", "x", rbac.Columns{Tenant: "tenant; DROP"})},
		"Columns.Tenant or Columns.Scope is req": {rbac.Permission("a.b", "x", rbac.Columns{Owner: "owner"})},
	} {
		_, err := rbac.NewCatalog(perms...)
		require.ErrorContains(t, err, want)
	}
}
