// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is an [AccountStore] and a [PendingStore] in memory, for tests and demonstrations. Looking up a login
// and listing a tenant look at every account.
type Memory struct {
	mu       sync.Mutex
	accounts map[string]*AccountRecord
	pending  map[TokenHash]PendingRecord
}

var (
	_ AccountStore = (*Memory)(nil)
	_ PendingStore = (*Memory)(nil)
)

// NewMemory gives an empty store.
func NewMemory() *Memory {
	return &Memory{accounts: map[string]*AccountRecord{}, pending: map[TokenHash]PendingRecord{}}
}

// CreateAccount is that of [AccountStore].
func (m *Memory) CreateAccount(ctx context.Context, a AccountRecord) error {
	return m.locked(ctx, func() error {
		if m.byLogin(a.Login) != nil {
			return ErrEmailTaken
		}
		a = a.clone()
		m.accounts[a.ID] = &a
		return nil
	})
}

// AccountByLogin is that of [AccountStore].
func (m *Memory) AccountByLogin(ctx context.Context, candidates [][]byte) (a AccountRecord, err error) {
	err = m.locked(ctx, func() error {
		found := m.byLogin(candidates...)
		if found == nil {
			return ErrNoAccount
		}
		a = found.clone()
		return nil
	})
	return a, err
}

func (m *Memory) byLogin(candidates ...[]byte) *AccountRecord {
	for _, a := range m.accounts {
		if slices.ContainsFunc(candidates, func(c []byte) bool { return bytes.Equal(c, a.Login) }) {
			return a
		}
	}
	return nil
}

// Account is that of [AccountStore].
func (m *Memory) Account(ctx context.Context, id string) (a AccountRecord, err error) {
	err = m.update(ctx, id, func(found *AccountRecord) { a = found.clone() })
	return a, err
}

// ListAccounts is that of [AccountStore].
func (m *Memory) ListAccounts(ctx context.Context, tenant, after string, limit int) (list []AccountRecord, err error) {
	err = m.locked(ctx, func() error {
		for _, a := range m.accounts {
			if a.Tenant == tenant && a.ID > after {
				list = append(list, a.clone())
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b AccountRecord) int { return strings.Compare(a.ID, b.ID) })
	return list[:min(limit, len(list))], err
}

// SetPasswordHash is that of [AccountStore].
func (m *Memory) SetPasswordHash(ctx context.Context, id string, version int64, hash string) (won bool, err error) {
	err = m.update(ctx, id, func(a *AccountRecord) {
		if won = a.Version == version; won {
			a.PasswordHash = hash
			a.Version++
		}
	})
	return won, err
}

// UpgradePasswordHash is that of [AccountStore].
func (m *Memory) UpgradePasswordHash(ctx context.Context, id, old, hash string) (won bool, err error) {
	err = m.update(ctx, id, func(a *AccountRecord) {
		if won = a.PasswordHash == old; won {
			a.PasswordHash = hash
		}
	})
	return won, err
}

// SetDisabled is that of [AccountStore].
func (m *Memory) SetDisabled(ctx context.Context, id string, disabled bool) error {
	return m.update(ctx, id, func(a *AccountRecord) {
		a.Disabled = disabled
		a.Version++
	})
}

// MarkLogin is that of [AccountStore].
func (m *Memory) MarkLogin(ctx context.Context, id string, at time.Time) error {
	return m.update(ctx, id, func(a *AccountRecord) {
		if at.After(a.LastLogin) {
			a.LastLogin = at
		}
	})
}

// DeleteAccount is that of [AccountStore].
func (m *Memory) DeleteAccount(ctx context.Context, id string) error {
	return m.update(ctx, id, func(*AccountRecord) { delete(m.accounts, id) })
}

// CreatePending is that of [PendingStore].
func (m *Memory) CreatePending(ctx context.Context, p PendingRecord) error {
	return m.locked(ctx, func() error {
		m.pending[p.Token] = p
		return nil
	})
}

// Pending is that of [PendingStore].
func (m *Memory) Pending(ctx context.Context, token TokenHash) (p PendingRecord, err error) {
	err = m.locked(ctx, func() error {
		var ok bool
		if p, ok = m.pending[token]; !ok {
			return ErrNoPending
		}
		return nil
	})
	return p, err
}

// ConsumePending is that of [PendingStore].
func (m *Memory) ConsumePending(ctx context.Context, token TokenHash) (won bool, err error) {
	err = m.locked(ctx, func() error {
		_, won = m.pending[token]
		delete(m.pending, token)
		return nil
	})
	return won, err
}

// PrunePending is that of [PendingStore].
func (m *Memory) PrunePending(ctx context.Context, before time.Time) (n int64, err error) {
	err = m.locked(ctx, func() error {
		for token, p := range m.pending {
			if p.Expires.Before(before) {
				delete(m.pending, token)
				n++
			}
		}
		return nil
	})
	return n, err
}

func (m *Memory) locked(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return f()
}

func (m *Memory) update(ctx context.Context, id string, f func(*AccountRecord)) error {
	return m.locked(ctx, func() error {
		a, ok := m.accounts[id]
		if !ok {
			return ErrNoAccount
		}
		f(a)
		return nil
	})
}

func (a AccountRecord) clone() AccountRecord {
	a.Login, a.Profile = bytes.Clone(a.Login), bytes.Clone(a.Profile)
	return a
}
