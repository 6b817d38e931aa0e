// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// Memory is an [AssignmentStore] in memory, for tests and for programs of one process that assign roles at
// their start.
type Memory struct {
	mu          sync.Mutex
	version     uint64
	assignments map[subjectKey][]Assignment // sorted by scope and role
}

var _ AssignmentStore = (*Memory)(nil)

// subjectKey identifies a subject of a tenant.
type subjectKey struct{ tenant, subject string }

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{assignments: map[subjectKey][]Assignment{}} }

// Add implements [AssignmentStore].
func (m *Memory) Add(ctx context.Context, a Assignment, excluded []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := subjectKey{a.Tenant, a.Subject}
	held := m.assignments[key]
	if err := conflict(held, a, excluded); err != nil {
		return err
	}
	if at, found := search(held, a.Role, a.Scope); found {
		held[at] = a
	} else {
		m.assignments[key] = slices.Insert(held, at, a)
	}
	m.version++
	return nil
}

// Remove implements [AssignmentStore].
func (m *Memory) Remove(ctx context.Context, tenant, subject, role, scope string) (Assignment, error) {
	if err := ctx.Err(); err != nil {
		return Assignment{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := subjectKey{tenant, subject}
	held := m.assignments[key]
	at, found := search(held, role, scope)
	if !found {
		return Assignment{}, ErrNotAssigned
	}
	a := held[at]
	if held = slices.Delete(held, at, at+1); len(held) == 0 {
		delete(m.assignments, key)
	} else {
		m.assignments[key] = held
	}
	m.version++
	return a, nil
}

// List implements [AssignmentStore].
func (m *Memory) List(ctx context.Context, tenant, subject string) ([]Assignment, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.assignments[subjectKey{tenant, subject}]), nil
}

// Version implements [AssignmentStore].
func (m *Memory) Version(ctx context.Context) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.version, nil
}

func search(held []Assignment, role, scope string) (int, bool) {
	return slices.BinarySearchFunc(held, Assignment{Role: role, Scope: scope}, func(h, t Assignment) int {
		return cmp.Or(cmp.Compare(h.Scope, t.Scope), cmp.Compare(h.Role, t.Role))
	})
}
