// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Perm is one permission: an act on a kind of resource. It is made by [Permission] and compared by identity, so
// that a misspelt one does not compile.
type Perm struct {
	name, description string
	sensitive         bool
	columns           Columns
}

// Name gives the name that policy files use, such as "ticket.read".
func (p *Perm) Name() string { return p.name }

// Description tells in a few words what the permission lets one do.
func (p *Perm) Description() string { return p.description }

// PermissionOption says more about a permission: [Sensitive] or [Columns].
type PermissionOption interface{ apply(*Perm) }

type sensitive bool

func (s sensitive) apply(p *Perm) { p.sensitive = bool(s) }

// Sensitive marks a permission that no wildcard grants: a role must name it. Each use is recorded.
const Sensitive sensitive = true

// Columns names the columns of the table that a permission's lists are read from, see [Engine.Filter]. A name
// may be qualified, as in "t.owner_id". The database must compare the columns byte by byte.
type Columns struct {
	// Tenant is the column that holds the tenant alone. Either it or Scope must be given. A table that has both
	// is filtered by both.
	Tenant string
	// Scope is the column that holds what [Resource.Scope] gives, when resources lie below the tenant, as
	// "acme/berlin". When it is empty, the scope of each row is its tenant.
	Scope string
	// Owner is the column that holds what [Resource.Owner] gives. NULL and the empty text mean nobody, and so
	// does an empty Owner for every row.
	Owner string
}

func (c Columns) apply(p *Perm) { p.columns = c }

var columnName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

func (c Columns) validate() error {
	if c == (Columns{}) {
		return nil
	}
	if c.Tenant == "" && c.Scope == "" {
		return errors.New("Columns.Tenant or Columns.Scope is required")
	}
	for _, name := range []string{c.Tenant, c.Scope, c.Owner} {
		if name != "" && !columnName.MatchString(name) {
			return fmt.Errorf("%q is not the name of a column", name)
		}
	}
	return nil
}

// Permission declares a permission. The name is words of lower-case letters, digits, "-" and "_", joined by
// dots: what is acted upon, then the act. [NewCatalog] checks it, so that permissions can be package variables.
func Permission(name, description string, options ...PermissionOption) *Perm {
	p := &Perm{name: name, description: description}
	for _, o := range options {
		o.apply(p)
	}
	return p
}

var permissionName = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+$`)

// Catalog is the closed set of an application's permissions. A policy can name no other one.
type Catalog struct {
	perms  []*Perm // sorted by name; the index is the permission's number
	number map[*Perm]int
	named  map[string]int
}

// NewCatalog makes a catalog of all permissions of the application.
func NewCatalog(permissions ...*Perm) (*Catalog, error) {
	c := &Catalog{perms: slices.Clone(permissions), number: map[*Perm]int{}, named: map[string]int{}}
	if slices.Contains(c.perms, nil) {
		return nil, errors.New("rbac: a permission of the catalog is nil")
	}
	slices.SortFunc(c.perms, func(a, b *Perm) int { return strings.Compare(a.name, b.name) })
	for i, p := range c.perms {
		if !permissionName.MatchString(p.name) {
			return nil, fmt.Errorf("rbac: permission %q: want a name such as \"ticket.read\"", p.name)
		}
		if p.description == "" {
			return nil, fmt.Errorf("rbac: permission %q has no description", p.name)
		}
		if err := p.columns.validate(); err != nil {
			return nil, fmt.Errorf("rbac: permission %q: %w", p.name, err)
		}
		if _, ok := c.named[p.name]; ok {
			return nil, fmt.Errorf("rbac: permission %q is in the catalog twice", p.name)
		}
		c.number[p], c.named[p.name] = i, i
	}
	return c, nil
}

// names gives the names of all permissions, sorted.
func (c *Catalog) names() []string {
	names := make([]string, len(c.perms))
	for i, p := range c.perms {
		names[i] = p.name
	}
	return names
}
