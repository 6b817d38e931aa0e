// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Filter is the part of a list that the principal may see.
type Filter struct {
	// All tells that it is all of the principal's tenant.
	All bool
	// None tells that it is nothing, so that the list need not be read.
	None bool
	// SQL is the condition for a WHERE clause, with "?" for each of Args. It is never empty, keeps to the
	// principal's tenant also when All is set, and is never UNKNOWN, whatever is NULL.
	SQL string
	// Args are the values for SQL, in order.
	Args []any
}

// errNoColumns says that a permission is not made for lists.
var errNoColumns = errors.New("rbac: the permission has no Columns, so it cannot filter a list")

// Filter gives what [Engine.Check] would allow as a condition for a list. The permission must have [Columns].
// Its errors are those of Check; that nothing is allowed is no error.
func (e *Engine) Filter(ctx context.Context, perm *Perm) (Filter, error) {
	v := e.visit(ctx)
	f, err := e.filter(ctx, v, perm)
	v.checked(perm, err == nil)
	if err != nil || perm.sensitive && !f.None {
		e.record(ctx, perm, nil, err)
	}
	return f, err
}

func (e *Engine) filter(ctx context.Context, v *visit, perm *Perm) (Filter, error) {
	p, number, err := e.ask(ctx, perm)
	if err != nil {
		return Filter{}, err
	}
	if perm.columns == (Columns{}) {
		return Filter{}, fmt.Errorf("%w: %q", errNoColumns, perm.name)
	}
	s, err := e.subject(ctx, v, &p)
	if err != nil {
		return Filter{}, err
	}
	regions := s.regions(p.Tenant, number)
	if perm.columns.Scope == "" {
		// No row lies below the tenant, so neither do roles that are held there count.
		regions = regions[:1]
	}
	b := condition{columns: perm.columns, tenant: p.Tenant, principal: p.ID}
	var parts []string
	for i, r := range regions {
		if r.verdict != never {
			parts = append(parts, b.region(r, regions[i+1:]))
		}
	}
	if len(parts) == 0 {
		return Filter{None: true, SQL: "1 = 0"}, nil
	}
	if err := e.challenge(&p, perm, number); err != nil {
		return Filter{}, err
	}
	return Filter{
		All:  len(regions) == 1 && regions[0].verdict == always,
		SQL:  "(" + strings.Join(parts, " OR ") + ")",
		Args: b.args,
	}, nil
}

// region is a scope with one verdict, but for the regions inside it.
type region struct {
	scope   string
	verdict verdict
}

// regions gives the verdicts for a permission, the tenant's first and each before those inside it. One that
// repeats what is around it is left out.
func (s *subject) regions(tenant string, perm int) []region {
	list := []region{{tenant, s.at(tenant).verdict(perm)}}
	for i := len(s.scopes) - 1; i >= 0; i-- { // the shortest first
		scope, v := s.scopes[i].scope, s.scopes[i].set.verdict(perm)
		around := list[0]
		for _, r := range list {
			if covers(r.scope, scope) { // a later one that covers it is longer
				around = r
			}
		}
		if v != around.verdict {
			list = append(list, region{scope, v})
		}
	}
	return list
}

// condition writes SQL. It compares prefixes with SUBSTR and not with LIKE or an order, because those depend on
// the database's idea of letters.
type condition struct {
	columns   Columns
	tenant    string
	principal string
	args      []any
}

// region gives the condition for what lies in r and in none of the regions inside it.
func (c *condition) region(r region, later []region) string {
	var and []string
	add := func(sql string, args ...any) {
		and = append(and, sql)
		c.args = append(c.args, args...)
	}
	if col := c.columns.Tenant; col != "" {
		add(fmt.Sprintf("%s IS NOT NULL AND %s = ?", col, col), c.tenant)
	}
	if col := c.columns.Scope; col != "" {
		below := r.scope + "/"
		add(fmt.Sprintf("%s IS NOT NULL AND (%s = ? OR SUBSTR(%s, 1, %d) = ?)", col, col, col, utf8.RuneCountInString(below)),
			r.scope, below)
		for _, inner := range later {
			if covers(r.scope, inner.scope) {
				below := inner.scope + "/"
				add(fmt.Sprintf("%s <> ? AND SUBSTR(%s, 1, %d) <> ?", col, col, utf8.RuneCountInString(below)), inner.scope, below)
			}
		}
	}
	owner := c.columns.Owner
	switch {
	case r.verdict == always:
	case owner == "":
		add("1 = 0") // no row has an owner
	case r.verdict == mine:
		add(fmt.Sprintf("%s IS NOT NULL AND %s = ?", owner, owner), c.principal)
	case r.verdict == others:
		add(fmt.Sprintf("%s IS NOT NULL AND %s <> '' AND %s <> ?", owner, owner, owner), c.principal)
	}
	return "(" + strings.Join(and, " AND ") + ")"
}
