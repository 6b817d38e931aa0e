// SPDX-License-Identifier: Apache-2.0

package portalsec_test

import (
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/stretchr/testify/require"
)

func TestZeroProfileIsL2(t *testing.T) {
	t.Parallel()
	var p portalsec.Profile
	require.Equal(t, portalsec.L2.Settings(), p.Settings())
	require.Equal(t, "L2", p.String())
	require.Equal(t, "L1", portalsec.L1.String())
	require.Equal(t, "L3", portalsec.L3.String())
}

func TestUnknownProfileIsStrictest(t *testing.T) {
	t.Parallel()
	require.Equal(t, portalsec.L3.Settings(), portalsec.Profile(9).Settings())
}

// A higher level never allows more than a lower one.
func TestProfilesAreOrdered(t *testing.T) {
	t.Parallel()
	levels := []portalsec.Profile{portalsec.L1, portalsec.L2, portalsec.L3}
	for i := 1; i < len(levels); i++ {
		low, high := levels[i-1].Settings(), levels[i].Settings()
		require.GreaterOrEqual(t, high.PasswordMinSingle, low.PasswordMinSingle)
		require.GreaterOrEqual(t, high.PasswordMinMulti, low.PasswordMinMulti)
		require.LessOrEqual(t, high.IdleTimeout, low.IdleTimeout)
		require.LessOrEqual(t, high.AbsoluteTimeout, low.AbsoluteTimeout)
		require.LessOrEqual(t, high.CodeLifetime, low.CodeLifetime)
		require.LessOrEqual(t, high.TrustedBrowser, low.TrustedBrowser)
		require.False(t, low.SecondFactor && !high.SecondFactor)
		require.False(t, high.MailCodeIsFactor && !low.MailCodeIsFactor)
	}
}

// The limits that the standards set whatever the level.
func TestProfilesKeepTheStandards(t *testing.T) {
	t.Parallel()
	for _, p := range []portalsec.Profile{portalsec.L1, portalsec.L2, portalsec.L3} {
		s := p.Settings()
		require.GreaterOrEqual(t, s.PasswordMinSingle, 15, "NIST SP 800-63B-4 section 3.1.1.2")
		require.GreaterOrEqual(t, s.PasswordMinMulti, 8, "NIST SP 800-63B-4 section 3.1.1.2")
		require.LessOrEqual(t, s.CodeLifetime, 10*time.Minute, "ASVS 6.5.5")
		require.LessOrEqual(t, s.AbsoluteTimeout, 30*24*time.Hour, "NIST SP 800-63B-4 section 2.1")
		require.Less(t, s.IdleTimeout, s.AbsoluteTimeout)
	}
	require.True(t, portalsec.L2.Settings().SecondFactor, "ASVS 6.3.3")
	require.False(t, portalsec.L3.Settings().MailCodeIsFactor, "ASVS 6.3.6")
}
