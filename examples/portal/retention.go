// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"

	"github.com/portalsec/portalsec/rbac"
	"github.com/portalsec/portalsec/retention"
)

type retentionView struct {
	Policies                    []retention.Status
	MayPlan, MayApprove, MayRun bool
	Plan                        *retention.Plan
	Report                      *retention.Report
}

func (a *app) retentionPage(w http.ResponseWriter, r *http.Request) error {
	return a.showRetention(w, r, http.StatusOK, "", retentionView{})
}

func (a *app) showRetention(w http.ResponseWriter, r *http.Request, status int, mistake string, v retentionView) error {
	ctx := r.Context()
	p, err := a.demand(r, retentionRead)
	if err != nil {
		return err
	}
	all, err := a.retention.Policies(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		if a.policyTenant[s.Policy.Name] == p.Tenant {
			v.Policies = append(v.Policies, s)
		}
	}
	v.MayPlan, v.MayApprove, v.MayRun = a.may(ctx, retentionPlan), a.may(ctx, retentionApprove), a.may(ctx, retentionRun)
	return a.render(w, r, status, "retention", page{Title: "Retention", Error: mistake, Data: v})
}

func (a *app) dryRun(w http.ResponseWriter, r *http.Request) error {
	policy, err := a.policyFor(r, retentionPlan)
	if err != nil {
		return err
	}
	plan, err := a.retention.DryRun(r.Context(), policy)
	if err != nil {
		return a.retentionRefused(w, r, err)
	}
	return a.showRetention(w, r, http.StatusOK, "", retentionView{Plan: &plan})
}

func (a *app) approveRetention(w http.ResponseWriter, r *http.Request) error {
	policy, err := a.policyFor(r, retentionApprove)
	if err != nil {
		return err
	}
	if err := a.retention.Approve(r.Context(), policy, r.PostFormValue("plan")); err != nil {
		return a.retentionRefused(w, r, err)
	}
	return done(w, r, "/admin/retention", "approved")
}

func (a *app) runRetention(w http.ResponseWriter, r *http.Request) error {
	policy, err := a.policyFor(r, retentionRun)
	if err != nil {
		return err
	}
	report, err := a.retention.RunOnce(r.Context(), policy)
	if err != nil {
		return a.retentionRefused(w, r, err)
	}
	return a.showRetention(w, r, http.StatusOK, "", retentionView{Report: &report})
}

// retentionRefused tells the visitor of a refusal that they can do something about.
func (a *app) retentionRefused(w http.ResponseWriter, r *http.Request, err error) error {
	switch {
	case errors.Is(err, retention.ErrUnknownPolicy):
		return errNotFound
	case errors.Is(err, retention.ErrNotApproved):
		return a.showRetention(w, r, http.StatusConflict, "Nobody has approved this policy as it is now: do a dry run and approve it.", retentionView{})
	case errors.Is(err, retention.ErrPlanChanged):
		return a.showRetention(w, r, http.StatusConflict, "The policy has changed since that dry run: do another one.", retentionView{})
	case errors.Is(err, retention.ErrBusy), errors.Is(err, retention.ErrTooMany), errors.Is(err, retention.ErrClock):
		return a.showRetention(w, r, http.StatusConflict, err.Error(), retentionView{})
	default:
		return err
	}
}

// policyFor gives the policy in the path, which must be one of the principal's organisation.
func (a *app) policyFor(r *http.Request, perm *rbac.Perm) (string, error) {
	p, err := a.demand(r, perm)
	policy := r.PathValue("policy")
	if err == nil && a.policyTenant[policy] != p.Tenant {
		err = rbac.ErrNotFound
	}
	return policy, err
}

// closedTicketsTarget is the target that the policy file can name.
const closedTicketsTarget = "closed-tickets"

// forOrganisations gives each organisation its own copy of the policies, with a target of its own: what one
// approves touches nothing of another.
func (a *app) forOrganisations(ctx context.Context, policies []retention.Policy) ([]retention.Policy, map[string]retention.Target, error) {
	organisations, err := a.store.organisations(ctx)
	if err != nil {
		return nil, nil, err
	}
	a.policyTenant = map[string]string{}
	var own []retention.Policy
	targets := map[string]retention.Target{}
	for _, o := range organisations {
		for _, p := range policies {
			if p.Target != closedTicketsTarget {
				return nil, nil, fmt.Errorf("retention policy %q: unknown target %q; there is only %q", p.Name, p.Target, closedTicketsTarget)
			}
			p.Name = o.Tenant + "-" + p.Name
			p.Target = p.Name
			if targets[p.Target], err = closedTickets(a.store, o.Tenant); err != nil {
				return nil, nil, err
			}
			a.policyTenant[p.Name] = o.Tenant
			own = append(own, p)
		}
	}
	return own, targets, nil
}

// closedTickets are an organisation's tickets, counted from the day they were closed. Their messages and
// attachments go with them by the database's cascade, the files just before.
func closedTickets(s *store, tenant string) (retention.Target, error) {
	return retention.NewSQLTarget(retention.SQLTargetConfig{
		DB: s.db, Table: "portal_ticket", Key: "id", Anchor: "closed_at", Tenant: "tenant",
		Where: "status = ? AND tenant = ?", Args: []any{"closed", tenant},
		BeforeDelete: func(ctx context.Context, tx *sql.Tx, tickets []string) error {
			files, err := s.filesOf(ctx, tx, tickets...)
			if err != nil {
				return err
			}
			return s.removeFiles(ctx, files)
		},
	})
}
