// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/portalsec/portalsec/ipfilter"
)

// NetworkRules is an [ipfilter.RuleStore].
type NetworkRules struct{ db *DB }

var _ ipfilter.RuleStore = (*NetworkRules)(nil)

// NetworkRules gives the store of the portal's address and country rules.
func (db *DB) NetworkRules() *NetworkRules { return &NetworkRules{db} }

// LoadRules implements [ipfilter.RuleStore]. Rules with members that this version does not know are an error: to
// leave out what it does not understand could let in whom they keep out.
func (s *NetworkRules) LoadRules(ctx context.Context) (ipfilter.Rules, error) {
	var version int64
	var text []byte
	err := s.db.read().row(ctx, `SELECT version, rules FROM ps_network_rules WHERE id = 1`).Scan(&version, &text)
	if err != nil {
		return ipfilter.Rules{}, fmt.Errorf("sqlstore: load network rules: %w", err)
	}
	var rules ipfilter.Rules
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&rules); err != nil {
		return ipfilter.Rules{}, fmt.Errorf("sqlstore: load network rules: %w", err)
	}
	rules.Version = version
	return rules, nil
}

// SwapRules implements [ipfilter.RuleStore].
func (s *NetworkRules) SwapRules(ctx context.Context, old int64, rules ipfilter.Rules) (bool, error) {
	text, err := json.Marshal(rules)
	if err != nil {
		return false, fmt.Errorf("sqlstore: store network rules: %w", err)
	}
	n, err := s.db.exec(ctx, `UPDATE ps_network_rules SET version = ?, rules = ? WHERE id = 1 AND version = ?`,
		rules.Version, string(text), old)
	if err != nil {
		return false, fmt.Errorf("sqlstore: store network rules: %w", err)
	}
	return n == 1, nil
}
