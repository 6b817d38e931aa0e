// SPDX-License-Identifier: Apache-2.0

package portalsec_test

import (
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/stretchr/testify/require"
)

func TestPrincipalInContext(t *testing.T) {
	t.Parallel()
	_, ok := portalsec.PrincipalFrom(t.Context())
	require.False(t, ok, "an empty context has none")

	want := portalsec.Principal{ID: "u1", Tenant: "acme", Roles: []string{"agent"}}
	ctx := portalsec.WithPrincipal(t.Context(), want)
	got, ok := portalsec.PrincipalFrom(ctx)
	require.True(t, ok)
	require.Equal(t, want, got)

	got.Tenant = "other"
	again, _ := portalsec.PrincipalFrom(ctx)
	require.Equal(t, "acme", again.Tenant, "a change of the copy does not reach the context")
}

func TestPrincipalWithoutIDIsNobody(t *testing.T) {
	t.Parallel()
	ctx := portalsec.WithPrincipal(t.Context(), portalsec.Principal{Tenant: "acme", Roles: []string{"administrator"}})
	_, ok := portalsec.PrincipalFrom(ctx)
	require.False(t, ok)

	ctx = portalsec.WithPrincipal(t.Context(), portalsec.Principal{ID: "u1"})
	ctx = portalsec.WithPrincipal(ctx, portalsec.Principal{})
	_, ok = portalsec.PrincipalFrom(ctx)
	require.False(t, ok, "nobody hides the principal further out")

	ctx = portalsec.WithPrincipal(ctx, portalsec.Principal{ID: "u2"})
	p, ok := portalsec.PrincipalFrom(ctx)
	require.True(t, ok)
	require.Equal(t, "u2", p.ID)
}

func TestHasRole(t *testing.T) {
	t.Parallel()
	p := portalsec.Principal{Roles: []string{"agent", "supervisor"}}
	require.True(t, p.HasRole("supervisor"))
	require.False(t, p.HasRole("Supervisor"), "names are compared exactly")
	require.False(t, p.HasRole(""))
}

func TestProven(t *testing.T) {
	t.Parallel()
	early := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	late := early.Add(time.Hour)
	p := portalsec.Principal{Factors: []portalsec.FactorProof{
		{Kind: portalsec.FactorTOTP, At: late}, {Kind: portalsec.FactorTOTP, At: early}, {Kind: portalsec.FactorPassword},
	}}
	at, ok := p.Proven(portalsec.FactorTOTP)
	require.True(t, ok)
	require.Equal(t, late, at, "the latest, in whatever order")
	at, ok = p.Proven(portalsec.FactorPassword)
	require.True(t, ok, "a proof without a time is one, of the year 1")
	require.True(t, at.IsZero())
	_, ok = p.Proven(portalsec.FactorPasskey)
	require.False(t, ok)
}

func TestTwoFactors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		kinds []string
		want  bool
	}{
		{"none", nil, false},
		{"password", []string{portalsec.FactorPassword}, false},
		{"the same twice", []string{portalsec.FactorPassword, portalsec.FactorPassword}, false},
		{"password and TOTP", []string{portalsec.FactorPassword, portalsec.FactorTOTP}, true},
		{"TOTP again later", []string{portalsec.FactorPassword, portalsec.FactorPassword, portalsec.FactorTOTP}, true},
		{"password and recovery code", []string{portalsec.FactorPassword, portalsec.FactorRecovery}, true},
		{"password and mailed code", []string{portalsec.FactorPassword, portalsec.FactorEmail}, false},
		{"mailed code first", []string{portalsec.FactorEmail, portalsec.FactorPassword}, false},
		{"mailed code between", []string{portalsec.FactorPassword, portalsec.FactorEmail, portalsec.FactorTOTP}, true},
		{"a proof of no kind", []string{portalsec.FactorPassword, ""}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var p portalsec.Principal
			for _, k := range tc.kinds {
				p.Factors = append(p.Factors, portalsec.FactorProof{Kind: k})
			}
			if got := p.TwoFactors(); got != tc.want {
				t.Errorf("TwoFactors() with %q = %v, want %v", tc.kinds, got, tc.want)
			}
		})
	}
}
