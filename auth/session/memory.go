// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Memory is a [Store] in memory, for tests and for portals of one process that may forget all sessions when
// it ends. Acts on all sessions of a user or tenant look at every session there is.
type Memory struct {
	mu       sync.Mutex
	sessions map[Hash]*Record
	versions map[owner]int64
}

type owner struct{ tenant, user string }

var _ Store = (*Memory)(nil)

// NewMemory gives an empty store.
func NewMemory() *Memory {
	return &Memory{sessions: map[Hash]*Record{}, versions: map[owner]int64{}}
}

// CreateSession is that of [Store].
func (m *Memory) CreateSession(ctx context.Context, s Record, version int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version(s.Tenant, s.User) != version {
		return ErrNoSession
	}
	s = s.clone()
	m.sessions[s.Token] = &s
	return nil
}

// UserVersion is that of [Store].
func (m *Memory) UserVersion(ctx context.Context, tenant, user string) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.version(tenant, user), nil
}

// TouchSession is that of [Store].
func (m *Memory) TouchSession(ctx context.Context, token Hash, t Touch) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[token]
	if !ok || !s.Expires.After(t.Now) || !s.LastSeen.After(t.AliveAfter) {
		return Record{}, ErrNoSession
	}
	if s.LastSeen.Before(t.WriteBefore) && s.LastSeen.Before(t.Now) {
		s.LastSeen = t.Now
	}
	return s.clone(), nil
}

// RotateSession is that of [Store].
func (m *Memory) RotateSession(ctx context.Context, old Hash, next Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[old]
	if !ok {
		return ErrNoSession
	}
	delete(m.sessions, old)
	s.Token, s.Stamp, s.AuthTime, s.LastSeen = next.Token, next.Stamp, next.AuthTime, next.LastSeen
	s.Factors = slices.Clone(next.Factors)
	m.sessions[s.Token] = s
	return nil
}

// SetSessionData is that of [Store].
func (m *Memory) SetSessionData(ctx context.Context, token Hash, old, data []byte) (won bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[token]
	if !ok {
		return false, ErrNoSession
	}
	if won = bytes.Equal(s.Data, old); won {
		s.Data = bytes.Clone(data)
	}
	return won, nil
}

// DeleteSession is that of [Store].
func (m *Memory) DeleteSession(ctx context.Context, tenant, user, id string) (bool, error) {
	n, err := m.remove(ctx, func(s *Record) bool { return s.ID == id && s.Tenant == tenant && s.User == user })
	return n > 0, err
}

// BumpUser is that of [Store].
func (m *Memory) BumpUser(ctx context.Context, tenant, user, except string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.versions[owner{tenant, user}] = m.version(tenant, user) + 1
	return m.removeLocked(func(s *Record) bool {
		return s.Tenant == tenant && (s.User == user || s.Impersonator == user) && s.ID != except
	}), nil
}

// DeleteTenant is that of [Store].
func (m *Memory) DeleteTenant(ctx context.Context, tenant string) (int, error) {
	return m.remove(ctx, func(s *Record) bool { return s.Tenant == tenant })
}

// ListSessions is that of [Store].
func (m *Memory) ListSessions(ctx context.Context, tenant, user string) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Record
	for _, s := range m.sessions {
		if s.Tenant == tenant && s.User == user {
			list = append(list, s.clone())
		}
	}
	slices.SortFunc(list, func(a, b Record) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// PruneSessions is that of [Store].
func (m *Memory) PruneSessions(ctx context.Context, expired, idle time.Time) (int64, error) {
	n, err := m.remove(ctx, func(s *Record) bool { return s.Expires.Before(expired) || s.LastSeen.Before(idle) })
	return int64(n), err
}

func (m *Memory) remove(ctx context.Context, match func(*Record) bool) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.removeLocked(match), nil
}

func (m *Memory) removeLocked(match func(*Record) bool) int {
	n := 0
	for token, s := range m.sessions {
		if match(s) {
			delete(m.sessions, token)
			n++
		}
	}
	return n
}

func (m *Memory) version(tenant, user string) int64 { return max(1, m.versions[owner{tenant, user}]) }

func (r Record) clone() Record {
	r.Factors = slices.Clone(r.Factors)
	r.Client, r.Data = slices.Clone(r.Client), slices.Clone(r.Data)
	return r
}
