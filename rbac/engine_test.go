// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/rbac"
	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "carl", "customer", "acme")
	w.give(t, "anna", "agent", "acme")
	w.give(t, "berta", "agent", "acme/berlin")
	w.give(t, "susi", "agent", "acme")
	w.give(t, "susi", "suspended", "acme/berlin")
	w.give(t, "gina", "agent", "globex")
	for _, test := range []struct {
		name, id, tenant string
		perm             *rbac.Perm
		res              rbac.Resource
		want             error
	}{
		{"own ticket", "carl", "acme", ticketRead, thing{"acme", "carl"}, nil},
		{"own ticket below", "carl", "acme", ticketRead, thing{"acme/berlin", "carl"}, nil},
		{"another's ticket", "carl", "acme", ticketRead, thing{"acme", "anna"}, rbac.ErrDenied},
		{"nobody's ticket", "carl", "acme", ticketRead, thing{"acme", ""}, rbac.ErrDenied},
		{"no resource needs no condition", "carl", "acme", ticketRead, nil, rbac.ErrDenied},
		{"without condition", "anna", "acme", ticketRead, nil, nil},
		{"a wildcard covers no sensitive permission", "anna", "acme", ticketDelete, thing{"acme", "carl"}, rbac.ErrDenied},
		{"deny of one's own", "anna", "acme", ticketClose, thing{"acme", "anna"}, rbac.ErrDenied},
		{"deny of one's own, another's", "anna", "acme", ticketClose, thing{"acme", "carl"}, nil},
		{"deny of one's own, owner unknown", "anna", "acme", ticketClose, thing{"acme", ""}, rbac.ErrDenied},
		{"in the scope", "berta", "acme", ticketRead, thing{"acme/berlin", "carl"}, nil},
		{"below the scope", "berta", "acme", ticketRead, thing{"acme/berlin/mitte", "carl"}, nil},
		{"above the scope", "berta", "acme", ticketRead, thing{"acme", "carl"}, rbac.ErrDenied},
		{"beside the scope", "berta", "acme", ticketRead, thing{"acme/berlin2", "carl"}, rbac.ErrDenied},
		{"only in a part of the tenant", "berta", "acme", ticketRead, nil, rbac.ErrDenied},
		{"deny there beats allow around", "susi", "acme", ticketRead, thing{"acme/berlin", "carl"}, rbac.ErrDenied},
		{"deny there is only there", "susi", "acme", ticketRead, thing{"acme/bonn", "carl"}, nil},
		{"another tenant", "anna", "acme", ticketRead, thing{"globex", "anna"}, rbac.ErrNotFound},
		{"another tenant with the same beginning", "anna", "acme", ticketRead, thing{"acme2", "anna"}, rbac.ErrNotFound},
		{"another tenant in other case", "anna", "acme", ticketRead, thing{"ACME", "anna"}, rbac.ErrNotFound},
		{"roles stay in their tenant", "gina", "acme", ticketRead, thing{"acme", "gina"}, rbac.ErrDenied},
		{"no role at all", "nobody", "acme", ticketRead, thing{"acme", "nobody"}, rbac.ErrDenied},
		{"no scope", "anna", "acme", ticketRead, thing{"", "anna"}, rbac.ErrScope},
		{"no tenant", "anna", "", ticketRead, thing{"acme", "anna"}, rbac.ErrScope},
		{"a path as tenant", "berta", "acme/berlin", ticketRead, thing{"acme/berlin", ""}, rbac.ErrScope},
	} {
		err := w.Check(as(t, test.id, test.tenant), test.perm, test.res)
		require.ErrorIs(t, err, test.want, test.name)
		require.Equal(t, test.want == nil, w.Can(as(t, test.id, test.tenant), test.perm, test.res), test.name)
	}
	require.ErrorIs(t, w.Check(t.Context(), ticketRead, thing{"acme", ""}), rbac.ErrNoPrincipal)
	require.ErrorContains(t, w.Check(as(t, "anna", "acme"), rbac.Permission("ticket.read", "a twin"), nil), "not in the catalog")
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "susi", "supervisor", "acme")
	w.give(t, "anna", "agent", "acme")
	x := thing{"acme", "carl"}
	check := func(id string, authTime time.Time, kinds ...string) error {
		p := portalsec.Principal{ID: id, Tenant: "acme", AuthTime: authTime}
		for _, k := range kinds {
			p.Factors = append(p.Factors, portalsec.FactorProof{Kind: k, At: authTime})
		}
		return w.Check(portalsec.WithPrincipal(t.Context(), p), ticketDelete, x)
	}
	want := func(err error, secondFactor bool, fresh time.Duration, code string) {
		t.Helper()
		var c *rbac.Challenge
		require.ErrorAs(t, err, &c)
		require.Equal(t, rbac.Challenge{Permission: "ticket.delete", SecondFactor: secondFactor, Fresh: fresh}, *c)
		require.Equal(t, code, c.Code())
	}
	require.NoError(t, check("susi", start, "password", "totp"))
	require.NoError(t, check("susi", start.Add(-5*time.Minute), "password", "totp"))
	want(check("susi", start, "password"), true, 0, "second-factor-required")
	want(check("susi", start, "password", "email"), true, 0, "second-factor-required")
	want(check("susi", start.Add(-5*time.Minute-1), "password", "totp"), false, 5*time.Minute, "reauthentication-required")
	want(check("susi", time.Time{}, "password"), true, 5*time.Minute, "second-factor-required")
	require.ErrorIs(t, check("anna", time.Time{}), rbac.ErrDenied, "who is not allowed is not challenged")
	require.True(t, w.Can(as(t, "susi", "acme"), ticketDelete, x), "the button is shown")
	require.False(t, w.Can(as(t, "anna", "acme"), ticketDelete, x))
}

func TestAssignmentsInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	require.NoError(t, w.AssignWithoutGrantor(t.Context(), rbac.Assignment{Tenant: "acme", Subject: "anna", Role: "agent",
		Scope: "acme", From: start.Add(time.Hour), Until: start.Add(2 * time.Hour)}))
	ctx := as(t, "anna", "acme")
	for _, step := range []struct {
		at   time.Duration
		want error
	}{{0, rbac.ErrDenied}, {time.Hour - 1, rbac.ErrDenied}, {time.Hour, nil}, {2*time.Hour - 1, nil}, {2 * time.Hour, rbac.ErrDenied}} {
		w.now = start.Add(step.at)
		require.ErrorIs(t, w.Check(ctx, ticketRead, nil), step.want, step.at)
		roles, err := w.Roles(ctx, "acme", "anna")
		require.NoError(t, err)
		require.Equal(t, step.want == nil, len(roles) == 1, step.at)
	}
}

// Two engines on one store are two processes: a change through one is seen by the next check of the other.
func TestChangesAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	one := newWorld(t, policy)
	two := newWorld(t, policy, func(c *rbac.Config) { c.Assignments = one.store })
	ctx := as(t, "anna", "acme")
	for range 3 {
		require.ErrorIs(t, two.Check(ctx, ticketRead, nil), rbac.ErrDenied)
		one.give(t, "anna", "agent", "acme")
		require.NoError(t, two.Check(ctx, ticketRead, nil))
		_, err := one.store.Remove(ctx, "acme", "anna", "agent", "acme")
		require.NoError(t, err)
	}
}

func TestNoCheckAllowsAfterRemove(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	var wg sync.WaitGroup
	for _, id := range []string{"a", "b", "c", "d"} {
		ctx := as(t, id, "acme")
		wg.Go(func() {
			for range 200 {
				if err := w.AssignWithoutGrantor(ctx, rbac.Assignment{Tenant: "acme", Subject: id, Role: "agent", Scope: "acme"}); err != nil {
					t.Errorf("Assign = %v", err)
				}
				if err := w.Check(ctx, ticketRead, nil); err != nil {
					t.Errorf("Check after Assign = %v, want nil", err)
				}
				if _, err := w.store.Remove(ctx, "acme", id, "agent", "acme"); err != nil {
					t.Errorf("Remove = %v", err)
				}
				if err := w.Check(ctx, ticketRead, nil); !errors.Is(err, rbac.ErrDenied) {
					t.Errorf("Check after Remove = %v, want ErrDenied", err)
				}
			}
		})
	}
	wg.Wait()
}

func TestRolesOfPrincipal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy, func(c *rbac.Config) { c.Assignments, c.RolesOfPrincipal = nil, true })
	ctx := func(roles ...string) context.Context {
		return portalsec.WithPrincipal(t.Context(), portalsec.Principal{ID: "anna", Tenant: "acme", Roles: roles})
	}
	require.NoError(t, w.Check(ctx("agent"), ticketRead, thing{"acme/berlin", ""}))
	require.ErrorIs(t, w.Check(ctx("agent", "suspended"), ticketRead, nil), rbac.ErrDenied)
	require.ErrorIs(t, w.Check(ctx("agents"), ticketRead, nil), rbac.ErrDenied)
	require.ErrorIs(t, w.Check(ctx(), ticketRead, nil), rbac.ErrDenied)
	require.Error(t, w.AssignWithoutGrantor(t.Context(), rbac.Assignment{Tenant: "acme", Subject: "a", Role: "agent", Scope: "acme"}))
	_, err := w.Roles(t.Context(), "acme", "anna")
	require.Error(t, err)
}

// brokenStore fails, or gives assignments that were not asked for.
type brokenStore struct {
	rbac.AssignmentStore
	err  error
	list []rbac.Assignment
}

func (s brokenStore) Version(context.Context) (uint64, error) { return 1, s.err }
func (s brokenStore) List(context.Context, string, string) ([]rbac.Assignment, error) {
	return s.list, nil
}

