// SPDX-License-Identifier: Apache-2.0

package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// Sealer protects a secret before it reaches the store. The fields of package crypto satisfy it. It must bind
// the value to the row, and Open must refuse a value that was sealed for another one.
type Sealer interface {
	Seal(ctx context.Context, row portalsec.Row, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, row portalsec.Row, sealed []byte) ([]byte, error)
}

// Config is what [New] needs.
type Config struct {
	// Store keeps factors, tries and policies. It is required.
	Store Store
	// Sealer protects TOTP secrets. It is required.
	Sealer Sealer
	// Issuer is the portal's name as authenticator apps show it. It is required and holds no colon.
	Issuer string
	// Profile decides for tenants without a policy of their own: from L2 on everyone must have a second factor
	// (ASVS 6.3.3). The zero Profile is L2.
	Profile portalsec.Profile
	// Audit takes the events; nil writes them to the default logger.
	Audit audit.Recorder
	// Clock gives the time; nil is the system's.
	Clock portalsec.Clock
	// Deny answers the requests that Enforce refuses; nil is portalsec.Deny.
	Deny portalsec.DenyFunc
	// EnrolPath is the page where a user enrols, such as "/mfa/enrol". Enforce sends browsers there and lets
	// requests to it and below it through. Empty means that there is none.
	EnrolPath string
	// Frozen tells whether the factors of a user are to stay as they are, as after a report that somebody else has got
	// hold of the account: none is then enrolled, replaced or removed, by nobody. Codes of those that there are stay
	// good. An error refuses the change too. Nil freezes nothing. FactorsFrozen of package auth is one.
	Frozen func(ctx context.Context, tenant, user string) (bool, error)
	// Exempt are further paths that Enforce lets through, such as "/logout", each with what is below it.
	Exempt []string
}

// User is whose factors a call is about.
type User struct {
	// Tenant and ID identify the account.
	Tenant, ID string
	// Label is the account's name in the authenticator app, such as the e-mail address. Only BeginTOTP and
	// PendingTOTP need it. It is written into the QR code and nowhere else.
	Label string
	// Visit identifies the session or the pending login in which a factor is enrolled, such as Principal.Session or
	// the ID of an auth.Pending; it is at most 100 bytes and no secret. An enrolment that was begun in one visit can
	// be seen and confirmed in that visit only: else who has stolen a password could share the first secret with the
	// user, and keep a copy. BeginTOTP, PendingTOTP and ConfirmTOTP need it.
	Visit string
}

// FactorInfo is a factor as its owner may see it.
type FactorInfo struct {
	// ID identifies the factor.
	ID string
	// Kind is portalsec.FactorTOTP, or portalsec.FactorRecovery for the set of recovery codes.
	Kind string
	// Created is when the factor was confirmed, in UTC.
	Created time.Time
	// LastUsed is when a code was last accepted, in UTC; for TOTP the start of that code's 30 seconds. Zero when
	// none was.
	LastUsed time.Time
	// RecoveryLeft is how many recovery codes are unused. It is 0 for TOTP.
	RecoveryLeft int
}

// Manager enrols, verifies and demands second factors. It may be used by several goroutines, and several
// processes may work on one store.
type Manager struct {
	store   Store
	sealer  Sealer
	issuer  string
	profile portalsec.Profile
	audit   audit.Recorder
	now     func() time.Time
	deny    portalsec.DenyFunc
	enrol   string
	exempt  []string
	frozen  func(ctx context.Context, tenant, user string) (bool, error)
}

// New checks c and gives a Manager.
func New(c Config) (*Manager, error) {
	switch {
	case c.Store == nil:
		return nil, errors.New("mfa: Config.Store is required")
	case c.Sealer == nil:
		return nil, errors.New("mfa: Config.Sealer is required")
	case strings.TrimSpace(c.Issuer) == "":
		return nil, errors.New("mfa: Config.Issuer is required")
	case strings.Contains(c.Issuer, ":"):
		return nil, errors.New("mfa: Config.Issuer must not contain a colon: it ends the issuer in the QR code")
	}
	m := &Manager{
		store: c.Store, sealer: c.Sealer, issuer: c.Issuer, profile: c.Profile,
		audit: c.Audit, now: c.Clock.Now, deny: c.Deny, enrol: c.EnrolPath, exempt: slices.Clone(c.Exempt), frozen: c.Frozen,
	}
	if m.enrol != "" {
		m.exempt = append(m.exempt, m.enrol)
	}
	for _, p := range m.exempt {
		// A query or fragment is no part of the path that is compared: nothing would ever be exempt.
		if !strings.HasPrefix(p, "/") || strings.Trim(p, "/") == "" || !canonical(p) || strings.ContainsAny(p, "?#") {
			return nil, fmt.Errorf("mfa: Config.EnrolPath and Config.Exempt: %q is not a clean path below the root, without query and fragment", p)
		}
	}
	if m.audit == nil {
		m.audit = audit.Slog(nil)
	}
	if m.deny == nil {
		m.deny = portalsec.Deny
	}
	return m, nil
}

