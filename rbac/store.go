// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Assignment says that a subject holds a role in a scope for a time.
type Assignment struct {
	// ID is the assignment's key, made by [Engine.Assign].
	ID string
	// Tenant is the organisation. It is never empty.
	Tenant string
	// Subject is the ID of the principal who holds the role.
	Subject string
	// Role is the name of a role of the policy.
	Role string
	// Scope is where the role is held: the tenant, or a path below it such as "acme/berlin".
	Scope string
	// From is when the role begins to be held, in UTC to the microsecond. [Engine.Assign] takes the zero time
	// for now.
	From time.Time
	// Until is when it is no longer held, in UTC to the microsecond. The zero time means without end.
	Until time.Time
	// Grantor is the ID of the principal who gave the role, empty when the program itself did.
	Grantor string
	// Reason is why, in at most 500 bytes. It may be empty.
	Reason string
}

// active tells whether the role is held at a time.
func (a Assignment) active(now time.Time) bool {
	return !now.Before(a.From) && (a.Until.IsZero() || now.Before(a.Until))
}

// overlaps tells whether there is a moment at which both assignments are held.
func (a Assignment) overlaps(b Assignment) bool {
	return (a.Until.IsZero() || b.From.Before(a.Until)) && (b.Until.IsZero() || a.From.Before(b.Until))
}

// conflict tells why a cannot be added to what its subject holds, as [AssignmentStore].Add says it.
func conflict(held []Assignment, a Assignment, excluded []string) error {
	for _, h := range held {
		if slices.Contains(excluded, h.Role) && h.overlaps(a) {
			return fmt.Errorf("%w: %s", ErrExclusive, h.Role)
		}
	}
	for _, h := range held {
		if h.Role == a.Role && h.Scope == a.Scope && (h.Until.IsZero() || h.Until.After(a.From)) {
			return ErrAssigned
		}
	}
	return nil
}

// AssignmentStore keeps who holds which role. Package rbac/rbactest has its rules as tests.
//
// All methods may be called by several goroutines and several processes. A method whose context has ended
// returns an error and has changed nothing. The store reads no clock.
type AssignmentStore interface {
	// Add stores a. It must refuse with [ErrExclusive] when the subject holds, in the same tenant and any scope,
	// one of the roles in excluded at a moment at which a is held too; and with [ErrAssigned] when the subject
	// holds the same role in the same scope, unless that ended at a.From or before: then a replaces it. Test
	// and change are one atomic act: of calls that exclude each other, one wins.
	Add(ctx context.Context, a Assignment, excluded []string) error

	// Remove deletes an assignment and returns what it was. It returns [ErrNotAssigned] when there is none. Of
	// several calls for one assignment, one wins.
	Remove(ctx context.Context, tenant, subject, role, scope string) (Assignment, error)

	// List gives the assignments of a subject in a tenant, ended and future ones too, sorted by scope and role.
	// An unknown subject has none. Tenant, subject, role and scope are compared byte by byte.
	List(ctx context.Context, tenant, subject string) ([]Assignment, error)

	// Version gives a number that grows with every Add and Remove that changed something, and with nothing else.
	// A List that begins after Version returned shows at least the changes up to that number. It is called for
	// every request, so it should be one cheap read.
	Version(ctx context.Context) (uint64, error)
}

// maxScope is the greatest length of a tenant, subject or scope in bytes.
const maxScope = 255

// plain tells whether databases agree on what a text is: how many characters it has, and where it ends. A list's
// filter counts them.
func plain(text string) bool {
	return len(text) <= maxScope && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// validTenant tells whether a tenant can be the first element of a scope.
func validTenant(tenant string) bool {
	return tenant != "" && len(tenant) <= maxScope && !strings.Contains(tenant, "/")
}

// covers tells whether scope is outer or lies below it.
func covers(outer, scope string) bool {
	return strings.HasPrefix(scope, outer) && (len(scope) == len(outer) || scope[len(outer)] == '/')
}
