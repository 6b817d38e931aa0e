// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/rbac"
	"github.com/stretchr/testify/require"
)

func TestAssign(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "adam", "administrator", "acme")
	w.give(t, "susi", "supervisor", "acme/berlin")
	w.give(t, "mara", "manager", "acme")
	require.NoError(t, w.AssignWithoutGrantor(t.Context(), rbac.Assignment{Tenant: "acme", Subject: "temp", Role: "administrator",
		Scope: "acme", Until: start.Add(time.Hour)}))
	w.events.take()
	for _, test := range []struct {
		name, grantor string
		a             rbac.Assignment
		want          error
		reason        string
	}{
		{"listed, not held by the grantor", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "agent", Scope: "acme"}, nil, ""},
		{"twice", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "agent", Scope: "acme"}, rbac.ErrAssigned, "failed"},
		{"the same elsewhere", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "agent", Scope: "acme/berlin"}, nil, ""},
		{"not listed", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "chief-auditor", Scope: "acme"}, rbac.ErrNotGrantable, "not-grantable"},
		{"held is not grantable", "susi", rbac.Assignment{Tenant: "acme", Subject: "u2", Role: "supervisor", Scope: "acme/berlin"}, rbac.ErrNotGrantable, "not-grantable"},
		{"in one's scope", "susi", rbac.Assignment{Tenant: "acme", Subject: "u2", Role: "agent", Scope: "acme/berlin/mitte"}, nil, ""},
		{"listed by an inherited role", "mara", rbac.Assignment{Tenant: "acme", Subject: "u5", Role: "agent", Scope: "acme"}, nil, ""},
		{"above one's scope", "susi", rbac.Assignment{Tenant: "acme", Subject: "u2", Role: "agent", Scope: "acme"}, rbac.ErrNotGrantable, "not-grantable"},
		{"beside one's scope", "susi", rbac.Assignment{Tenant: "acme", Subject: "u2", Role: "agent", Scope: "acme/bonn"}, rbac.ErrNotGrantable, "not-grantable"},
		{"to oneself", "adam", rbac.Assignment{Tenant: "acme", Subject: "adam", Role: "agent", Scope: "acme"}, rbac.ErrNotGrantable, "not-grantable"},
		{"no longer than the grantor", "temp", rbac.Assignment{Tenant: "acme", Subject: "u3", Role: "agent", Scope: "acme", Until: start.Add(time.Hour)}, nil, ""},
		{"longer than the grantor", "temp", rbac.Assignment{Tenant: "acme", Subject: "u4", Role: "agent", Scope: "acme", Until: start.Add(time.Hour + 1e3)}, rbac.ErrNotGrantable, "not-grantable"},
		{"for ever", "temp", rbac.Assignment{Tenant: "acme", Subject: "u4", Role: "agent", Scope: "acme"}, rbac.ErrNotGrantable, "not-grantable"},
		{"in another tenant", "adam", rbac.Assignment{Tenant: "globex", Subject: "u1", Role: "agent", Scope: "globex"}, rbac.ErrNotFound, "other-tenant"},
		{"by nobody special", "u9", rbac.Assignment{Tenant: "acme", Subject: "u8", Role: "customer", Scope: "acme"}, rbac.ErrNotGrantable, "not-grantable"},
		{"unknown role", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "agnet", Scope: "acme"}, rbac.ErrUnknownRole, "failed"},
		{"exclusive", "adam", rbac.Assignment{Tenant: "acme", Subject: "temp", Role: "auditor", Scope: "acme/bonn"}, rbac.ErrExclusive, "exclusive"},
		{"exclusive, but later", "adam", rbac.Assignment{Tenant: "acme", Subject: "temp", Role: "auditor", Scope: "acme", From: start.Add(time.Hour)}, nil, ""},
		{"no scope", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "reader"}, rbac.ErrInvalid, "failed"},
		{"scope elsewhere", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "reader", Scope: "acme2"}, rbac.ErrInvalid, "failed"},
		{"scope cut short by some databases", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "reader", Scope: "acme/a\x00b"}, rbac.ErrInvalid, "failed"},
		{"scope of uncountable characters", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "reader", Scope: "acme/\xff\x80"}, rbac.ErrInvalid, "failed"},
		{"no subject", "adam", rbac.Assignment{Tenant: "acme", Role: "reader", Scope: "acme"}, rbac.ErrInvalid, "failed"},
		{"no tenant", "adam", rbac.Assignment{Subject: "u1", Role: "reader", Scope: "acme"}, rbac.ErrInvalid, "failed"},
		{"ended", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "reader", Scope: "acme", From: start.Add(-2), Until: start.Add(-1)}, rbac.ErrInvalid, "failed"},
		{"ends before it begins", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "reader", Scope: "acme", From: start.Add(2 * time.Hour), Until: start.Add(time.Hour)}, rbac.ErrInvalid, "failed"},
		{"long reason", "adam", rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "reader", Scope: "acme", Reason: strings.Repeat("x", 501)}, rbac.ErrInvalid, "failed"},
	} {
		before, err := w.store.Version(t.Context())
		require.NoError(t, err)
		err = w.Assign(as(t, test.grantor, "acme"), test.a)
		require.ErrorIs(t, err, test.want, test.name)
		after, _ := w.store.Version(t.Context())
		require.Equal(t, test.want == nil, after > before, test.name)
		got := w.events.take()
		require.Len(t, got, 1, test.name)
		require.Equal(t, audit.RBACAssigned, got[0].Kind)
		require.Equal(t, audit.Pseudonym(test.grantor), got[0].Actor)
		require.Equal(t, test.reason, got[0].Reason, test.name)
		require.Equal(t, test.want == nil, got[0].Outcome == audit.Success, test.name)
	}
	require.ErrorIs(t, w.Assign(t.Context(), rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "reader", Scope: "acme"}), rbac.ErrNoPrincipal)

	list, err := w.Assignments(t.Context(), "acme", "u1")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "adam", list[0].Grantor)
	require.NotEmpty(t, list[0].ID)
	require.Equal(t, start, list[0].From)
	roles, err := w.Roles(t.Context(), "acme", "susi")
	require.NoError(t, err)
	require.Equal(t, []string{"agent", "supervisor"}, roles, "with what is inherited")
}