// Factors gives the user's factors, oldest first.
func (m *Manager) Factors(ctx context.Context, tenant, user string) ([]FactorInfo, error) {
	factors, err := m.factors(ctx, tenant, user)
	if err != nil {
		return nil, err
	}
	infos := make([]FactorInfo, 0, len(factors))
	for _, f := range factors {
		info := FactorInfo{ID: f.ID, Kind: f.Kind, Created: f.Created}
		if f.Kind == portalsec.FactorTOTP {
			info.LastUsed = timeOf(f.Step)
		}
		for _, c := range f.Codes {
			if c.Used.IsZero() {
				info.RecoveryLeft++
			} else if c.Used.After(info.LastUsed) {
				info.LastUsed = c.Used
			}
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// Remove deletes a factor. Recovery codes go with the last factor that they stand in for. It returns
// [ErrNotFound] when the user has no such factor, and [ErrProofNeeded] when ctx carries that user as principal
// and the session has not proven two factors, or somebody impersonates in it, and [ErrFrozen] when Config.Frozen says
// so. Whether another principal may remove a user's factors is for the caller to decide.
func (m *Manager) Remove(ctx context.Context, tenant, user, factorID string) error {
	u := User{Tenant: tenant, ID: user}
	factors, err := m.factors(ctx, tenant, user)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(factors, func(f Factor) bool { return f.ID == factorID })
	if i < 0 {
		return ErrNotFound
	}
	if p, ok := portalsec.PrincipalFrom(ctx); ok && (p.Impersonator != "" || own(p, u) && !p.TwoFactors()) {
		return ErrProofNeeded
	}
	if err := m.mayChange(ctx, u); err != nil {
		return err
	}
	return m.change(ctx, u, factors[i], audit.Event{Kind: audit.MFARemoved}, func(ctx context.Context) (bool, error) {
		return m.store.Remove(ctx, tenant, user, factorID)
	})
}

// mayChange asks Config.Frozen.
func (m *Manager) mayChange(ctx context.Context, u User) error {
	if m.frozen == nil {
		return nil
	}
	switch frozen, err := m.frozen(ctx, u.Tenant, u.ID); {
	case err != nil:
		return fmt.Errorf("mfa: frozen: %w", err)
	case frozen:
		return ErrFrozen
	}
	return nil
}

// change is [audit.Act] for a change of u's factors. It returns [ErrNotFound] when the act finds that somebody else
// was first.
func (m *Manager) change(ctx context.Context, u User, f Factor, e audit.Event, act func(context.Context) (bool, error)) error {
	e.Outcome = audit.Success
	return audit.Act(ctx, m.audit, about(ctx, u, f, e), func(ctx context.Context, result *audit.Event) error {
		done, err := act(ctx)
		switch {
		case err != nil:
			result.Reason = "store"
			return fmt.Errorf("mfa: %w", err)
		case !done:
			result.Outcome, result.Reason = audit.Failure, "superseded"
			return ErrNotFound
		}
		return nil
	})
}

func (m *Manager) record(ctx context.Context, u User, f Factor, e audit.Event) error {
	if err := m.audit.Record(ctx, about(ctx, u, f, e)); err != nil {
		return fmt.Errorf("mfa: record event: %w", err)
	}
	return nil
}

// about adds to e whom and which factor it is about. An event without a principal, as at login, is the user's
// own act once it succeeds.
func about(ctx context.Context, u User, f Factor, e audit.Event) audit.Event {
	e.Tenant, e.Subjects = u.Tenant, []audit.Pseudonym{audit.Pseudonym(u.ID)}
	if f.ID != "" {
		e.Target = &audit.Target{Type: "factor", ID: f.ID}
		e.Details = append(slices.Clone(e.Details), audit.Detail{Name: "kind", Value: f.Kind})
	}
	if _, ok := portalsec.PrincipalFrom(ctx); !ok && e.Outcome == audit.Success {
		e.Actor = audit.Pseudonym(u.ID)
	}
	return e
}

func (m *Manager) factors(ctx context.Context, tenant, user string) ([]Factor, error) {
	factors, err := m.store.Factors(ctx, tenant, user)
	if err != nil {
		return nil, fmt.Errorf("mfa: factors: %w", err)
	}
	return factors, nil
}

// presentTOTP gives the ID of the TOTP factor, empty when there is none.
func presentTOTP(factors []Factor) string {
	for _, f := range factors {
		if f.Kind == portalsec.FactorTOTP {
			return f.ID
		}
	}
	return ""
}

// enrolled tells whether there is a factor; recovery codes alone are none.
func enrolled(factors []Factor) bool {
	return slices.ContainsFunc(factors, func(f Factor) bool { return f.Kind != portalsec.FactorRecovery })
}

func own(p portalsec.Principal, u User) bool { return p.ID == u.ID && p.Tenant == u.Tenant }

func row(u User, factorID string) portalsec.Row {
	return portalsec.Row{Tenant: u.Tenant, Subject: u.ID, ID: factorID}
}