func TestBrokenStoreDenies(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	agent := rbac.Assignment{Tenant: "acme", Subject: "anna", Role: "agent", Scope: "acme"}
	with := func(change func(*rbac.Assignment)) []rbac.Assignment {
		a := agent
		change(&a)
		return []rbac.Assignment{a}
	}
	for name, s := range map[string]brokenStore{
		"down":         {err: down, list: []rbac.Assignment{agent}},
		"other tenant": {list: with(func(a *rbac.Assignment) { a.Tenant = "globex" })},
		"other person": {list: with(func(a *rbac.Assignment) { a.Subject = "carl" })},
		"other scope":  {list: with(func(a *rbac.Assignment) { a.Scope = "globex" })},
		"no scope":     {list: with(func(a *rbac.Assignment) { a.Scope = "" })},
	} {
		w := newWorld(t, policy, func(c *rbac.Config) { c.Assignments = s })
		ctx := as(t, "anna", "acme")
		err := w.Check(ctx, ticketRead, nil)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, rbac.ErrDenied, name)
		require.False(t, w.Can(ctx, ticketRead, nil), name)
		_, err = w.Filter(ctx, ticketRead)
		require.Error(t, err, name)
		got := w.events.take()
		require.Equal(t, "store-failed", got[0].Reason, name)
	}
	w := newWorld(t, policy, func(c *rbac.Config) {
		c.Assignments = brokenStore{list: with(func(a *rbac.Assignment) { a.Role = "of an older policy" })}
	})
	require.ErrorIs(t, w.Check(as(t, "anna", "acme"), ticketRead, nil), rbac.ErrDenied)
}

func TestDecisionsAreRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "susi", "supervisor", "acme")
	full := portalsec.WithPrincipal(t.Context(), portalsec.Principal{ID: "susi", Tenant: "acme", AuthTime: start,
		Factors: []portalsec.FactorProof{{Kind: "password", At: start}, {Kind: "totp", At: start}}})
	for _, test := range []struct {
		ctx     context.Context
		perm    *rbac.Perm
		res     thing
		outcome audit.Outcome
		reason  string
	}{
		{full, ticketRead, thing{"acme", "carl"}, "", ""},
		{full, ticketDelete, thing{"acme", "carl"}, audit.Success, ""},
		{full, roleAssign, thing{"acme", "carl"}, audit.Denied, "no-permission"},
		{full, ticketRead, thing{"globex", "carl"}, audit.Denied, "other-tenant"},
		{full, ticketRead, thing{"", "carl"}, audit.Error, "program-error"},
		{as(t, "susi", "acme"), ticketDelete, thing{"acme", "carl"}, audit.Denied, "second-factor-required"},
		{t.Context(), ticketRead, thing{"acme", "carl"}, "", ""},
	} {
		_ = w.Can(test.ctx, test.perm, test.res)
		_ = w.Check(test.ctx, test.perm, test.res)
		got := w.events.take()
		if test.outcome == "" {
			require.Empty(t, got)
			continue
		}
		require.Len(t, got, 1, test.reason)
		require.Equal(t, audit.RBACDecision, got[0].Kind)
		require.Equal(t, test.outcome, got[0].Outcome)
		require.Equal(t, test.reason, got[0].Reason)
		require.Equal(t, audit.Pseudonym("susi"), got[0].Actor)
		require.Equal(t, []audit.Pseudonym{"carl"}, got[0].Subjects)
		require.Equal(t, []audit.Detail{{Name: "permission", Value: test.perm.Name()}, {Name: "scope", Value: test.res.scope}}, got[0].Details)
		require.Len(t, got[0].Rule, 64)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "carl", "customer", "acme")
	w.give(t, "anna", "agent", "acme")
	w.give(t, "berta", "reader", "acme/berlin")
	w.give(t, "dora", "reader", "acme")
	w.give(t, "dora", "suspended", "acme/berlin")
	for _, test := range []struct {
		id   string
		perm *rbac.Perm
		want rbac.Filter
	}{
		{"nobody", ticketRead, rbac.Filter{None: true, SQL: "1 = 0"}},
		{"anna", ticketRead, rbac.Filter{All: true, SQL: "((tenant IS NOT NULL AND tenant = ?))", Args: []any{"acme"}}},
		{"carl", ticketRead, rbac.Filter{SQL: "((tenant IS NOT NULL AND tenant = ? AND customer_id IS NOT NULL AND customer_id = ?))", Args: []any{"acme", "carl"}}},
		{"berta", ticketRead, rbac.Filter{None: true, SQL: "1 = 0"}},
		{"berta", noteRead, rbac.Filter{SQL: "((n.path IS NOT NULL AND (n.path = ? OR SUBSTR(n.path, 1, 12) = ?)))", Args: []any{"acme/berlin", "acme/berlin/"}}},
		{"dora", noteRead, rbac.Filter{All: true, SQL: "((n.path IS NOT NULL AND (n.path = ? OR SUBSTR(n.path, 1, 5) = ?)))", Args: []any{"acme", "acme/"}}},
	} {
		got, err := w.Filter(as(t, test.id, "acme"), test.perm)
		require.NoError(t, err)
		require.Equal(t, test.want, got, test.id)
	}
	_, err := w.Filter(t.Context(), ticketRead)
	require.ErrorIs(t, err, rbac.ErrNoPrincipal)
	_, err = w.Filter(as(t, "anna", ""), ticketRead)
	require.ErrorIs(t, err, rbac.ErrScope)
	_, err = w.Filter(as(t, "anna", "acme"), ticketOpen)
	require.ErrorContains(t, err, "no Columns")
}
