// SPDX-License-Identifier: Apache-2.0

package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portalsec/portalsec/audit"
)

// Policy tells who in a tenant must have a second factor.
type Policy struct {
	// Everyone tells that all users must.
	Everyone bool
	// Roles are the names of the roles whose holders must.
	Roles []string
	// Since is when the policy began to demand what it demands, in UTC. Sessions that began before go on until
	// they end or until the user proves the password again. SetPolicy sets it and ignores what it is given.
	Since time.Time
}

func (p Policy) demands(roles []string) bool {
	return p.Everyone || slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(p.Roles, r) })
}

// covers tells whether all whom q demands a second factor of had to have one under p.
func (p Policy) covers(q Policy) bool {
	return p.Everyone || !q.Everyone && !slices.ContainsFunc(q.Roles, func(r string) bool {
		return !slices.Contains(p.Roles, r)
	})
}

// Policy gives the tenant's policy. Where none was set, the profile decides: L2 and L3 demand a second factor of
// everyone, since ever.
func (m *Manager) Policy(ctx context.Context, tenant string) (Policy, error) {
	p, err := m.store.Policy(ctx, tenant)
	if errors.Is(err, ErrNotFound) {
		return Policy{Everyone: m.profile.Settings().SecondFactor}, nil
	}
	if err != nil {
		return Policy{}, fmt.Errorf("mfa: policy: %w", err)
	}
	return p, nil
}

// SetPolicy sets the tenant's policy. It takes effect when a user next proves the password. Whether the principal may is
// for the caller to decide. Of two changes at the same time the later one stands whole.
func (m *Manager) SetPolicy(ctx context.Context, tenant string, p Policy) error {
	old, err := m.Policy(ctx, tenant)
	if err != nil {
		return err
	}
	p.Roles = slices.Clone(p.Roles)
	slices.Sort(p.Roles)
	p.Roles = slices.Compact(p.Roles)
	if slices.Contains(p.Roles, "") {
		return errors.New("mfa: Policy.Roles: empty name")
	}
	p.Since = old.Since
	if !old.covers(p) {
		p.Since = m.now()
	}
	e := audit.Event{
		Kind: audit.MFAPolicyChanged, Severity: audit.Notice, Tenant: tenant,
		Details: []audit.Detail{
			{Name: "everyone", Value: strconv.FormatBool(p.Everyone)},
			{Name: "roles", Value: strings.Join(p.Roles, ",")},
		},
	}
	if !p.covers(old) {
		e.Severity = audit.Warning // somebody need not prove what they had to
	}
	return audit.Act(ctx, m.audit, e, func(ctx context.Context, result *audit.Event) error {
		if err := m.store.PutPolicy(ctx, tenant, p); err != nil {
			result.Reason = "store"
			return fmt.Errorf("mfa: policy: %w", err)
		}
		return nil
	})
}

// Required tells what login must ask for after the password: a code, when the user is enrolled, else an
// enrolment, when the policy demands a second factor of a user with these roles.
func (m *Manager) Required(ctx context.Context, tenant, user string, roles []string) (isEnrolled, mustEnrol bool, err error) {
	factors, err := m.factors(ctx, tenant, user)
	if err != nil {
		return false, false, err
	}
	if enrolled(factors) {
		return true, false, nil
	}
	p, err := m.Policy(ctx, tenant)
	if err != nil {
		return false, false, err
	}
	return false, p.demands(roles), nil
}
