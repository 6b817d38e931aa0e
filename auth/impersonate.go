// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/session"
)

// maxReason is how many characters a reason may have.
const maxReason = 200

// Impersonate lets the principal of ctx, a member of staff, act as the account with an ID, to see what its user sees. It
// decides nothing about who may act as whom: ask package rbac for a permission on that account first.
//
// The session that r carries ends. The new one is the account's, with Principal.Impersonator the member of staff and the
// proofs that they gave, and lasts ImpersonationTimeout of [Config.Level] at most. Events in it name both: the member of
// staff as actor, the user as who was acted for. Show a banner whenever Principal.Impersonator is set. Password and
// address cannot be changed in such a session, nor factors; [Auth.StopImpersonating] ends it, and so does whatever ends the
// sessions of either of the two.
//
// The reason, of 1 to 200 characters, goes to the audit log, as personal data. Impersonate returns [ErrNoSession] when
// nobody is signed in; [ErrReason]; [*ProofNeededError] when the last proof is older than FreshFor of Config.Level (ASVS
// 7.5.3); [ErrNoAccount] for an ID that is unknown or in another tenant; [ErrImpersonation] for a disabled account, the
// principal's own, and in a session that is an impersonation itself.
func (a *Auth) Impersonate(ctx context.Context, w http.ResponseWriter, r *http.Request, id, reason string) (session.Session, error) {
	p, ok := portalsec.PrincipalFrom(ctx)
	reason = strings.TrimSpace(reason)
	switch {
	case !ok || p.Session == "":
		return session.Session{}, ErrNoSession
	case p.Impersonator != "" || p.ID == id:
		return session.Session{}, ErrImpersonation
	case reason == "" || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxReason:
		return session.Session{}, ErrReason
	}
	staff, version, err := a.present(ctx, r, p)
	if err != nil {
		return session.Session{}, err
	}
	if err := a.CheckFresh(p, 0); err != nil {
		return session.Session{}, err
	}
	// Before the account is read, as in admit.
	userVersion, err := a.sessions.Version(ctx, p.Tenant, id)
	if err != nil {
		return session.Session{}, err
	}
	rec, err := a.account(ctx, id)
	switch {
	case err != nil:
		return session.Session{}, err
	case rec.Tenant != p.Tenant:
		return session.Session{}, ErrNoAccount
	case rec.Disabled:
		return session.Session{}, ErrImpersonation
	}
	roles, err := a.rolesOf(ctx, rec)
	if err != nil {
		return session.Session{}, err
	}
	e := about(audit.AuthImpersonated, rec)
	e.Actor, e.OnBehalfOf, e.Session, e.Severity = audit.Pseudonym(p.ID), audit.Pseudonym(rec.ID), audit.Pseudonym(p.Session), audit.Notice
	e.Changes = []audit.Change{{Field: "reason", New: audit.Personal(reason)}}
	var s session.Session
	err = a.recorded(ctx, e, func(ctx context.Context) (err error) {
		s, err = a.sessions.Start(ctx, w, r, session.Identity{
			Tenant: rec.Tenant, User: rec.ID, Impersonator: p.ID, Factors: staff.Factors, Version: userVersion,
			Stamp: stampOf(roles).String(), Lifetime: a.settings.ImpersonationTimeout,
		})
		if err != nil {
			return err
		}
		// The store guards the new session against what ends the user's. That the member of staff's were ended while it
		// was being prepared is seen here; from here on it ends with them.
		now, err := a.sessions.Version(ctx, p.Tenant, p.ID)
		if err == nil && now == version {
			return nil
		}
		if err == nil {
			err = ErrNoSession
		}
		// First the cookie, which Start set last: if the store fails again, nobody has the token.
		cookies := w.Header()["Set-Cookie"]
		w.Header()["Set-Cookie"] = cookies[:len(cookies)-1]
		return errors.Join(err, a.sessions.Revoke(ctx, rec.Tenant, rec.ID, s.ID))
	})
	switch {
	case errors.Is(err, ErrNoSession):
		return session.Session{}, ErrNoSession
	case err != nil:
		return session.Session{}, err
	}
	return s, nil
}

// StopImpersonating ends the session in which the principal of ctx is acted for, and starts one of the member of staff
// with the proofs that they had, as old as they are. It returns [ErrNoSession] when nobody impersonates, or the member
// of staff may no longer sign in: then they have no session at all.
//
// The new session may last as long as any. That stretches the one before by little: beginning to impersonate asks for a
// fresh proof.
func (a *Auth) StopImpersonating(ctx context.Context, w http.ResponseWriter, r *http.Request) (session.Session, error) {
	p, ok := portalsec.PrincipalFrom(ctx)
	if !ok || p.Session == "" || p.Impersonator == "" {
		return session.Session{}, ErrNoSession
	}
	was, version, err := a.present(ctx, r, p)
	if err != nil {
		return session.Session{}, err
	}
	rec, err := a.account(ctx, p.Impersonator)
	switch {
	case errors.Is(err, ErrNoAccount) || err == nil && (rec.Disabled || rec.Tenant != p.Tenant):
		return session.Session{}, ErrNoSession
	case err != nil:
		return session.Session{}, err
	}
	roles, err := a.rolesOf(ctx, rec)
	if err != nil {
		return session.Session{}, err
	}
	e := audit.Event{
		Kind: audit.AuthImpersonationEnd, Tenant: p.Tenant, Session: audit.Pseudonym(p.Session), Severity: audit.Notice,
		Actor: audit.Pseudonym(p.Impersonator), OnBehalfOf: audit.Pseudonym(p.ID),
		Target: &audit.Target{Type: "account", ID: p.ID}, Subjects: []audit.Pseudonym{audit.Pseudonym(p.ID)},
	}
	var s session.Session
	err = a.recorded(ctx, e, func(ctx context.Context) (err error) {
		s, err = a.sessions.Start(ctx, w, r, session.Identity{
			Tenant: rec.Tenant, User: rec.ID, Factors: was.Factors, Version: version,
			Stamp: stampOf(roles).String(),
		})
		return err
	})
	switch {
	case errors.Is(err, ErrNoSession):
		return session.Session{}, ErrNoSession
	case err != nil:
		return session.Session{}, err
	}
	return s, nil
}

// present gives the session of p, which r must carry, and the version that the sessions of the person who acts in it had
// while it was alive: if they are all ended later, the version has risen.
func (a *Auth) present(ctx context.Context, r *http.Request, p portalsec.Principal) (session.Session, int64, error) {
	person := p.ID
	if p.Impersonator != "" {
		person = p.Impersonator
	}
	version, err := a.sessions.Version(ctx, p.Tenant, person)
	if err != nil {
		return session.Session{}, 0, err
	}
	s, err := a.sessions.Load(r)
	switch {
	case err != nil:
		return session.Session{}, 0, err
	case s.ID != p.Session || s.User != p.ID || s.Impersonator != p.Impersonator:
		return session.Session{}, 0, ErrNoSession
	}
	return s, version, nil
}
