// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth/session"
)

// Sessions is a [session.Store]. It keeps no cache: what one process ends is over for all.
type Sessions struct {
	db *DB
}

var _ session.Store = (*Sessions)(nil)

// Sessions gives the sessions of package auth/session.
func (db *DB) Sessions() *Sessions { return &Sessions{db} }

const sessionColumns = `token_hash, id, tenant, user_id, impersonator, stamp, factors, client, data, created_at, auth_at, last_seen_at, expires_at`

// CreateSession implements [session.Store].
func (s *Sessions) CreateSession(ctx context.Context, r session.Record, version int64) error {
	factors, err := encodeFactors(r.Factors)
	if err != nil {
		return err
	}
	return s.db.tx(ctx, func(tx conn) error {
		// Holding the version, it lets no BumpUser come in between.
		present, err := holdVersion(ctx, tx, r.Tenant, r.User)
		switch {
		case err != nil:
			return err
		case present != version:
			return session.ErrNoSession
		}
		if _, err := tx.exec(ctx, `INSERT INTO ps_session (`+sessionColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.Token[:], r.ID, r.Tenant, r.User, r.Impersonator, r.Stamp, factors, notNull(r.Client), notNull(r.Data),
			toMicros(r.Created), toMicros(r.AuthTime), toMicros(r.LastSeen), toMicros(r.Expires)); err != nil {
			return fmt.Errorf("sqlstore: create session: %w", err)
		}
		return nil
	})
}

// UserVersion implements [session.Store].
func (s *Sessions) UserVersion(ctx context.Context, tenant, user string) (int64, error) {
	var version int64
	err := s.db.read().row(ctx, selectVersion, tenant, user).Scan(&version)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 1, nil
	case err != nil:
		return 0, fmt.Errorf("sqlstore: version of sessions: %w", err)
	}
	return version, nil
}

const selectVersion = `SELECT version FROM ps_session_version WHERE tenant = ? AND user_id = ?`

// holdVersion gives the user's version, which nobody else reads to write or writes until the transaction ends.
func holdVersion(ctx context.Context, tx conn, tenant, user string) (version int64, err error) {
	err = tx.hold(ctx, statement{selectVersion, []any{tenant, user}},
		statement{`INSERT INTO ps_session_version (tenant, user_id, version) VALUES (?, ?, 1)` + tx.ifAbsent("version"), []any{tenant, user}},
		&version)
	if err != nil {
		return 0, fmt.Errorf("sqlstore: version of sessions: %w", err)
	}
	return version, nil
}

// TouchSession implements [session.Store].
func (s *Sessions) TouchSession(ctx context.Context, token session.Hash, t session.Touch) (session.Record, error) {
	r, err := scanSession(s.db.read().row(ctx, `SELECT `+sessionColumns+` FROM ps_session
		WHERE token_hash = ? AND expires_at > ? AND last_seen_at > ?`, token[:], toMicros(t.Now), toMicros(t.AliveAfter)))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return session.Record{}, session.ErrNoSession
	case err != nil:
		return session.Record{}, fmt.Errorf("sqlstore: read session: %w", err)
	case !r.LastSeen.Before(t.WriteBefore) || !r.LastSeen.Before(t.Now):
		return r, nil
	}
	// It may be gone or have another token by now. A later request may have been noted already.
	n, err := s.db.exec(ctx, `UPDATE ps_session
		SET last_seen_at = CASE WHEN last_seen_at < ? THEN ? ELSE last_seen_at END WHERE token_hash = ?`,
		toMicros(t.Now), toMicros(t.Now), token[:])
	switch {
	case err != nil:
		return session.Record{}, fmt.Errorf("sqlstore: touch session: %w", err)
	case n == 0:
		return session.Record{}, session.ErrNoSession
	}
	r.LastSeen = t.Now
	return r, nil
}

// RotateSession implements [session.Store].
func (s *Sessions) RotateSession(ctx context.Context, old session.Hash, next session.Record) error {
	factors, err := encodeFactors(next.Factors)
	if err != nil {
		return err
	}
	n, err := s.db.exec(ctx, `UPDATE ps_session
		SET token_hash = ?, stamp = ?, factors = ?, auth_at = ?, last_seen_at = ? WHERE token_hash = ?`,
		next.Token[:], next.Stamp, factors, toMicros(next.AuthTime), toMicros(next.LastSeen), old[:])
	switch {
	case err != nil:
		return fmt.Errorf("sqlstore: rotate session: %w", err)
	case n == 0:
		return session.ErrNoSession
	}
	return nil
}

// SetSessionData implements [session.Store].
func (s *Sessions) SetSessionData(ctx context.Context, token session.Hash, old, data []byte) (bool, error) {
	n, err := s.db.exec(ctx, `UPDATE ps_session SET data = ? WHERE token_hash = ? AND data = ?`, notNull(data), token[:], notNull(old))
	if err != nil {
		return false, fmt.Errorf("sqlstore: set session data: %w", err)
	}
	if n == 1 {
		return true, nil
	}
	var there int
	if err := s.db.read().row(ctx, `SELECT COUNT(*) FROM ps_session WHERE token_hash = ?`, token[:]).Scan(&there); err != nil {
		return false, fmt.Errorf("sqlstore: set session data: %w", err)
	}
	if there == 0 {
		return false, session.ErrNoSession
	}
	return false, nil
}

