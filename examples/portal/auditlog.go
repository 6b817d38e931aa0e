// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strconv"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/audit/ledger"
)

const auditPerPage = 100

type auditRow struct {
	ledger.Entry
	Actor string
}

type auditView struct {
	Entries  []auditRow
	Kind     string
	Older    uint64
	Verified *ledger.Report
	Head     string
}

func (a *app) auditPage(w http.ResponseWriter, r *http.Request) error {
	return a.showAudit(w, r, auditView{})
}

// verifyAudit reads the whole log and checks every link.
func (a *app) verifyAudit(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if _, err := a.demand(r, auditRead); err != nil {
		return err
	}
	report, err := ledger.Verify(ctx, a.ledgerDir)
	if err != nil {
		return err
	}
	outcome := audit.Success
	if !report.OK() {
		outcome = audit.Failure
	}
	if err := a.audit.Record(ctx, audit.Event{Kind: audit.LogVerified, Outcome: outcome,
		Details: []audit.Detail{{Name: "entries", Value: strconv.FormatUint(report.Entries, 10)}}}); err != nil {
		return err
	}
	return a.showAudit(w, r, auditView{Verified: &report})
}

func (a *app) showAudit(w http.ResponseWriter, r *http.Request, v auditView) error {
	ctx := r.Context()
	p, err := a.demand(r, auditRead)
	if err != nil {
		return err
	}
	o, err := a.store.organisation(ctx, p.Tenant)
	if err != nil {
		return err
	}
	q := ledger.Query{Tenant: p.Tenant, NoTenant: o.Operator, Limit: auditPerPage}
	if v.Kind = r.URL.Query().Get("kind"); v.Kind != "" {
		q.Kinds = []audit.Kind{audit.Kind(v.Kind)}
	}
	if before := r.URL.Query().Get("before"); before != "" {
		if q.Before, err = strconv.ParseUint(before, 10, 64); err != nil {
			return invalid("That page of the log does not exist.")
		}
	}
	entries, err := a.ledger.Read(ctx, q)
	if err != nil {
		return err
	}
	name := a.names(ctx)
	for _, e := range entries {
		v.Entries = append(v.Entries, auditRow{e, name(string(e.Event.Actor))})
	}
	if len(entries) == auditPerPage {
		v.Older = entries[len(entries)-1].Index
	}
	return a.render(w, r, http.StatusOK, "audit", page{Title: "Audit log", Data: v})
}
