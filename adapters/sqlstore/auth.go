// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/portalsec/portalsec/auth"
)

// Accounts is an [auth.AccountStore].
type Accounts struct {
	db *DB
}

var _ auth.AccountStore = (*Accounts)(nil)

// Accounts gives the accounts of package auth.
func (db *DB) Accounts() *Accounts { return &Accounts{db} }

const accountColumns = `id, tenant, login_index, profile, password_hash, disabled, version, created_at, last_login_at`

// CreateAccount implements [auth.AccountStore].
func (s *Accounts) CreateAccount(ctx context.Context, a auth.AccountRecord) error {
	// The transaction holds the write lock from its start, so the look before the insert suffices, and no
	// driver's error has to be understood. The unique index stands behind it.
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM ps_account WHERE login_index = ?`, a.Login).Scan(&n); err != nil {
			return fmt.Errorf("sqlstore: create account: %w", err)
		}
		if n > 0 {
			return auth.ErrEmailTaken
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO ps_account (`+accountColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			a.ID, a.Tenant, a.Login, a.Profile, a.PasswordHash, a.Disabled, a.Version, toMicros(a.Created), toMicros(a.LastLogin)); err != nil {
			return fmt.Errorf("sqlstore: create account: %w", err)
		}
		return nil
	})
}

// AccountByLogin implements [auth.AccountStore].
func (s *Accounts) AccountByLogin(ctx context.Context, candidates [][]byte) (auth.AccountRecord, error) {
	if len(candidates) == 0 {
		return auth.AccountRecord{}, auth.ErrNoAccount
	}
	args := make([]any, len(candidates))
	for i, c := range candidates {
		args[i] = c
	}
	return s.one(ctx, `login_index IN (?`+strings.Repeat(`, ?`, len(args)-1)+`)`, args...)
}

// Account implements [auth.AccountStore].
func (s *Accounts) Account(ctx context.Context, id string) (auth.AccountRecord, error) {
	return s.one(ctx, `id = ?`, id)
}

