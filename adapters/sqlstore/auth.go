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

const accountColumns = `id, tenant, login_index, profile, password_hash, password_set_at, disabled, frozen_until, version, created_at, last_login_at`

// CreateAccount implements [auth.AccountStore].
func (s *Accounts) CreateAccount(ctx context.Context, a auth.AccountRecord) error {
	// The look before spares the server's log most errors; the unique index decides.
	if taken, err := s.taken(ctx, a.Login, ""); err != nil {
		return fmt.Errorf("sqlstore: create account: %w", err)
	} else if taken {
		return auth.ErrEmailTaken
	}
	if _, err := s.db.exec(ctx, `INSERT INTO ps_account (`+accountColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		a.ID, a.Tenant, notNull(a.Login), notNull(a.Profile), a.PasswordHash, toMicros(a.PasswordSet), a.Disabled, toMicros(a.FrozenUntil),
		a.Version, toMicros(a.Created), toMicros(a.LastLogin)); err != nil {
		return s.orTaken(ctx, a.Login, a.ID, fmt.Errorf("sqlstore: create account: %w", err))
	}
	return nil
}

// taken tells whether an account other than one has a login.
func (s *Accounts) taken(ctx context.Context, login []byte, except string) (bool, error) {
	var n int
	err := s.db.read().row(ctx, `SELECT COUNT(*) FROM ps_account WHERE login_index = ? AND id <> ?`, login, except).Scan(&n)
	return n > 0, err
}

