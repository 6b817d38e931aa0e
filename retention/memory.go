// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"sync"
	"time"
)

// Memory is a [Store] in memory, for tests and for targets without transactions. It cannot join the transaction
// of a [SQLTarget]: AdvanceRun refuses one. What it holds is lost when the process ends, approvals included.
type Memory struct {
	mu       sync.Mutex
	policies map[string]*memoryPolicy
}

type memoryPolicy struct {
	state State
	epoch int64
	open  *Run
}

var _ Store = (*Memory)(nil)

// NewMemory gives an empty store.
func NewMemory() *Memory { return &Memory{policies: map[string]*memoryPolicy{}} }

// State implements [Store].
func (m *Memory) State(_ context.Context, policy string) (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.policies[policy]
	if !ok {
		return State{}, nil
	}
	s := p.state
	s.Last.Cascaded = maps.Clone(s.Last.Cascaded)
	s.Unfinished = p.open != nil
	return s, nil
}

// Approve implements [Store].
func (m *Memory) Approve(_ context.Context, a Approval) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.policies[a.Policy]
	if !ok {
		p = &memoryPolicy{}
		m.policies[a.Policy] = p
	}
	a.At = a.At.UTC().Truncate(time.Microsecond)
	p.state.Approval, p.state.Seen, p.state.LeasedUntil = a, a.At, time.Time{}
	p.epoch++
	return nil
}

// BeginRun implements [Store].
func (m *Memory) BeginRun(_ context.Context, fresh Run, now, until time.Time) (Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.policies[fresh.Policy]
	if !ok || p.state.Approval.Hash != fresh.Hash {
		return Run{}, ErrNotApproved
	}
	if p.state.LeasedUntil.After(now) {
		return Run{}, ErrBusy
	}
	p.epoch++
	p.lease(now, until)
	if p.open == nil || p.open.Hash != fresh.Hash {
		fresh.Cascaded = maps.Clone(fresh.Cascaded)
		fresh.Cutoff = fresh.Cutoff.UTC().Truncate(time.Microsecond)
		fresh.Started = fresh.Started.UTC().Truncate(time.Microsecond)
		p.open = &fresh
	}
	r := *p.open
	r.Cascaded = maps.Clone(r.Cascaded)
	r.Epoch = p.epoch
	return r, nil
}

// AdvanceRun implements [Store].
func (m *Memory) AdvanceRun(_ context.Context, tx *sql.Tx, r Run, now, until time.Time) error {
	if tx != nil {
		return errors.New("retention: Memory cannot join a SQL transaction; use a store in the target's database")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.held(r)
	if err != nil {
		return err
	}
	p.lease(now, until)
	p.open.Cursor, p.open.Batches, p.open.Deleted = r.Cursor, r.Batches, r.Deleted
	p.open.Cascaded = maps.Clone(r.Cascaded)
	return nil
}

// EndRun implements [Store].
func (m *Memory) EndRun(_ context.Context, r Run, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.held(r)
	if err != nil {
		return err
	}
	p.lease(now, time.Time{})
	if !r.Finished.IsZero() {
		p.state.Last = p.open.Report
		p.state.Last.Finished = r.Finished.UTC().Truncate(time.Microsecond)
		p.state.Last.Remaining = r.Remaining
		p.open = nil
	}
	return nil
}

// held gives the policy of a run whose lease is still the run's.
func (m *Memory) held(r Run) (*memoryPolicy, error) {
	p, ok := m.policies[r.Policy]
	if !ok || p.epoch != r.Epoch || p.state.LeasedUntil.IsZero() || p.open == nil {
		return nil, ErrLeaseLost
	}
	return p, nil
}

func (p *memoryPolicy) lease(now, until time.Time) {
	p.state.Seen = now.UTC().Truncate(time.Microsecond)
	if !until.IsZero() {
		until = until.UTC().Truncate(time.Microsecond)
	}
	p.state.LeasedUntil = until
}