func (s *Accounts) one(ctx context.Context, where string, args ...any) (auth.AccountRecord, error) {
	a, err := scanAccount(s.db.sql.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM ps_account WHERE `+where, args...))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return auth.AccountRecord{}, auth.ErrNoAccount
	case err != nil:
		return auth.AccountRecord{}, fmt.Errorf("sqlstore: read account: %w", err)
	}
	return a, nil
}

// ListAccounts implements [auth.AccountStore].
func (s *Accounts) ListAccounts(ctx context.Context, tenant, after string, limit int) ([]auth.AccountRecord, error) {
	rows, err := s.db.sql.QueryContext(ctx, `SELECT `+accountColumns+` FROM ps_account
		WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?`, tenant, after, limit)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: list accounts: %w", err)
	}
	defer rows.Close()
	var list []auth.AccountRecord
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, fmt.Errorf("sqlstore: list accounts: %w", err)
		}
		list = append(list, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqlstore: list accounts: %w", err)
	}
	return list, nil
}

// SetPasswordHash implements [auth.AccountStore].
func (s *Accounts) SetPasswordHash(ctx context.Context, id string, version int64, hash string) (bool, error) {
	return s.update(ctx, id, `password_hash = ?, version = version + 1 WHERE version = ? AND id = ?`, hash, version, id)
}

// UpgradePasswordHash implements [auth.AccountStore].
func (s *Accounts) UpgradePasswordHash(ctx context.Context, id, old, hash string) (bool, error) {
	return s.update(ctx, id, `password_hash = ? WHERE password_hash = ? AND id = ?`, hash, old, id)
}

// SetDisabled implements [auth.AccountStore].
func (s *Accounts) SetDisabled(ctx context.Context, id string, disabled bool) error {
	_, err := s.update(ctx, id, `disabled = ?, version = version + 1 WHERE id = ?`, disabled, id)
	return err
}

// MarkLogin implements [auth.AccountStore].
func (s *Accounts) MarkLogin(ctx context.Context, id string, at time.Time) error {
	_, err := s.update(ctx, id, `last_login_at = ? WHERE last_login_at < ? AND id = ?`, toMicros(at), toMicros(at), id)
	return err
}

// update changes an account, and tells whether it met the condition. An account that is not there is an error.
func (s *Accounts) update(ctx context.Context, id, set string, args ...any) (won bool, err error) {
	won, err = affectedOne(s.db.sql.ExecContext(ctx, `UPDATE ps_account SET `+set, args...))
	switch {
	case err != nil:
		return false, fmt.Errorf("sqlstore: update account: %w", err)
	case won:
		return true, nil
	}
	_, err = s.Account(ctx, id)
	return false, err
}

// DeleteAccount implements [auth.AccountStore].
func (s *Accounts) DeleteAccount(ctx context.Context, id string) error {
	ok, err := affectedOne(s.db.sql.ExecContext(ctx, `DELETE FROM ps_account WHERE id = ?`, id))
	switch {
	case err != nil:
		return fmt.Errorf("sqlstore: delete account: %w", err)
	case !ok:
		return auth.ErrNoAccount
	}
	return nil
}

func scanAccount(row interface{ Scan(...any) error }) (auth.AccountRecord, error) {
	var a auth.AccountRecord
	var created, login int64
	err := row.Scan(&a.ID, &a.Tenant, &a.Login, &a.Profile, &a.PasswordHash, &a.Disabled, &a.Version, &created, &login)
	a.Created, a.LastLogin = fromMicros(created), fromMicros(login)
	return a, err
}

// PendingLogins is an [auth.PendingStore].
type PendingLogins struct {
	db *DB
}

var _ auth.PendingStore = (*PendingLogins)(nil)

// PendingLogins gives the pending logins of package auth.
func (db *DB) PendingLogins() *PendingLogins { return &PendingLogins{db} }

// CreatePending implements [auth.PendingStore].
func (s *PendingLogins) CreatePending(ctx context.Context, p auth.PendingRecord) error {
	if _, err := s.db.sql.ExecContext(ctx, `INSERT INTO ps_pending_login (token_hash, account_id, version, next, proven_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?)`,
		p.Token[:], p.Account, p.Version, string(p.Next), toMicros(p.Proven), toMicros(p.Expires)); err != nil {
		return fmt.Errorf("sqlstore: create pending login: %w", err)
	}
	return nil
}

// Pending implements [auth.PendingStore].
func (s *PendingLogins) Pending(ctx context.Context, token auth.TokenHash) (auth.PendingRecord, error) {
	p := auth.PendingRecord{Token: token}
	var proven, expires int64
	err := s.db.sql.QueryRowContext(ctx, `SELECT account_id, version, next, proven_at, expires_at FROM ps_pending_login
		WHERE token_hash = ?`, token[:]).Scan(&p.Account, &p.Version, &p.Next, &proven, &expires)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return auth.PendingRecord{}, auth.ErrNoPending
	case err != nil:
		return auth.PendingRecord{}, fmt.Errorf("sqlstore: read pending login: %w", err)
	}
	p.Proven, p.Expires = fromMicros(proven), fromMicros(expires)
	return p, nil
}

// ConsumePending implements [auth.PendingStore].
func (s *PendingLogins) ConsumePending(ctx context.Context, token auth.TokenHash) (bool, error) {
	won, err := affectedOne(s.db.sql.ExecContext(ctx, `DELETE FROM ps_pending_login WHERE token_hash = ?`, token[:]))
	if err != nil {
		return false, fmt.Errorf("sqlstore: consume pending login: %w", err)
	}
	return won, nil
}

// PrunePending implements [auth.PendingStore].
func (s *PendingLogins) PrunePending(ctx context.Context, before time.Time) (int64, error) {
	n, err := affected(s.db.sql.ExecContext(ctx, `DELETE FROM ps_pending_login WHERE expires_at < ?`, toMicros(before)))
	if err != nil {
		return 0, fmt.Errorf("sqlstore: prune pending logins: %w", err)
	}
	return n, nil
}