// DeleteSession implements [session.Store].
func (s *Sessions) DeleteSession(ctx context.Context, tenant, user, id string) (bool, error) {
	n, err := s.db.exec(ctx, `DELETE FROM ps_session WHERE id = ? AND tenant = ? AND user_id = ?`, id, tenant, user)
	if err != nil {
		return false, fmt.Errorf("sqlstore: delete session: %w", err)
	}
	return n == 1, nil
}

// BumpUser implements [session.Store].
func (s *Sessions) BumpUser(ctx context.Context, tenant, user, except string) (removed int, err error) {
	err = s.db.tx(ctx, func(tx conn) error {
		if _, err := holdVersion(ctx, tx, tenant, user); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `UPDATE ps_session_version SET version = version + 1 WHERE tenant = ? AND user_id = ?`,
			tenant, user); err != nil {
			return fmt.Errorf("sqlstore: version of sessions: %w", err)
		}
		own, err := tx.exec(ctx, `DELETE FROM ps_session WHERE tenant = ? AND user_id = ? AND id <> ?`, tenant, user, except)
		if err != nil {
			return fmt.Errorf("sqlstore: delete sessions: %w", err)
		}
		// An empty impersonator is nobody.
		acting, err := tx.exec(ctx, `DELETE FROM ps_session WHERE tenant = ? AND impersonator = ? AND impersonator <> '' AND id <> ?`,
			tenant, user, except)
		if err != nil {
			return fmt.Errorf("sqlstore: delete sessions: %w", err)
		}
		removed = int(own + acting)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// DeleteTenant implements [session.Store].
func (s *Sessions) DeleteTenant(ctx context.Context, tenant string) (int, error) {
	n, err := s.db.exec(ctx, `DELETE FROM ps_session WHERE tenant = ?`, tenant)
	if err != nil {
		return 0, fmt.Errorf("sqlstore: delete sessions: %w", err)
	}
	return int(n), nil
}

// ListSessions implements [session.Store].
func (s *Sessions) ListSessions(ctx context.Context, tenant, user string) ([]session.Record, error) {
	rows, err := s.db.read().query(ctx, `SELECT `+sessionColumns+` FROM ps_session
		WHERE tenant = ? AND user_id = ? ORDER BY created_at, id`, tenant, user)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: list sessions: %w", err)
	}
	defer rows.Close()
	var list []session.Record
	for rows.Next() {
		r, err := scanSession(rows)
		if err != nil {
			return nil, fmt.Errorf("sqlstore: list sessions: %w", err)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqlstore: list sessions: %w", err)
	}
	return list, nil
}

// PruneSessions implements [session.Store].
func (s *Sessions) PruneSessions(ctx context.Context, expired, idle time.Time) (int64, error) {
	n, err := s.db.exec(ctx, `DELETE FROM ps_session WHERE expires_at < ? OR last_seen_at < ?`, toMicros(expired), toMicros(idle))
	if err != nil {
		return 0, fmt.Errorf("sqlstore: prune sessions: %w", err)
	}
	return n, nil
}

// scanSession reads the sessionColumns of a row.
func scanSession(row interface{ Scan(...any) error }) (session.Record, error) {
	var r session.Record
	var token, factors []byte
	var created, auth, seen, expires int64
	if err := row.Scan(&token, &r.ID, &r.Tenant, &r.User, &r.Impersonator, &r.Stamp, &factors, &r.Client, &r.Data, &created, &auth, &seen, &expires); err != nil {
		return r, err
	}
	if len(token) != len(r.Token) {
		return r, errors.New("token_hash has a wrong length")
	}
	copy(r.Token[:], token)
	r.Client, r.Data = notNull(r.Client), orNil(r.Data)
	r.Created, r.AuthTime, r.LastSeen, r.Expires = fromMicros(created), fromMicros(auth), fromMicros(seen), fromMicros(expires)
	var err error
	r.Factors, err = decodeFactors(factors)
	return r, err
}

// factor is a portalsec.FactorProof in a column.
type factor struct {
	Kind string `json:"kind"`
	At   int64  `json:"at"`
}

func encodeFactors(proofs []portalsec.FactorProof) (string, error) {
	list := make([]factor, len(proofs))
	for i, p := range proofs {
		list[i] = factor{p.Kind, toMicros(p.At)}
	}
	b, err := json.Marshal(list)
	return string(b), err
}

func decodeFactors(b []byte) ([]portalsec.FactorProof, error) {
	var list []factor
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("factors: %w", err)
	}
	proofs := make([]portalsec.FactorProof, len(list))
	for i, f := range list {
		proofs[i] = portalsec.FactorProof{Kind: f.Kind, At: fromMicros(f.At)}
	}
	return proofs, nil
}
