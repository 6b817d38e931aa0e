// SPDX-License-Identifier: Apache-2.0

package portalsec

import (
	"context"
	"slices"
	"time"
)

// Kinds of proof that a [FactorProof] may hold. They are also the names under which factors are stored
// and written to the audit log.
const (
	FactorPassword = "password"
	FactorTOTP     = "totp"
	FactorEmail    = "email"
	FactorSMS      = "sms"
	FactorPasskey  = "passkey"
	FactorRecovery = "recovery"
)

// FactorProof is one proof of identity that was given in a session.
type FactorProof struct {
	// Kind is one of the Factor constants.
	Kind string
	// At is when the proof was accepted, in UTC.
	At time.Time
}

// Principal is who acts in a request. It holds identifiers only, never a name or an address, so that it
// may be logged. A Principal is a value: once it is in a context nobody may change its slices.
type Principal struct {
	// ID identifies the account for its whole life. It is opaque and never an e-mail address.
	ID string
	// Tenant is the organisation whose data the principal may see. Empty in a portal of one organisation.
	Tenant string
	// Roles are the names of the roles held. Their meaning is the policy's, see package rbac.
	Roles []string
	// Session is the public identifier of the session, never its token.
	Session string
	// AuthTime is when the principal last proved who they are, in UTC (OpenID Connect's auth_time).
	AuthTime time.Time
	// Factors are the proofs given in this session, oldest first.
	Factors []FactorProof
	// Impersonator is the ID of the member of staff who acts as this principal. Empty when nobody does.
	Impersonator string
}

// HasRole tells whether role is among the principal's roles.
func (p Principal) HasRole(role string) bool { return slices.Contains(p.Roles, role) }

// Proven gives the time of the latest proof of a kind, and whether there is one.
func (p Principal) Proven(kind string) (time.Time, bool) {
	var at time.Time
	var ok bool
	for _, f := range p.Factors {
		if f.Kind == kind && (!ok || f.At.After(at)) {
			at, ok = f.At, true
		}
	}
	return at, ok
}

// TwoFactors tells whether two different kinds of factor were proven in this session. A mailed code does
// not count as one (ASVS 5.0 6.3.6), whatever the [Profile] says.
func (p Principal) TwoFactors() bool {
	first := ""
	for _, f := range p.Factors {
		switch {
		case f.Kind == FactorEmail || f.Kind == "":
		case first == "":
			first = f.Kind
		case f.Kind != first:
			return true
		}
	}
	return false
}

type principalKey struct{}

// WithPrincipal gives a context that carries p. A principal without an ID is nobody: the context then carries
// none, even when ctx did.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	if p.ID == "" {
		if _, ok := PrincipalFrom(ctx); !ok {
			return ctx
		}
		return context.WithValue(ctx, principalKey{}, (*Principal)(nil))
	}
	return context.WithValue(ctx, principalKey{}, &p)
}

// PrincipalFrom gives the principal of a context, and whether there is one.
func PrincipalFrom(ctx context.Context) (Principal, bool) {
	if p, ok := ctx.Value(principalKey{}).(*Principal); ok && p != nil {
		return *p, true
	}
	return Principal{}, false
}