// Who acts as somebody else gains and loses no roles by it.
func TestAssignWhileImpersonating(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "adam", "administrator", "acme")
	w.give(t, "staff", "suspended", "acme")
	w.give(t, "staff", "reader", "acme")
	ctx := portalsec.WithPrincipal(t.Context(), portalsec.Principal{ID: "adam", Tenant: "acme", Impersonator: "staff"})
	a := rbac.Assignment{Tenant: "acme", Subject: "staff", Role: "agent", Scope: "acme"}
	require.ErrorIs(t, w.Assign(ctx, a), rbac.ErrNotGrantable)
	require.ErrorIs(t, w.Unassign(ctx, "acme", "staff", "reader", "acme"), rbac.ErrNotGrantable)
	a.Subject = "u1"
	require.NoError(t, w.Assign(ctx, a))
}

// An inherited role excludes as the role itself does.
func TestExclusiveByInheritance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "u1", "chief-auditor", "acme")
	err := w.AssignWithoutGrantor(t.Context(), rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "administrator", Scope: "acme"})
	require.ErrorIs(t, err, rbac.ErrExclusive)
	w.give(t, "u2", "administrator", "acme")
	err = w.AssignWithoutGrantor(t.Context(), rbac.Assignment{Tenant: "acme", Subject: "u2", Role: "chief-auditor", Scope: "acme"})
	require.ErrorIs(t, err, rbac.ErrExclusive)
	w.give(t, "u2", "chief-auditor", "globex")
}

func TestUnassign(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	require.NoError(t, w.AssignWithoutGrantor(t.Context(), rbac.Assignment{Tenant: "acme", Subject: "adam", Role: "administrator",
		Scope: "acme", Until: start.Add(time.Hour)}))
	w.give(t, "anna", "agent", "acme")
	w.give(t, "susi", "supervisor", "acme/berlin")
	require.NoError(t, w.Check(as(t, "anna", "acme"), ticketRead, nil))

	require.ErrorIs(t, w.Unassign(t.Context(), "acme", "anna", "agent", "acme"), rbac.ErrNoPrincipal)
	require.ErrorIs(t, w.Unassign(as(t, "susi", "acme"), "acme", "anna", "agent", "acme"), rbac.ErrNotGrantable)
	require.ErrorIs(t, w.Unassign(as(t, "adam", "globex"), "acme", "anna", "agent", "acme"), rbac.ErrNotFound)
	require.ErrorIs(t, w.Unassign(as(t, "adam", "acme"), "acme", "adam", "administrator", "acme"), rbac.ErrNotGrantable)
	require.ErrorIs(t, w.Unassign(as(t, "adam", "acme"), "acme", "anna", "reader", "acme"), rbac.ErrNotAssigned)
	require.NoError(t, w.Check(as(t, "anna", "acme"), ticketRead, nil))
	w.events.take()

	require.NoError(t, w.Unassign(as(t, "adam", "acme"), "acme", "anna", "agent", "acme"))
	got := w.events.take()
	require.Len(t, got, 1)
	require.Equal(t, audit.RBACRevoked, got[0].Kind)
	require.Equal(t, []audit.Pseudonym{"anna"}, got[0].Subjects)
	require.Equal(t, &audit.Target{Type: "role", ID: "agent"}, got[0].Target)
	require.ErrorIs(t, w.Check(as(t, "anna", "acme"), ticketRead, nil), rbac.ErrDenied)
}

