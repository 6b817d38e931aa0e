// SPDX-License-Identifier: Apache-2.0

package ipfilter

import "context"

// RuleStore keeps the one rule set of a portal. Its methods may be called by several goroutines and
// processes. Package ipfilter/ipfiltertest tests an implementation; package adapters/sqlstore has one for SQL.
type RuleStore interface {
	// LoadRules gives the rules that were stored last. A store that never had any gives the zero Rules and no error.
	// The rules must be the caller's own: changing them must not change what is stored.
	LoadRules(ctx context.Context) (Rules, error)
	// SwapRules stores rules, with the version that they have, if the version of the stored ones is old, and tells
	// whether it did. The version of a store that never had rules is 0. Of several swaps of the same old version at the
	// same time exactly one must win. It must keep nothing that the caller can change. A cancelled context must be an
	// error and change nothing.
	SwapRules(ctx context.Context, old int64, rules Rules) (won bool, err error)
}
