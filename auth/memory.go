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

// Memory is an [AccountStore] and a [OneTimeStore] in memory, for tests and demonstrations. Looking up a login
// and listing a tenant look at every account.
type Memory struct {
	mu       sync.Mutex
	accounts map[string]*AccountRecord
	history  map[string][]string // by account, newest first
	oneTime  map[TokenHash]OneTimeRecord
}

var (
	_ AccountStore = (*Memory)(nil)
	_ OneTimeStore = (*Memory)(nil)
)

// NewMemory gives an empty store.
func NewMemory() *Memory {
	return &Memory{
		accounts: map[string]*AccountRecord{}, history: map[string][]string{}, oneTime: map[TokenHash]OneTimeRecord{},
	}
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

// SetPassword is that of [AccountStore].
func (m *Memory) SetPassword(ctx context.Context, id string, version int64, p NewPassword) (won bool, err error) {
	err = m.update(ctx, id, func(a *AccountRecord) {
		if won = a.Version == version; !won {
			return
		}
		h := m.history[id]
		if a.PasswordHash != "" {
			h = slices.Insert(h, 0, a.PasswordHash)
		}
		m.history[id] = h[:min(p.Keep, len(h))]
		a.PasswordHash, a.PasswordSet = p.Hash, p.Set
		a.Version++
	})
	return won, err
}

// PasswordHistory is that of [AccountStore].
func (m *Memory) PasswordHistory(ctx context.Context, id string) (hashes []string, err error) {
	err = m.update(ctx, id, func(*AccountRecord) { hashes = slices.Clone(m.history[id]) })
	return hashes, err
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

// SetLogin is that of [AccountStore].
func (m *Memory) SetLogin(ctx context.Context, id string, version int64, login, profile []byte) (won bool, err error) {
	err = m.locked(ctx, func() error {
		a, ok := m.accounts[id]
		switch other := m.byLogin(login); {
		case !ok:
			return ErrNoAccount
		case a.Version != version:
			return nil
		case other != nil && other != a:
			return ErrEmailTaken
		}
		a.Login, a.Profile = bytes.Clone(login), bytes.Clone(profile)
		a.Version++
		won = true
		return nil
	})
	return won, err
}

// SetProfile is that of [AccountStore].
func (m *Memory) SetProfile(ctx context.Context, id string, old, profile []byte) (won bool, err error) {
	err = m.update(ctx, id, func(a *AccountRecord) {
		if won = bytes.Equal(a.Profile, old); won {
			a.Profile = bytes.Clone(profile)
		}
	})
	return won, err
}

// SetFrozen is that of [AccountStore].
func (m *Memory) SetFrozen(ctx context.Context, id string, until time.Time) error {
	return m.update(ctx, id, func(a *AccountRecord) { a.FrozenUntil = until })
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
	return m.update(ctx, id, func(*AccountRecord) {
		delete(m.accounts, id)
		delete(m.history, id)
	})
}

// CreateOneTime is that of [OneTimeStore].
func (m *Memory) CreateOneTime(ctx context.Context, r OneTimeRecord) error {
	return m.locked(ctx, func() error {
		r.Data = bytes.Clone(r.Data)
		m.oneTime[r.Token] = r
		return nil
	})
}

// OneTime is that of [OneTimeStore].
func (m *Memory) OneTime(ctx context.Context, p Purpose, token TokenHash) (r OneTimeRecord, err error) {
	err = m.locked(ctx, func() error {
		var ok bool
		if r, ok = m.oneTime[token]; !ok || r.Purpose != p {
			r = OneTimeRecord{}
			return ErrNoToken
		}
		r.Data = bytes.Clone(r.Data)
		return nil
	})
	return r, err
}

// ConsumeOneTime is that of [OneTimeStore].
func (m *Memory) ConsumeOneTime(ctx context.Context, p Purpose, token TokenHash) (won bool, err error) {
	err = m.locked(ctx, func() error {
		if r, ok := m.oneTime[token]; ok && r.Purpose == p {
			delete(m.oneTime, token)
			won = true
		}
		return nil
	})
	return won, err
}

// RevokeOneTime is that of [OneTimeStore].
func (m *Memory) RevokeOneTime(ctx context.Context, account string, purposes ...Purpose) (n int64, err error) {
	return m.removeOneTime(ctx, func(r OneTimeRecord) bool {
		return r.Account == account && slices.Contains(purposes, r.Purpose)
	})
}

// PruneOneTime is that of [OneTimeStore].
func (m *Memory) PruneOneTime(ctx context.Context, before time.Time) (n int64, err error) {
	return m.removeOneTime(ctx, func(r OneTimeRecord) bool { return r.Expires.Before(before) })
}

func (m *Memory) removeOneTime(ctx context.Context, which func(OneTimeRecord) bool) (n int64, err error) {
	err = m.locked(ctx, func() error {
		for token, r := range m.oneTime {
			if which(r) {
				delete(m.oneTime, token)
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
