// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"context"
	"sync"
	"time"
)

// Memory is a [Store] in memory, for tests and for portals of one process that may forget their counters
// when they stop. It grows with each new login name and address until it is pruned.
type Memory struct {
	mu   sync.Mutex
	rows map[Key]row
}

type row struct {
	kind    Kind
	account Key
	counter Counter
}

var _ Store = (*Memory)(nil)

// NewMemory gives an empty store.
func NewMemory() *Memory { return &Memory{rows: make(map[Key]row)} }

// TakeAttempt implements [Store].
func (m *Memory) TakeAttempt(ctx context.Context, lanes []Lane, now time.Time) (Decision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return Decision{}, err
	}
	have := make([]Counter, len(lanes))
	for i, l := range lanes {
		have[i] = m.rows[l.Key].counter
	}
	d, next := Decide(lanes, have, now)
	for i, c := range next {
		m.rows[lanes[i].Key] = row{lanes[i].Kind, lanes[i].Account, c}
	}
	return d, nil
}

// SettleAttempt implements [Store].
func (m *Memory) SettleAttempt(ctx context.Context, remove, giveBack []Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, k := range remove {
		delete(m.rows, k)
	}
	for _, k := range giveBack {
		if r, ok := m.rows[k]; ok && r.counter.Failures > 0 {
			r.counter.Failures--
			m.rows[k] = r
		}
	}
	return nil
}

// ResetAccount implements [Store].
func (m *Memory) ResetAccount(ctx context.Context, account Key) error {
	_, err := m.removeIf(ctx, func(r row) bool { return r.account == account })
	return err
}

// PruneAttempts implements [Store].
func (m *Memory) PruneAttempts(ctx context.Context, kind Kind, before time.Time, below int) (int64, error) {
	return m.removeIf(ctx, func(r row) bool {
		return r.kind == kind && r.counter.Last.Before(before) && r.counter.Failures < below
	})
}

func (m *Memory) removeIf(ctx context.Context, which func(row) bool) (n int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for k, r := range m.rows {
		if which(r) {
			delete(m.rows, k)
			n++
		}
	}
	return n, nil
}
