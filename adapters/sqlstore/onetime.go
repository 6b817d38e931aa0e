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

// OneTime is an [auth.OneTimeStore].
type OneTime struct {
	db *DB
}

var _ auth.OneTimeStore = (*OneTime)(nil)

// OneTime gives the logins under way and the mailed links of package auth.
func (db *DB) OneTime() *OneTime { return &OneTime{db} }

// CreateOneTime implements [auth.OneTimeStore].
func (s *OneTime) CreateOneTime(ctx context.Context, r auth.OneTimeRecord) error {
	if _, err := s.db.exec(ctx, `INSERT INTO ps_one_time (token_hash, purpose, id, account_id, version, data, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Token[:], string(r.Purpose), r.ID, r.Account, r.Version, notNull(r.Data), toMicros(r.Created), toMicros(r.Expires)); err != nil {
		return fmt.Errorf("sqlstore: create one-time token: %w", err)
	}
	return nil
}

// OneTime implements [auth.OneTimeStore].
func (s *OneTime) OneTime(ctx context.Context, p auth.Purpose, token auth.TokenHash) (auth.OneTimeRecord, error) {
	r := auth.OneTimeRecord{Token: token, Purpose: p}
	var created, expires int64
	err := s.db.read().row(ctx, `SELECT id, account_id, version, data, created_at, expires_at FROM ps_one_time
		WHERE token_hash = ? AND purpose = ?`, token[:], string(p)).Scan(&r.ID, &r.Account, &r.Version, &r.Data, &created, &expires)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return auth.OneTimeRecord{}, auth.ErrNoToken
	case err != nil:
		return auth.OneTimeRecord{}, fmt.Errorf("sqlstore: read one-time token: %w", err)
	}
	r.Data, r.Created, r.Expires = orNil(r.Data), fromMicros(created), fromMicros(expires)
	return r, nil
}

// ConsumeOneTime implements [auth.OneTimeStore].
func (s *OneTime) ConsumeOneTime(ctx context.Context, p auth.Purpose, token auth.TokenHash) (bool, error) {
	n, err := s.db.exec(ctx, `DELETE FROM ps_one_time WHERE token_hash = ? AND purpose = ?`, token[:], string(p))
	if err != nil {
		return false, fmt.Errorf("sqlstore: consume one-time token: %w", err)
	}
	return n == 1, nil
}

// RevokeOneTime implements [auth.OneTimeStore].
func (s *OneTime) RevokeOneTime(ctx context.Context, account string, purposes ...auth.Purpose) (int64, error) {
	if len(purposes) == 0 {
		return 0, nil
	}
	args := []any{account}
	for _, p := range purposes {
		args = append(args, string(p))
	}
	n, err := s.db.exec(ctx, `DELETE FROM ps_one_time WHERE account_id = ? AND purpose IN (?`+strings.Repeat(`, ?`, len(purposes)-1)+`)`, args...)
	if err != nil {
		return 0, fmt.Errorf("sqlstore: revoke one-time tokens: %w", err)
	}
	return n, nil
}

// PruneOneTime implements [auth.OneTimeStore].
func (s *OneTime) PruneOneTime(ctx context.Context, before time.Time) (int64, error) {
	n, err := s.db.exec(ctx, `DELETE FROM ps_one_time WHERE expires_at < ?`, toMicros(before))
	if err != nil {
		return 0, fmt.Errorf("sqlstore: prune one-time tokens: %w", err)
	}
	return n, nil
}
