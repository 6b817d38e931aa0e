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
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM ps_mfa_pending WHERE tenant = ? AND user_id = ?`, p.Tenant, p.User); err != nil {
			return fmt.Errorf("sqlstore: put pending enrolment: %w", err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO ps_mfa_pending (tenant, user_id, id, visit, secret, expires_at) VALUES (?, ?, ?, ?, ?, ?)`,
			p.Tenant, p.User, p.ID, p.Visit, p.Secret, toMicros(p.Expires))
		if err != nil {
			return fmt.Errorf("sqlstore: put pending enrolment: %w", err)
		}
		return nil
	})
}

// Pending implements [mfa.Store].
func (s *Factors) Pending(ctx context.Context, tenant, user string, now time.Time) (mfa.Pending, error) {
	p := mfa.Pending{Tenant: tenant, User: user}
	var expires int64
	err := s.db.sql.QueryRowContext(ctx,
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

// errLost rolls a transaction back whose caller did not win.
var errLost = errors.New("sqlstore: lost")

// Enrol implements [mfa.Store].
func (s *Factors) Enrol(ctx context.Context, totp, recovery mfa.Factor, replaces string) (bool, error) {
	err := s.db.tx(ctx, func(tx *sql.Tx) error {
		// Taking the pending row first makes concurrent calls for it wait for each other.
		won, err := affectedOne(tx.ExecContext(ctx,
			`DELETE FROM ps_mfa_pending WHERE tenant = ? AND user_id = ? AND id = ? AND expires_at > ?`,
			totp.Tenant, totp.User, totp.ID, toMicros(totp.Created)))
		if err != nil {
			return err
		}
		if !won {
			return errLost
		}
		present := ""
		err = tx.QueryRowContext(ctx, `SELECT id FROM ps_mfa_factor WHERE tenant = ? AND user_id = ? AND kind = ?`,
			totp.Tenant, totp.User, totp.Kind).Scan(&present)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if present != replaces {
			return errLost
		}
		if err := deleteFactors(ctx, tx, `tenant = ? AND user_id = ? AND kind IN (?, ?)`,
			totp.Tenant, totp.User, totp.Kind, recovery.Kind); err != nil {
			return err
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

// Factors implements [mfa.Store].
func (s *Factors) Factors(ctx context.Context, tenant, user string) ([]mfa.Factor, error) {
	// One statement, so that a factor is never seen without its codes.
	rows, err := s.db.sql.QueryContext(ctx, `
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
	won, err := affectedOne(s.db.sql.ExecContext(ctx, `UPDATE ps_mfa_factor SET step = ? WHERE id = ? AND kind = ? AND step < ?`,
		step, factor, portalsec.FactorTOTP, step))
	if err != nil {
		return false, fmt.Errorf("sqlstore: advance TOTP: %w", err)
	}
	return won, nil
}

// ConsumeCode implements [mfa.Store].
func (s *Factors) ConsumeCode(ctx context.Context, factor string, hash []byte, at time.Time) (bool, error) {
	won, err := affectedOne(s.db.sql.ExecContext(ctx,
		`UPDATE ps_mfa_recovery_code SET used_at = ? WHERE factor_id = ? AND hash = ? AND used_at = 0`,
		toMicros(at), factor, hash))
	if err != nil {
		return false, fmt.Errorf("sqlstore: consume recovery code: %w", err)
	}
	return won, nil
}

// Remove implements [mfa.Store].
func (s *Factors) Remove(ctx context.Context, tenant, user, factor string) (bool, error) {
	err := s.db.tx(ctx, func(tx *sql.Tx) error {
		var owned int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM ps_mfa_factor WHERE tenant = ? AND user_id = ? AND id = ?`,
			tenant, user, factor).Scan(&owned)
		if err != nil {
			return err
		}
		if owned == 0 {
			return errLost
		}
		if err := deleteFactors(ctx, tx, `id = ?`, factor); err != nil {
			return err
		}
		var left int
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM ps_mfa_factor WHERE tenant = ? AND user_id = ? AND kind <> ?`,
			tenant, user, portalsec.FactorRecovery).Scan(&left)
		if err != nil || left > 0 {
			return err
		}
		return deleteFactors(ctx, tx, `tenant = ? AND user_id = ?`, tenant, user)
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
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		var tries int
		var notBefore int64
		err := tx.QueryRowContext(ctx, `SELECT tries, not_before FROM ps_mfa_tries WHERE tenant = ? AND user_id = ?`,
			tenant, user).Scan(&tries, &notBefore)
		known := err == nil
		if !known && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if us := notBefore - toMicros(now); us > 0 {
			retryAfter = time.Duration(us) * time.Microsecond
			return nil
		}
		until := toMicros(now.Add(wait(tries + 1)))
		if !known {
			_, err = tx.ExecContext(ctx, `INSERT INTO ps_mfa_tries (tenant, user_id, tries, not_before) VALUES (?, ?, ?, ?)`,
				tenant, user, tries+1, until)
		} else {
			_, err = tx.ExecContext(ctx, `UPDATE ps_mfa_tries SET tries = ?, not_before = ? WHERE tenant = ? AND user_id = ?`,
				tries+1, until, tenant, user)
		}
		taken = err == nil
		return err
	})
	if err != nil {
		return false, 0, fmt.Errorf("sqlstore: take try: %w", err)
	}
	return taken, retryAfter, nil
}

// ClearTries implements [mfa.Store].
func (s *Factors) ClearTries(ctx context.Context, tenant, user string) error {
	if _, err := s.db.sql.ExecContext(ctx, `DELETE FROM ps_mfa_tries WHERE tenant = ? AND user_id = ?`, tenant, user); err != nil {
		return fmt.Errorf("sqlstore: clear tries: %w", err)
	}
	return nil
}

// Policy implements [mfa.Store].
func (s *Factors) Policy(ctx context.Context, tenant string) (mfa.Policy, error) {
	var p mfa.Policy
	var roles []byte
	var since int64
	err := s.db.sql.QueryRowContext(ctx, `SELECT everyone, roles, since FROM ps_mfa_policy WHERE tenant = ?`, tenant).
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
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM ps_mfa_policy WHERE tenant = ?`, tenant); err != nil {
			return fmt.Errorf("sqlstore: put second-factor policy: %w", err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO ps_mfa_policy (tenant, everyone, roles, since) VALUES (?, ?, ?, ?)`,
			tenant, p.Everyone, string(roles), toMicros(p.Since))
		if err != nil {
			return fmt.Errorf("sqlstore: put second-factor policy: %w", err)
		}
		return nil
	})
}

func insertFactor(ctx context.Context, tx *sql.Tx, f mfa.Factor) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO ps_mfa_factor (id, tenant, user_id, kind, secret, step, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		f.ID, f.Tenant, f.User, f.Kind, f.Secret, f.Step, toMicros(f.Created))
	if err != nil {
		return err
	}
	for _, c := range f.Codes {
		if _, err := tx.ExecContext(ctx, `INSERT INTO ps_mfa_recovery_code (factor_id, hash, used_at) VALUES (?, ?, ?)`,
			f.ID, c.Hash, toMicros(c.Used)); err != nil {
			return err
		}
	}
	return nil
}

// deleteFactors deletes the factors that a condition names, with their codes: it does not lean on foreign keys
// being switched on.
func deleteFactors(ctx context.Context, tx *sql.Tx, where string, args ...any) error {
	for _, q := range []string{
		`DELETE FROM ps_mfa_recovery_code WHERE factor_id IN (SELECT id FROM ps_mfa_factor WHERE ` + where + `)`,
		`DELETE FROM ps_mfa_factor WHERE ` + where,
	} {
		if _, err := tx.ExecContext(ctx, q, args...); err != nil {
			return err
		}
	}
	return nil
}