// orTaken tells why a statement failed that gave an account a login. To look again is the same with all drivers, unlike
// their errors.
func (s *Accounts) orTaken(ctx context.Context, login []byte, id string, err error) error {
	if taken, lookErr := s.taken(ctx, login, id); lookErr == nil && taken {
		return auth.ErrEmailTaken
	}
	return err
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
	a, err := scanAccount(s.db.read().row(ctx, `SELECT `+accountColumns+` FROM ps_account WHERE `+where, args...))
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
	rows, err := s.db.read().query(ctx, `SELECT `+accountColumns+` FROM ps_account
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

// SetPassword implements [auth.AccountStore]. Whoever holds the account's row writes its history.
func (s *Accounts) SetPassword(ctx context.Context, id string, version int64, p auth.NewPassword) (bool, error) {
	err := s.db.tx(ctx, func(tx conn) error {
		var hash string
		var set, present int64
		err := tx.row(ctx, `SELECT password_hash, password_set_at, version FROM ps_account WHERE id = ?`+tx.forUpdate(), id).
			Scan(&hash, &set, &present)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return auth.ErrNoAccount
		case err != nil:
			return fmt.Errorf("sqlstore: set password: %w", err)
		case present != version:
			return errLost
		}
		if err := remember(ctx, tx, id, version, hash, set, p.Keep); err != nil {
			return fmt.Errorf("sqlstore: password history: %w", err)
		}
		if _, err := tx.exec(ctx, `UPDATE ps_account SET password_hash = ?, password_set_at = ?, version = version + 1 WHERE id = ?`,
			p.Hash, toMicros(p.Set), id); err != nil {
			return fmt.Errorf("sqlstore: set password: %w", err)
		}
		return nil
	})
	if errors.Is(err, errLost) {
		return false, nil
	}
	return err == nil, err
}

// remember adds a replaced hash to an account's history and forgets all but the newest keep.
func remember(ctx context.Context, tx conn, id string, version int64, hash string, set int64, keep int) error {
	if hash != "" {
		if _, err := tx.exec(ctx, `INSERT INTO ps_password_history (account_id, version, password_hash, set_at) VALUES (?, ?, ?, ?)`,
			id, version, hash, set); err != nil {
			return err
		}
	}
	var newest int64 // of those to forget
	err := tx.row(ctx, `SELECT version FROM ps_password_history WHERE account_id = ? ORDER BY version DESC LIMIT 1 OFFSET ?`, id, keep).
		Scan(&newest)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		_, err = tx.exec(ctx, `DELETE FROM ps_password_history WHERE account_id = ? AND version <= ?`, id, newest)
	}
	return err
}

// PasswordHistory implements [auth.AccountStore].
func (s *Accounts) PasswordHistory(ctx context.Context, id string) ([]string, error) {
	rows, err := s.db.read().query(ctx, `SELECT h.password_hash FROM ps_account a
		LEFT JOIN ps_password_history h ON h.account_id = a.id WHERE a.id = ? ORDER BY h.version DESC`, id)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: password history: %w", err)
	}
	defer rows.Close()
	found := false
	var hashes []string
	for rows.Next() {
		found = true
		var hash sql.NullString
		if err := rows.Scan(&hash); err != nil {
			return nil, fmt.Errorf("sqlstore: password history: %w", err)
		}
		if hash.Valid {
			hashes = append(hashes, hash.String)
		}
	}
	switch err := rows.Err(); {
	case err != nil:
		return nil, fmt.Errorf("sqlstore: password history: %w", err)
	case !found:
		return nil, auth.ErrNoAccount
	}
	return hashes, nil
}

// UpgradePasswordHash implements [auth.AccountStore].
func (s *Accounts) UpgradePasswordHash(ctx context.Context, id, old, hash string) (bool, error) {
	return s.updateIf(ctx, id, `password_hash = ? WHERE password_hash = ? AND id = ?`, hash, old, id)
}

// SetLogin implements [auth.AccountStore].
func (s *Accounts) SetLogin(ctx context.Context, id string, version int64, login, profile []byte) (bool, error) {
	won, err := s.updateIf(ctx, id, `login_index = ?, profile = ?, version = version + 1 WHERE version = ? AND id = ?`,
		notNull(login), notNull(profile), version, id)
	if err != nil && !errors.Is(err, auth.ErrNoAccount) {
		err = s.orTaken(ctx, login, id, err)
	}
	return won, err
}

// SetProfile implements [auth.AccountStore].
func (s *Accounts) SetProfile(ctx context.Context, id string, old, profile []byte) (bool, error) {
	return s.updateIf(ctx, id, `profile = ? WHERE profile = ? AND id = ?`, notNull(profile), notNull(old), id)
}

// SetFrozen implements [auth.AccountStore].
func (s *Accounts) SetFrozen(ctx context.Context, id string, until time.Time) error {
	return s.update(ctx, `frozen_until = ? WHERE id = ?`, toMicros(until), id)
}

// SetDisabled implements [auth.AccountStore].
func (s *Accounts) SetDisabled(ctx context.Context, id string, disabled bool) error {
	return s.update(ctx, `disabled = ?, version = version + 1 WHERE id = ?`, disabled, id)
}

// MarkLogin implements [auth.AccountStore].
func (s *Accounts) MarkLogin(ctx context.Context, id string, at time.Time) error {
	_, err := s.updateIf(ctx, id, `last_login_at = ? WHERE last_login_at < ? AND id = ?`, toMicros(at), toMicros(at), id)
	return err
}

// update changes an account.
func (s *Accounts) update(ctx context.Context, set string, args ...any) error {
	n, err := s.db.exec(ctx, `UPDATE ps_account SET `+set, args...)
	switch {
	case err != nil:
		return fmt.Errorf("sqlstore: update account: %w", err)
	case n == 0:
		return auth.ErrNoAccount
	}
	return nil
}

// updateIf changes an account if it meets the condition, and tells whether it did. An account that is not there is
// an error.
func (s *Accounts) updateIf(ctx context.Context, id, set string, args ...any) (won bool, err error) {
	if err = s.update(ctx, set, args...); errors.Is(err, auth.ErrNoAccount) {
		_, err = s.Account(ctx, id)
		return false, err
	}
	return err == nil, err
}

// DeleteAccount implements [auth.AccountStore].
func (s *Accounts) DeleteAccount(ctx context.Context, id string) error {
	return s.db.tx(ctx, func(tx conn) error {
		n, err := tx.exec(ctx, `DELETE FROM ps_account WHERE id = ?`, id)
		switch {
		case err != nil:
			return fmt.Errorf("sqlstore: delete account: %w", err)
		case n == 0:
			return auth.ErrNoAccount
		}
		if _, err := tx.exec(ctx, `DELETE FROM ps_password_history WHERE account_id = ?`, id); err != nil {
			return fmt.Errorf("sqlstore: delete password history: %w", err)
		}
		return nil
	})
}

func scanAccount(row interface{ Scan(...any) error }) (auth.AccountRecord, error) {
	var a auth.AccountRecord
	var set, frozen, created, login int64
	err := row.Scan(&a.ID, &a.Tenant, &a.Login, &a.Profile, &a.PasswordHash, &set, &a.Disabled, &frozen, &a.Version, &created, &login)
	a.PasswordSet, a.FrozenUntil = fromMicros(set), fromMicros(frozen)
	a.Created, a.LastLogin = fromMicros(created), fromMicros(login)
	return a, err
}
