// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/internal/uuid"
)

// errNoStore says that the engine does not keep assignments.
var errNoStore = errors.New("rbac: Config.Assignments is not set: the application keeps the roles")

// Assign gives a role, as the principal of the context. One of the principal's own roles must list the role
// under may_grant, in a scope that covers the assignment's and for as long; nobody gives roles to themselves, nor
// to the one who acts as them. ID and Grantor are set by Assign, whatever a has there.
//
// The errors that callers may want to tell apart are [ErrNoPrincipal], [ErrInvalid], [ErrUnknownRole],
// [ErrNotFound] for another tenant, [ErrNotGrantable], [ErrExclusive] and [ErrAssigned]. An assignment that
// cannot be recorded is not made.
func (e *Engine) Assign(ctx context.Context, a Assignment) error {
	p, ok := portalsec.PrincipalFrom(ctx)
	if !ok {
		return ErrNoPrincipal
	}
	a.Grantor = p.ID
	err := e.validate(&a)
	if err == nil {
		err = e.mayGrant(ctx, &p, a, false)
	}
	if err != nil {
		return errors.Join(err, e.recordRefusal(ctx, audit.RBACAssigned, a, err))
	}
	return e.assign(ctx, a)
}

// AssignWithoutGrantor gives a role without asking who may grant it. It is for the program's own acts, such as
// the first administrator of a new tenant, and never for what a user asks for.
func (e *Engine) AssignWithoutGrantor(ctx context.Context, a Assignment) error {
	a.Grantor = ""
	if err := e.validate(&a); err != nil {
		return err
	}
	return e.assign(ctx, a)
}

// validate checks an assignment and puts its times into the form that stores keep.
func (e *Engine) validate(a *Assignment) error {
	now := e.clock.Now()
	if a.From.IsZero() {
		a.From = now
	}
	a.From = a.From.UTC().Truncate(time.Microsecond)
	a.Until = a.Until.UTC().Truncate(time.Microsecond)
	switch {
	case e.store == nil:
		return errNoStore
	case !validTenant(a.Tenant), !covers(a.Tenant, a.Scope), !plain(a.Scope):
		return fmt.Errorf("%w: its scope is not its tenant or a path below it", ErrInvalid)
	case a.Subject == "", !plain(a.Subject):
		return fmt.Errorf("%w: it has no valid subject", ErrInvalid)
	case len(a.Reason) > 500:
		return fmt.Errorf("%w: the reason is longer than 500 bytes", ErrInvalid)
	case !a.Until.IsZero() && (!a.Until.After(a.From) || !a.Until.After(now)):
		return fmt.Errorf("%w: it ends before it begins, or has ended", ErrInvalid)
	}
	if _, ok := e.policy.number[a.Role]; !ok {
		return fmt.Errorf("%w: %q", ErrUnknownRole, a.Role)
	}
	return nil
}

// mayGrant tells whether a principal may give a role, or take it.
func (e *Engine) mayGrant(ctx context.Context, p *portalsec.Principal, a Assignment, take bool) error {
	if !validTenant(p.Tenant) {
		return ErrScope
	}
	if a.Tenant != p.Tenant {
		return ErrNotFound
	}
	if a.Subject == p.ID || a.Subject == p.Impersonator {
		return ErrNotGrantable
	}
	role := e.policy.number[a.Role]
	// Not the set of the visit: a right to grant that was just taken away counts no more.
	s, err := e.subject(ctx, nil, p)
	if err != nil {
		return err
	}
	for _, h := range s.active {
		longEnough := take || h.until.IsZero() || !a.Until.IsZero() && !a.Until.After(h.until)
		if e.policy.roles[h.role].grants.has(role) && covers(h.scope, a.Scope) && longEnough {
			return nil
		}
	}
	return ErrNotGrantable
}

// assign makes an assignment. What the store would refuse is looked for before, but the store has the last word.
func (e *Engine) assign(ctx context.Context, a Assignment) error {
	a.ID = uuid.NewV7(e.clock.Now())
	excluded := e.policy.roles[e.policy.number[a.Role]].conflicts
	held, err := e.list(ctx, a.Tenant, a.Subject)
	if err == nil {
		err = conflict(held, a, excluded)
	}
	if err != nil {
		return errors.Join(err, e.recordRefusal(ctx, audit.RBACAssigned, a, err))
	}
	return audit.Act(ctx, e.audit, assignmentEvent(audit.RBACAssigned, a), func(ctx context.Context, result *audit.Event) error {
		err := e.store.Add(ctx, a, excluded)
		if err != nil {
			refuse(result, err)
		}
		return err
	})
}

