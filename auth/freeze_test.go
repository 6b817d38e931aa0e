// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"testing"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/stretchr/testify/require"
)

func TestFreeze(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	b.mustLogin()
	want := func(frozen bool) {
		t.Helper()
		got, err := f.FactorsFrozen(t.Context(), "acme", a.ID)
		require.NoError(t, err)
		require.Equal(t, frozen, got)
	}
	want(false)
	until := f.now.Add(time.Hour)
	require.NoError(t, f.Freeze(t.Context(), a.ID, until.In(time.FixedZone("", 3600))))
	want(true)
	b.wantSignedIn()
	f.browser().mustLogin()
	e := f.last(audit.AuthFrozen)
	require.Equal(t, a.ID, e.Target.ID)
	require.Equal(t, []audit.Detail{{Name: "until", Value: until.Format(time.RFC3339)}}, e.Details)
	got, err := f.Account(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, until.Truncate(time.Microsecond), got.FrozenUntil)

	f.wait(time.Hour - time.Microsecond)
	want(true)
	f.wait(time.Microsecond)
	want(false)
	require.NoError(t, f.Freeze(t.Context(), a.ID, f.now.Add(time.Hour)))
	require.NoError(t, f.Unfreeze(t.Context(), a.ID))
	want(false)
	require.Equal(t, a.ID, f.last(audit.AuthUnfrozen).Target.ID)
}

func TestFreezeRefuses(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	require.ErrorContains(t, f.Freeze(t.Context(), a.ID, f.now), "must lie ahead")
	require.Equal(t, auth.ErrNoAccount, f.Freeze(t.Context(), "unknown", f.now.Add(time.Hour)))
	require.Equal(t, auth.ErrNoAccount, f.Unfreeze(t.Context(), "unknown"))
	for _, who := range [][2]string{{"zeta", a.ID}, {"", a.ID}, {"acme", "unknown"}} {
		_, err := f.FactorsFrozen(t.Context(), who[0], who[1])
		require.Equal(t, auth.ErrNoAccount, err)
	}
	require.NoError(t, f.Freeze(t.Context(), a.ID, f.now.Add(time.Hour)))
	f.full = true
	require.ErrorIs(t, f.Unfreeze(t.Context(), a.ID), errBroken)
	frozen, err := f.FactorsFrozen(t.Context(), "acme", a.ID)
	require.NoError(t, err)
	require.True(t, frozen, "nothing is done that the log does not know of")
	f.broken = true
	_, err = f.FactorsFrozen(t.Context(), "acme", a.ID)
	require.ErrorIs(t, err, errBroken)
}
