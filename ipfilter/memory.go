// SPDX-License-Identifier: Apache-2.0

package ipfilter

import (
	"context"
	"sync"
)

// Memory is a [RuleStore] that forgets when the process ends.
type Memory struct {
	mu    sync.Mutex
	rules Rules
}

var _ RuleStore = (*Memory)(nil)

// NewMemory gives an empty Memory.
func NewMemory() *Memory { return &Memory{} }

// LoadRules implements [RuleStore].
func (m *Memory) LoadRules(ctx context.Context) (Rules, error) {
	if err := ctx.Err(); err != nil {
		return Rules{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rules.clone(), nil
}

// SwapRules implements [RuleStore].
func (m *Memory) SwapRules(ctx context.Context, old int64, rules Rules) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rules.Version != old {
		return false, nil
	}
	m.rules = rules.clone()
	return true, nil
}