// What cannot be recorded does not happen.
func TestUnrecordedDoesNotHappen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "adam", "administrator", "acme")
	w.give(t, "anna", "agent", "acme")
	before, err := w.Assignments(t.Context(), "acme", "anna")
	require.NoError(t, err)

	w.events.fail = errors.New("disk full")
	err = w.Assign(as(t, "adam", "acme"), rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "agent", Scope: "acme"})
	require.ErrorIs(t, err, w.events.fail)
	list, err := w.Assignments(t.Context(), "acme", "u1")
	require.NoError(t, err)
	require.Empty(t, list)

	require.ErrorIs(t, w.Unassign(as(t, "adam", "acme"), "acme", "anna", "agent", "acme"), w.events.fail)
	after, err := w.Assignments(t.Context(), "acme", "anna")
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// The event is there before the role is: a program that dies in between leaves nothing in force unrecorded.
func TestRecordedFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "adam", "administrator", "acme")
	w.give(t, "anna", "agent", "acme")
	before, err := w.store.Version(t.Context())
	require.NoError(t, err)
	w.events.onRecord = func() {
		now, err := w.store.Version(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, now)
	}
	require.NoError(t, w.Unassign(as(t, "adam", "acme"), "acme", "anna", "agent", "acme"))
	require.Len(t, w.events.take(), 1)
	before++
	require.NoError(t, w.Assign(as(t, "adam", "acme"), rbac.Assignment{Tenant: "acme", Subject: "anna", Role: "agent", Scope: "acme"}))
	require.Len(t, w.events.take(), 1)
}

// What is recorded is done, also when the client goes away meanwhile.
func TestRecordedIsFinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "adam", "administrator", "acme")
	ctx, leave := context.WithCancel(as(t, "adam", "acme"))
	w.events.onRecord = leave
	require.NoError(t, w.Assign(ctx, rbac.Assignment{Tenant: "acme", Subject: "anna", Role: "agent", Scope: "acme"}))
	ctx, w.events.onRecord = context.WithCancel(as(t, "adam", "acme"))
	require.NoError(t, w.Unassign(ctx, "acme", "anna", "agent", "acme"))
}

// When the store fails after the event, a second event says so.
func TestRecordedAndFailed(t *testing.T) {
	t.Parallel()
	store := &failingStore{Memory: rbac.NewMemory()}
	w := newWorld(t, policy, func(c *rbac.Config) { c.Assignments = store })
	w.give(t, "adam", "administrator", "acme")
	w.give(t, "anna", "agent", "acme")
	store.fail = errors.New("disk full")
	for kind, act := range map[audit.Kind]func() error{
		audit.RBACAssigned: func() error {
			return w.Assign(as(t, "adam", "acme"), rbac.Assignment{Tenant: "acme", Subject: "u1", Role: "agent", Scope: "acme"})
		},
		audit.RBACRevoked: func() error { return w.Unassign(as(t, "adam", "acme"), "acme", "anna", "agent", "acme") },
	} {
		require.ErrorIs(t, act(), store.fail)
		got := w.events.take()
		require.Len(t, got, 2)
		require.Equal(t, kind, got[1].Kind)
		require.Equal(t, "failed", got[1].Reason)
		require.Equal(t, audit.Failure, got[1].Outcome)
	}
}

// failingStore fails to change anything while fail is set.
type failingStore struct {
	*rbac.Memory
	fail error
}

func (s *failingStore) Add(ctx context.Context, a rbac.Assignment, excluded []string) error {
	if s.fail != nil {
		return s.fail
	}
	return s.Memory.Add(ctx, a, excluded)
}

func (s *failingStore) Remove(ctx context.Context, tenant, subject, role, scope string) (rbac.Assignment, error) {
	if s.fail != nil {
		return rbac.Assignment{}, s.fail
	}
	return s.Memory.Remove(ctx, tenant, subject, role, scope)
}
