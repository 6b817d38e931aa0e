// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"testing"

	"github.com/portalsec/portalsec/ipfilter"
	"github.com/portalsec/portalsec/ipfilter/ipfiltertest"
	"github.com/stretchr/testify/require"
)

func TestNetworkRules(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		ipfiltertest.Run(t, func(t *testing.T) ipfilter.RuleStore {
			s, _ := b.open(t)
			return s.NetworkRules()
		})
	})
}

// TestNetworkRulesOfANewerVersion must not drop the rule that it does not know.
func TestNetworkRulesOfANewerVersion(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	_, err := db.Exec(`UPDATE ps_network_rules SET version = 3, rules = '{"deny_planets":["mars"]}'`)
	require.NoError(t, err)
	_, err = s.NetworkRules().LoadRules(t.Context())
	require.ErrorContains(t, err, "deny_planets")
}

// TestNetworkRulesWithoutRow must not take a lost row for rules that let everyone in.
func TestNetworkRulesWithoutRow(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	_, err := db.Exec(`DELETE FROM ps_network_rules`)
	require.NoError(t, err)
	_, err = s.NetworkRules().LoadRules(t.Context())
	require.Error(t, err)
	won, err := s.NetworkRules().SwapRules(t.Context(), 0, ipfilter.Rules{Version: 1})
	require.NoError(t, err)
	require.False(t, won)
}
