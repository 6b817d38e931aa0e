// SPDX-License-Identifier: Apache-2.0

package mfa_test

import (
	"context"
	"errors"
	"testing"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/mfa"
	"github.com/stretchr/testify/require"
)

// TestFrozen holds that nobody changes frozen factors, whatever they have proven, and that codes stay good.
func TestFrozen(t *testing.T) {
	t.Parallel()
	var frozen bool
	var failed error
	var asked []string
	b := newBench(t, func(c *mfa.Config) {
		c.Frozen = func(_ context.Context, tenant, user string) (bool, error) {
			asked = append(asked, tenant+"/"+user)
			return frozen, failed
		}
	})
	proven := as(t.Context(), portalsec.FactorPassword, portalsec.FactorTOTP)
	admin := portalsec.WithPrincipal(t.Context(), portalsec.Principal{ID: "root", Tenant: ann.Tenant})
	e, recovery := b.enrol(t)
	begun, err := b.BeginTOTP(proven, ann)
	require.NoError(t, err)

	refused := func(want error) {
		t.Helper()
		events := len(b.events)
		_, err := b.BeginTOTP(proven, ann)
		require.ErrorIs(t, err, want)
		_, err = b.PendingTOTP(proven, ann)
		require.ErrorIs(t, err, want)
		_, err = b.ConfirmTOTP(proven, ann, b.code(t, begun, 0))
		require.ErrorIs(t, err, want)
		require.ErrorIs(t, b.Remove(proven, ann.Tenant, ann.ID, e.ID), want)
		require.ErrorIs(t, b.Remove(admin, ann.Tenant, ann.ID, e.ID), want)
		require.Len(t, b.events, events, "nothing was done")
	}
	frozen = true
	refused(mfa.ErrFrozen)
	frozen, failed = false, errors.New("database is away")
	refused(failed)
	require.NotErrorIs(t, func() error { _, err := b.BeginTOTP(proven, ann); return err }(), mfa.ErrFrozen)

	frozen, failed = true, nil
	for _, code := range []string{b.code(t, e, 0), recovery[0]} {
		_, err = b.Verify(t.Context(), ann, code)
		require.NoError(t, err)
	}
	infos, err := b.Factors(t.Context(), ann.Tenant, ann.ID)
	require.NoError(t, err)
	require.Equal(t, e.ID, infos[0].ID)
	for _, who := range asked {
		require.Equal(t, "acme/ann", who)
	}

	frozen = false
	_, err = b.ConfirmTOTP(proven, ann, b.code(t, begun, 0))
	require.NoError(t, err)
	require.NoError(t, b.Remove(admin, ann.Tenant, ann.ID, begun.ID))
}