// Unassign takes a role, as the principal of the context. Who may give a role in a scope may take it there, but
// not their own. The errors are those of [Engine.Assign] and [ErrNotAssigned]. A removal that cannot be recorded
// does not happen.
func (e *Engine) Unassign(ctx context.Context, tenant, subject, role, scope string) error {
	p, ok := portalsec.PrincipalFrom(ctx)
	if !ok {
		return ErrNoPrincipal
	}
	a := Assignment{Tenant: tenant, Subject: subject, Role: role, Scope: scope, Grantor: p.ID}
	err := e.validate(&a)
	if err == nil {
		err = e.mayGrant(ctx, &p, a, true)
	}
	if err == nil {
		a, err = e.assignment(ctx, a)
	}
	if err != nil {
		return errors.Join(err, e.recordRefusal(ctx, audit.RBACRevoked, a, err))
	}
	return audit.Act(ctx, e.audit, assignmentEvent(audit.RBACRevoked, a), func(ctx context.Context, result *audit.Event) error {
		_, err := e.store.Remove(ctx, tenant, subject, role, scope)
		if err != nil {
			refuse(result, err)
		}
		return err
	})
}

// assignment gives what the store has of a.
func (e *Engine) assignment(ctx context.Context, a Assignment) (Assignment, error) {
	held, err := e.list(ctx, a.Tenant, a.Subject)
	if err != nil {
		return a, err
	}
	i := slices.IndexFunc(held, func(h Assignment) bool { return h.Role == a.Role && h.Scope == a.Scope })
	if i < 0 {
		return a, ErrNotAssigned
	}
	return held[i], nil
}

// Assignments gives all assignments of a subject in a tenant, ended and future ones too, sorted by scope and
// role. It asks nobody's permission: the handler does.
func (e *Engine) Assignments(ctx context.Context, tenant, subject string) ([]Assignment, error) {
	if e.store == nil {
		return nil, errNoStore
	}
	return e.list(ctx, tenant, subject)
}

// Roles gives the names of the roles that a user holds now somewhere in a tenant, with those that they inherit,
// sorted.
func (e *Engine) Roles(ctx context.Context, tenant, user string) ([]string, error) {
	if e.store == nil {
		return nil, errNoStore
	}
	s, err := e.load(ctx, subjectKey{tenant, user}, nil, e.clock.Now())
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range e.policy.roles {
		if slices.ContainsFunc(s.active, func(h held) bool { return e.policy.roles[h.role].closure.has(i) }) {
			names = append(names, e.policy.roles[i].Name)
		}
	}
	return names, nil
}

// recordRefusal writes down that an assignment was not made or taken.
func (e *Engine) recordRefusal(ctx context.Context, kind audit.Kind, a Assignment, err error) error {
	event := assignmentEvent(kind, a)
	refuse(&event, err)
	return e.audit.Record(ctx, event)
}

// refuse puts into an event why the assignment that it tells of was not made or taken.
func refuse(event *audit.Event, err error) {
	event.Outcome, event.Severity = audit.Denied, audit.Warning
	switch {
	case errors.Is(err, ErrNotGrantable):
		event.Reason = "not-grantable"
	case errors.Is(err, ErrNotFound):
		event.Reason = "other-tenant"
	case errors.Is(err, ErrExclusive):
		event.Reason = "exclusive"
	default:
		event.Reason, event.Outcome, event.Severity = "failed", audit.Failure, audit.Info
	}
}

// assignmentEvent describes an assignment. The reason that a person gave is free text, so it stays in the
// store.
func assignmentEvent(kind audit.Kind, a Assignment) audit.Event {
	event := audit.Event{
		Kind: kind, Outcome: audit.Success, Severity: audit.Notice, Tenant: a.Tenant,
		Subjects: []audit.Pseudonym{audit.Pseudonym(a.Subject)},
		Target:   &audit.Target{Type: "role", ID: a.Role},
		Details:  []audit.Detail{{Name: "scope", Value: a.Scope}},
	}
	if !a.Until.IsZero() {
		event.Details = append(event.Details, audit.Detail{Name: "until", Value: a.Until.Format(time.RFC3339)})
	}
	return event
}
