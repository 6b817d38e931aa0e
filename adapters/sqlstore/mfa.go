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
	"github.com/portalsec/portalsec/mfa"
)

// Factors is an [mfa.Store] in the tables ps_mfa_*. It may be used by several goroutines and processes.
type Factors struct {
	db *DB
}

var _ mfa.Store = (*Factors)(nil)

// Factors gives the store of second factors.
func (db *DB) Factors() *Factors { return &Factors{db} }

// PutPending implements [mfa.Store].
func (s *Factors) PutPending(ctx context.Context, p mfa.Pending) error {
	if _, err := s.db.exec(ctx, `INSERT INTO ps_mfa_pending (tenant, user_id, id, visit, secret, expires_at) VALUES (?, ?, ?, ?, ?, ?)`+
		s.db.read().orReplace(`tenant, user_id`, `id`, `visit`, `secret`, `expires_at`),
		p.Tenant, p.User, p.ID, p.Visit, notNull(p.Secret), toMicros(p.Expires)); err != nil {
		return fmt.Errorf("sqlstore: put pending enrolment: %w", err)
	}
	return nil
}

// Pending implements [mfa.Store].
func (s *Factors) Pending(ctx context.Context, tenant, user string, now time.Time) (mfa.Pending, error) {
	p := mfa.Pending{Tenant: tenant, User: user}
	var expires int64
	err := s.db.read().row(ctx,
		`SELECT id, visit, secret, expires_at FROM ps_mfa_pending WHERE tenant = ? AND user_id = ? AND expires_at > ?`,
		tenant, user, toMicros(now)).Scan(&p.ID, &p.Visit, &p.Secret, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return mfa.Pending{}, mfa.ErrNotFound
	}
	if err != nil {
		return mfa.Pending{}, fmt.Errorf("sqlstore: pending enrolment: %w", err)
	}
	p.Expires = fromMicros(expires)
	return p, nil
}

// Enrol implements [mfa.Store].
func (s *Factors) Enrol(ctx context.Context, totp, recovery mfa.Factor, replaces string) (bool, error) {
	err := s.db.tx(ctx, func(tx conn) error {
		// Taking the pending row first makes concurrent calls for it wait for each other.
		n, err := tx.exec(ctx, `DELETE FROM ps_mfa_pending WHERE tenant = ? AND user_id = ? AND id = ? AND expires_at > ?`,
			totp.Tenant, totp.User, totp.ID, toMicros(totp.Created))
		if err != nil {
			return err
		}
		if n == 0 {
			return errLost
		}
		have, err := holdFactors(ctx, tx, totp.Tenant, totp.User)
		if err != nil {
			return err
		}
		present := ""
		for _, f := range have {
			if f.kind == totp.Kind {
				present = f.id
			}
		}
		if present != replaces {
			return errLost
		}
		for _, f := range have {
			if f.kind == totp.Kind || f.kind == recovery.Kind {
				if err := deleteFactor(ctx, tx, f.id); err != nil {
					return err
				}
			}
		}
		if err := insertFactor(ctx, tx, totp); err != nil {
			return err
		}
		return insertFactor(ctx, tx, recovery)
	})
	if errors.Is(err, errLost) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sqlstore: enrol: %w", err)
	}
	return true, nil
}

// held is a factor whose row the transaction has locked.
type held struct{ id, kind string }

// holdFactors gives the user's factors, which nobody else changes until the transaction ends.
func holdFactors(ctx context.Context, tx conn, tenant, user string) ([]held, error) {
	const query = `SELECT id, kind FROM ps_mfa_factor WHERE tenant = ? AND user_id = ? ORDER BY id`
	if lock := tx.forUpdate(); lock != "" {
		// What waits for a lock does not see what was added meanwhile, so it looks again afterwards.
		if _, err := readFactors(ctx, tx, query+lock, tenant, user); err != nil {
			return nil, err
		}
	}
	return readFactors(ctx, tx, query, tenant, user)
}

