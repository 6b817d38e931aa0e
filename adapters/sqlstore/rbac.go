// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/portalsec/portalsec/rbac"
)

// Assignments keeps who holds which role, in ps_rbac_assignment and ps_rbac_version.
type Assignments struct{ db *DB }

var _ rbac.AssignmentStore = (*Assignments)(nil)

// Assignments gives the store of package rbac.
func (db *DB) Assignments() *Assignments { return &Assignments{db} }

// change runs f in a transaction that counts the version up. That statement comes first: whoever runs it holds
// the row until the end, so that no two changes read what the other is about to write.
func (s *Assignments) change(ctx context.Context, f func(conn) error) error {
	return s.db.tx(ctx, func(tx conn) error {
		n, err := tx.exec(ctx, `UPDATE ps_rbac_version SET version = version + 1 WHERE id = 1`)
		if err == nil && n == 0 {
			err = sql.ErrNoRows
		}
		if err != nil {
			return fmt.Errorf("sqlstore: count up the assignments' version: %w", err)
		}
		return f(tx)
	})
}

// Add implements [rbac.AssignmentStore].
func (s *Assignments) Add(ctx context.Context, a rbac.Assignment, excluded []string) error {
	return s.change(ctx, func(tx conn) error {
		until := toMicros(a.Until)
		if a.Until.IsZero() {
			until = math.MaxInt64
		}
		for _, role := range excluded {
			var n int
			err := tx.row(ctx, `SELECT COUNT(*) FROM ps_rbac_assignment
				WHERE tenant = ? AND subject = ? AND role = ?
				AND (until_at = 0 OR until_at > ?) AND from_at < ?`,
				a.Tenant, a.Subject, role, toMicros(a.From), until).Scan(&n)
			if err != nil {
				return fmt.Errorf("sqlstore: look for exclusive roles: %w", err)
			}
			if n > 0 {
				return fmt.Errorf("%w: %s", rbac.ErrExclusive, role)
			}
		}
		if _, err := tx.exec(ctx, `DELETE FROM ps_rbac_assignment
			WHERE tenant = ? AND subject = ? AND role = ? AND scope = ? AND until_at <> 0 AND until_at <= ?`,
			a.Tenant, a.Subject, a.Role, a.Scope, toMicros(a.From)); err != nil {
			return fmt.Errorf("sqlstore: replace an ended assignment: %w", err)
		}
		var n int
		if err := tx.row(ctx, `SELECT COUNT(*) FROM ps_rbac_assignment
			WHERE tenant = ? AND subject = ? AND role = ? AND scope = ?`,
			a.Tenant, a.Subject, a.Role, a.Scope).Scan(&n); err != nil {
			return fmt.Errorf("sqlstore: look for the assignment: %w", err)
		}
		if n > 0 {
			return rbac.ErrAssigned
		}
		if _, err := tx.exec(ctx, `INSERT INTO ps_rbac_assignment (`+assignmentColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			a.ID, a.Tenant, a.Subject, a.Role, a.Scope, toMicros(a.From), toMicros(a.Until), a.Grantor, a.Reason); err != nil {
			return fmt.Errorf("sqlstore: add an assignment: %w", err)
		}
		return nil
	})
}

const assignmentColumns = `id, tenant, subject, role, scope, from_at, until_at, grantor, reason`

func scanAssignment(scan func(...any) error) (rbac.Assignment, error) {
	var a rbac.Assignment
	var from, until int64
	err := scan(&a.ID, &a.Tenant, &a.Subject, &a.Role, &a.Scope, &from, &until, &a.Grantor, &a.Reason)
	a.From, a.Until = fromMicros(from), fromMicros(until)
	return a, err
}

// Remove implements [rbac.AssignmentStore].
func (s *Assignments) Remove(ctx context.Context, tenant, subject, role, scope string) (rbac.Assignment, error) {
	var a rbac.Assignment
	err := s.change(ctx, func(tx conn) error {
		var err error
		a, err = scanAssignment(tx.row(ctx, `SELECT `+assignmentColumns+` FROM ps_rbac_assignment
			WHERE tenant = ? AND subject = ? AND role = ? AND scope = ?`, tenant, subject, role, scope).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return rbac.ErrNotAssigned
		}
		if err != nil {
			return fmt.Errorf("sqlstore: read an assignment: %w", err)
		}
		if _, err := tx.exec(ctx, `DELETE FROM ps_rbac_assignment WHERE id = ?`, a.ID); err != nil {
			return fmt.Errorf("sqlstore: remove an assignment: %w", err)
		}
		return nil
	})
	if err != nil {
		return rbac.Assignment{}, err
	}
	return a, nil
}

// List implements [rbac.AssignmentStore].
func (s *Assignments) List(ctx context.Context, tenant, subject string) ([]rbac.Assignment, error) {
	rows, err := s.db.read().query(ctx, `SELECT `+assignmentColumns+` FROM ps_rbac_assignment
		WHERE tenant = ? AND subject = ? ORDER BY scope, role`, tenant, subject)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: list assignments: %w", err)
	}
	defer rows.Close()
	var list []rbac.Assignment
	for rows.Next() {
		a, err := scanAssignment(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("sqlstore: list assignments: %w", err)
		}
		list = append(list, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqlstore: list assignments: %w", err)
	}
	return list, nil
}

// Version implements [rbac.AssignmentStore].
func (s *Assignments) Version(ctx context.Context) (uint64, error) {
	var v int64
	if err := s.db.read().row(ctx, `SELECT version FROM ps_rbac_version WHERE id = 1`).Scan(&v); err != nil {
		return 0, fmt.Errorf("sqlstore: version of the assignments: %w", err)
	}
	return uint64(v), nil
}
