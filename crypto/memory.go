// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

// Memory is a [KeyStore] that forgets everything when the process ends, and with it every value that was
// sealed. It is for tests.
type Memory struct {
	mu     sync.Mutex
	active map[Scope]KeyID
	keys   map[KeyID]KeyRecord
	gone   map[KeyID]bool
}

var _ KeyStore = (*Memory)(nil)

// NewMemory gives an empty store.
func NewMemory() *Memory {
	return &Memory{active: map[Scope]KeyID{}, keys: map[KeyID]KeyRecord{}, gone: map[KeyID]bool{}}
}

// ActiveKey implements [KeyStore].
func (m *Memory) ActiveKey(ctx context.Context, s Scope) (KeyRecord, error) {
	if err := ctx.Err(); err != nil {
		return KeyRecord{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id, ok := m.active[s]
	if !ok {
		return KeyRecord{}, ErrNotFound
	}
	return m.key(id)
}

// Key implements [KeyStore].
func (m *Memory) Key(ctx context.Context, id KeyID) (KeyRecord, error) {
	if err := ctx.Err(); err != nil {
		return KeyRecord{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.key(id)
}

func (m *Memory) key(id KeyID) (KeyRecord, error) {
	if m.gone[id] {
		return KeyRecord{}, ErrShredded
	}
	rec, ok := m.keys[id]
	if !ok {
		return KeyRecord{}, ErrNotFound
	}
	rec.Wrapped = bytes.Clone(rec.Wrapped)
	return rec, nil
}

// EnsureKey implements [KeyStore].
func (m *Memory) EnsureKey(ctx context.Context, candidate KeyRecord) (KeyRecord, error) {
	if err := ctx.Err(); err != nil {
		return KeyRecord{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if id, ok := m.active[candidate.Scope]; ok {
		return m.key(id)
	}
	if _, taken := m.keys[candidate.ID]; taken || m.gone[candidate.ID] {
		return KeyRecord{}, fmt.Errorf("crypto: key ID %s is taken", candidate.ID)
	}
	candidate.Wrapped = bytes.Clone(candidate.Wrapped)
	m.keys[candidate.ID] = candidate
	m.active[candidate.Scope] = candidate.ID
	return m.key(candidate.ID)
}

// ShredSubject implements [KeyStore].
func (m *Memory) ShredSubject(ctx context.Context, tenant, subject string, tombstone KeyID, _ time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Scope{Kind: KindSubject, Tenant: tenant, Subject: subject}
	for id, rec := range m.keys {
		if rec.Scope == s {
			delete(m.keys, id)
			m.gone[id] = true
		}
	}
	if _, ok := m.active[s]; !ok {
		m.active[s] = tombstone
		m.gone[tombstone] = true
	}
	return nil
}