func readFactors(ctx context.Context, tx conn, query, tenant, user string) ([]held, error) {
	rows, err := tx.query(ctx, query, tenant, user)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []held
	for rows.Next() {
		var f held
		if err := rows.Scan(&f.id, &f.kind); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, rows.Err()
}

// Factors implements [mfa.Store].
func (s *Factors) Factors(ctx context.Context, tenant, user string) ([]mfa.Factor, error) {
	// One statement, so that a factor is never seen without its codes.
	rows, err := s.db.read().query(ctx, `
		SELECT f.id, f.kind, f.secret, f.step, f.created_at, c.hash, COALESCE(c.used_at, 0)
		FROM ps_mfa_factor f LEFT JOIN ps_mfa_recovery_code c ON c.factor_id = f.id
		WHERE f.tenant = ? AND f.user_id = ? ORDER BY f.created_at, f.id`, tenant, user)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: factors: %w", err)
	}
	defer rows.Close()
	var factors []mfa.Factor
	for rows.Next() {
		f := mfa.Factor{Tenant: tenant, User: user}
		var created, used int64
		var hash []byte
		if err := rows.Scan(&f.ID, &f.Kind, &f.Secret, &f.Step, &created, &hash, &used); err != nil {
			return nil, fmt.Errorf("sqlstore: factors: %w", err)
		}
		f.Created = fromMicros(created)
		if n := len(factors); n == 0 || factors[n-1].ID != f.ID {
			factors = append(factors, f)
		}
		if hash != nil {
			last := &factors[len(factors)-1]
			last.Codes = append(last.Codes, mfa.RecoveryCode{Hash: hash, Used: fromMicros(used)})
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqlstore: factors: %w", err)
	}
	return factors, nil
}

// AdvanceTOTP implements [mfa.Store].
func (s *Factors) AdvanceTOTP(ctx context.Context, factor string, step int64) (bool, error) {
	n, err := s.db.exec(ctx, `UPDATE ps_mfa_factor SET step = ? WHERE id = ? AND kind = ? AND step < ?`,
		step, factor, portalsec.FactorTOTP, step)
	if err != nil {
		return false, fmt.Errorf("sqlstore: advance TOTP: %w", err)
	}
	return n == 1, nil
}

// ConsumeCode implements [mfa.Store].
func (s *Factors) ConsumeCode(ctx context.Context, factor string, hash []byte, at time.Time) (bool, error) {
	n, err := s.db.exec(ctx, `UPDATE ps_mfa_recovery_code SET used_at = ? WHERE factor_id = ? AND hash = ? AND used_at = 0`,
		toMicros(at), factor, hash)
	if err != nil {
		return false, fmt.Errorf("sqlstore: consume recovery code: %w", err)
	}
	return n == 1, nil
}

// Remove implements [mfa.Store].
func (s *Factors) Remove(ctx context.Context, tenant, user, factor string) (bool, error) {
	err := s.db.tx(ctx, func(tx conn) error {
		have, err := holdFactors(ctx, tx, tenant, user)
		if err != nil {
			return err
		}
		owned, left := false, false
		for _, f := range have {
			owned = owned || f.id == factor
			left = left || f.id != factor && f.kind != portalsec.FactorRecovery
		}
		if !owned {
			return errLost
		}
		for _, f := range have {
			if f.id == factor || !left {
				if err := deleteFactor(ctx, tx, f.id); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if errors.Is(err, errLost) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sqlstore: remove factor: %w", err)
	}
	return true, nil
}

// TakeTry implements [mfa.Store].
func (s *Factors) TakeTry(ctx context.Context, tenant, user string, now time.Time, wait func(tries int) time.Duration) (taken bool, retryAfter time.Duration, err error) {
	err = s.db.tx(ctx, func(tx conn) error {
		taken, retryAfter = false, 0
		var tries int
		var notBefore int64
		if err := tx.hold(ctx, statement{`SELECT tries, not_before FROM ps_mfa_tries WHERE tenant = ? AND user_id = ?`, []any{tenant, user}},
			statement{`INSERT INTO ps_mfa_tries (tenant, user_id, tries, not_before) VALUES (?, ?, 0, 0)` + tx.ifAbsent("tries"), []any{tenant, user}},
			&tries, &notBefore); err != nil {
			return err
		}
		if us := notBefore - toMicros(now); notBefore != 0 && us > 0 {
			retryAfter = time.Duration(us) * time.Microsecond
			return nil
		}
		taken = true
		_, err := tx.exec(ctx, `UPDATE ps_mfa_tries SET tries = ?, not_before = ? WHERE tenant = ? AND user_id = ?`,
			tries+1, toMicros(now.Add(wait(tries+1))), tenant, user)
		return err
	})
	if err != nil {
		return false, 0, fmt.Errorf("sqlstore: take try: %w", err)
	}
	return taken, retryAfter, nil
}

// ClearTries implements [mfa.Store].
func (s *Factors) ClearTries(ctx context.Context, tenant, user string) error {
	if _, err := s.db.exec(ctx, `DELETE FROM ps_mfa_tries WHERE tenant = ? AND user_id = ?`, tenant, user); err != nil {
		return fmt.Errorf("sqlstore: clear tries: %w", err)
	}
	return nil
}

// Policy implements [mfa.Store].
func (s *Factors) Policy(ctx context.Context, tenant string) (mfa.Policy, error) {
	var p mfa.Policy
	var roles []byte
	var since int64
	err := s.db.read().row(ctx, `SELECT everyone, roles, since FROM ps_mfa_policy WHERE tenant = ?`, tenant).
		Scan(&p.Everyone, &roles, &since)
	if errors.Is(err, sql.ErrNoRows) {
		return mfa.Policy{}, mfa.ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal(roles, &p.Roles)
	}
	if err != nil {
		return mfa.Policy{}, fmt.Errorf("sqlstore: second-factor policy: %w", err)
	}
	p.Since = fromMicros(since)
	return p, nil
}

// PutPolicy implements [mfa.Store].
func (s *Factors) PutPolicy(ctx context.Context, tenant string, p mfa.Policy) error {
	roles, err := json.Marshal(p.Roles)
	if err != nil {
		return fmt.Errorf("sqlstore: put second-factor policy: %w", err)
	}
	if _, err := s.db.exec(ctx, `INSERT INTO ps_mfa_policy (tenant, everyone, roles, since) VALUES (?, ?, ?, ?)`+
		s.db.read().orReplace(`tenant`, `everyone`, `roles`, `since`), tenant, p.Everyone, string(roles), toMicros(p.Since)); err != nil {
		return fmt.Errorf("sqlstore: put second-factor policy: %w", err)
	}
	return nil
}

func insertFactor(ctx context.Context, tx conn, f mfa.Factor) error {
	_, err := tx.exec(ctx, `
		INSERT INTO ps_mfa_factor (id, tenant, user_id, kind, secret, step, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		f.ID, f.Tenant, f.User, f.Kind, notNull(f.Secret), f.Step, toMicros(f.Created))
	if err != nil {
		return err
	}
	for _, c := range f.Codes {
		if _, err := tx.exec(ctx, `INSERT INTO ps_mfa_recovery_code (factor_id, hash, used_at) VALUES (?, ?, ?)`,
			f.ID, c.Hash, toMicros(c.Used)); err != nil {
			return err
		}
	}
	return nil
}

// deleteFactor deletes a factor with its codes: it does not lean on foreign keys being switched on.
func deleteFactor(ctx context.Context, tx conn, id string) error {
	if _, err := tx.exec(ctx, `DELETE FROM ps_mfa_recovery_code WHERE factor_id = ?`, id); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM ps_mfa_factor WHERE id = ?`, id)
	return err
}
