// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"database/sql"
	"net/http"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
)

// report is something that a user said was not them.
type report struct {
	ID, Tenant, Kind, Account, Session, Note string
	Created                                  time.Time
	Closed                                   time.Time // zero while it is open
	ClosedBy                                 string
}

func (s *store) addReport(ctx context.Context, r report) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO portal_report (id, tenant, kind, account_id, session_id, note, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, r.ID, r.Tenant, r.Kind, r.Account, r.Session, r.Note, micros(r.Created))
	return err
}

// reports gives the newest reports of an organisation, open ones first.
func (s *store) reports(ctx context.Context, tenant string, limit int) ([]report, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, kind, account_id, session_id, note, created_at, closed_at, closed_by FROM portal_report
		WHERE tenant = ? ORDER BY closed_at IS NOT NULL, created_at DESC, id DESC LIMIT ?`, tenant, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []report
	for rows.Next() {
		r := report{Tenant: tenant}
		var created int64
		var closed sql.NullInt64
		var by sql.NullString
		if err := rows.Scan(&r.ID, &r.Kind, &r.Account, &r.Session, &r.Note, &created, &closed, &by); err != nil {
			return nil, err
		}
		r.Created, r.ClosedBy = fromMicros(created), by.String
		if closed.Valid {
			r.Closed = fromMicros(closed.Int64)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// closeReport closes an open report. record is given the account that it is about.
func (s *store) closeReport(ctx context.Context, tenant, id, by string, at time.Time, record func(account string) error) error {
	var account string
	return s.change(ctx, func() error { return record(account) }, func(tx *sql.Tx) error {
		return notFound(tx.QueryRowContext(ctx, `UPDATE portal_report SET closed_at = ?, closed_by = ?
			WHERE id = ? AND tenant = ? AND closed_at IS NULL RETURNING account_id`, micros(at), by, id, tenant).Scan(&account))
	})
}

const reportClosed audit.Kind = "app.report_closed"

type reportsView struct {
	Reports  []report
	Name     func(id string) string
	MayClose bool
}

// OpenIncident keeps what a user reported for the security officer's page.
func (a *app) OpenIncident(ctx context.Context, i auth.Incident) error {
	r := report{ID: newID(), Tenant: i.Tenant, Kind: string(i.Kind), Account: i.Account, Session: i.Session, Created: i.At}
	switch {
	case i.AddressRestored:
		r.Note = "The account has its former e-mail address back."
	case i.AddressTaken:
		r.Note = "The account's former e-mail address belongs to another account now. No mail was sent, and the account is disabled: find out whose it is."
	}
	return a.store.addReport(ctx, r)
}

func (a *app) reportsPage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := a.demand(r, reportRead)
	if err != nil {
		return err
	}
	v := reportsView{Name: a.names(ctx), MayClose: a.may(ctx, reportClose)}
	if v.Reports, err = a.store.reports(ctx, p.Tenant, 200); err != nil {
		return err
	}
	return a.render(w, r, http.StatusOK, "reports", page{Title: "Reports", Data: v})
}

func (a *app) closeReport(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := a.demand(r, reportClose)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	record := func(account string) error { return a.recording(ctx, reportClosed, "report", id, account)() }
	if err := a.store.closeReport(ctx, p.Tenant, id, p.ID, a.now(), record); err != nil {
		return err
	}
	return done(w, r, "/admin/reports", "report")
}
