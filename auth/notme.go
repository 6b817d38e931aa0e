// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

const (
	// reportFreeze is how long an account's factors and address stay as they are after a report: over a weekend, until
	// somebody has looked into it.
	reportFreeze = 72 * time.Hour
	// formerLifetime is how long a former address is remembered. It outlasts the links of the notices, which are made a
	// little after the change.
	formerLifetime = 2 * notMeLifetime
	// maxFormer bounds how many are. The oldest stay, so that who changes an address often drives nobody's out.
	maxFormer = 16
)

// Incidents takes what somebody must look into.
type Incidents interface {
	// OpenIncident keeps an incident. It returns once that is done, and does not wait for people. An error means that
	// the incident may be lost.
	OpenIncident(ctx context.Context, i Incident) error
}

// Incident is a user's report that somebody else has used their account.
type Incident struct {
	// Kind is that of the audit event: "auth.reported".
	Kind audit.Kind
	// Tenant and Account tell whose account it is.
	Tenant, Account string
	// Session is the ID of the session that the user disowned; empty when the report is about a change of the account.
	Session string
	// At is when it was reported, in UTC.
	At time.Time
	// AddressRestored tells that the account has got its former e-mail address back.
	AddressRestored bool
	// AddressTaken tells that it could not, because another account has that address now: an administrator must
	// find out whose it is. No letter was sent then, and the account is disabled.
	AddressTaken bool
}

// former is an address that an account had.
type former struct {
	Email string    `json:"email"`
	Until time.Time `json:"until"` // when it is forgotten
}

// moved gives p with another address and remembers the one before it. Addresses are a stack: when a report restores
// one, all that came after it are forgotten. So an attacker who changes the address twice has, in the notice that goes
// to the first of theirs, a link that restores it until the owner has used theirs, and that after it can only lock the
// account again.
func (p profile) moved(email string, now time.Time) profile {
	p.Former = slices.DeleteFunc(slices.Clone(p.Former), func(f former) bool { return !f.Until.After(now) })
	if len(p.Former) < maxFormer {
		p.Former = append(p.Former, former{Email: p.Email, Until: now.Add(formerLifetime)})
	}
	p.Email = email
	return p
}

// restored gives p with an address that it had, and whether there is anything to restore.
func (p profile) restored(email string) (profile, bool) {
	i := slices.IndexFunc(p.Former, func(f former) bool { return f.Email == email })
	if email == "" || i < 0 {
		return p, false
	}
	p.Email, p.Former = email, slices.Clone(p.Former[:i])
	return p, true
}

// NotMe takes the report of somebody who got a notice about their account and says that it was not them, with the token
// of the notice's link. Call it for a POST only. In one act
//
//   - the account's factors and address are frozen for 72 hours (see [Auth.Freeze]),
//   - the account gets the address back to which the notice went, if it has another one now; if another account has that
//     address meanwhile, this one is disabled, because a new password would be mailed to whoever has its present address,
//   - the password is taken away, and all sessions end, with them the one that the notice was about, logins under way and
//     whatever a staff member does as this user,
//   - other mailed links to change the account die, and a letter with a link to set a new password is queued,
//   - the report is recorded as critical, and [Config.Incidents] is told.
//
// The link works whatever was changed since: who has got hold of an account cannot kill it. It works once, and of several
// concurrent calls one returns nil; the others, and later ones, get [ErrNoToken]. Every other error means that some of it
// may have failed. All is tried even so, and the token stays good unless it is the incident alone that was lost, so
// that the user can try again.
//
// Browsers that are known for the account stay known: what they hold chooses how guesses are counted and whether a
// sign-in makes a notice, and proves nobody's identity, see package throttle.
func (a *Auth) NotMe(ctx context.Context, r *http.Request, token string) error {
	t, err := a.useToken(ctx, r, PurposeNotMe, token)
	if err != nil {
		return err
	}
	// No actor: who holds the link has read the owner's mail, which proves no identity.
	e := about(audit.AuthReported, t.account)
	e.Severity = audit.Critical
	if t.data.Session != "" {
		e.Details = []audit.Detail{{Name: "session", Value: t.data.Session}}
	}
	err = audit.Act(ctx, a.audit, e, func(ctx context.Context, result *audit.Event) error {
		i := Incident{
			Kind: audit.AuthReported, Tenant: t.account.Tenant, Account: t.account.ID, Session: t.data.Session, At: a.now(),
		}
		switch err := a.lockDown(ctx, t, &i); {
		case errors.Is(err, ErrNoToken): // another call was first
			result.Outcome, result.Reason = audit.Failure, "superseded"
			return ErrNoToken
		case err != nil:
			return err
		}
		if i.AddressTaken {
			result.Outcome, result.Reason = audit.Error, "address-taken"
		}
		if a.incidents == nil {
			return nil
		}
		if err := a.incidents.OpenIncident(ctx, i); err != nil {
			result.Reason = "incident"
			return fmt.Errorf("auth: open incident: %w", err)
		}
		return nil
	})
	return withoutReason(err)
}

// lockDown does what [Auth.NotMe] says, up to the incident. Each step may be taken again. They stand in the order in
// which they help most; a store that fails in one of them keeps none of the others from being tried. The token is
// consumed last and only when all went well.
func (a *Auth) lockDown(ctx context.Context, t oneTimeToken, i *Incident) error {
	id, tenant := t.account.ID, t.account.Tenant
	var errs []error
	try := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("auth: report: %s: %w", what, err))
		}
	}
	// First, so that no change comes in between.
	until := a.now().Add(reportFreeze)
	if t.account.FrozenUntil.Before(until) {
		try("freeze", a.accounts.SetFrozen(ctx, id, until))
	}
	err := a.disown(ctx, t, i)
	if errors.Is(err, ErrNoToken) {
		return ErrNoToken
	}
	try("account", err)
	// After the password, for who signed in with it meanwhile.
	_, err = a.sessions.RevokeUser(ctx, tenant, id, "")
	try("sessions", err)
	_, err = a.oneTime.RevokeOneTime(ctx, id, PurposeLogin, PurposeReset, PurposeEmail, PurposeInvitation)
	try("links", err)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	// The letter before the token: a call that was not first may queue a second letter, but none stays without.
	if a.mail != nil && !i.AddressTaken {
		err := a.queue(ctx, portalsec.Letter{Kind: letterResetForced, Tenant: tenant, Account: id})
		if err != nil {
			return err
		}
	}
	if i.AddressTaken {
		// The address that the account keeps may be a thief's, and a link to set a password would go there. Late, because
		// a disabled account takes no report.
		if err := a.accounts.SetDisabled(ctx, id, true); err != nil {
			return fmt.Errorf("auth: report: disable: %w", err)
		}
	}
	return a.consume(ctx, t)
}

// disown restores the address, if there is one to restore, and takes the password away. What others do to the account
// meanwhile is overruled, unless the token is gone: then another call has done all this, and the owner may have set
// a new password since.
func (a *Auth) disown(ctx context.Context, t oneTimeToken, i *Incident) error {
	rec := t.account
	for tries := 0; ; tries++ {
		won, err := a.disownOnce(ctx, &rec, t, i)
		if won || err != nil {
			return err
		}
		if tries == 100 {
			return errors.New("auth: the account changes all the time")
		}
		if _, err := a.oneTime.OneTime(ctx, PurposeNotMe, t.rec.Token); err != nil {
			return err
		}
		if rec, err = a.account(ctx, t.rec.Account); err != nil {
			return err
		}
	}
}

// disownOnce is one try of disown. It tells whether the account was still as in rec.
func (a *Auth) disownOnce(ctx context.Context, rec *AccountRecord, t oneTimeToken, i *Incident) (won bool, err error) {
	p, err := a.openProfile(ctx, *rec)
	if err != nil {
		return false, err
	}
	if p, ok := p.restored(t.data.Email); ok && !i.AddressTaken {
		login, err := a.index(ctx, p.Email)
		if err != nil {
			return false, err
		}
		sealed, err := a.seal(ctx, *rec, p)
		if err != nil {
			return false, err
		}
		switch won, err := a.accounts.SetLogin(ctx, rec.ID, rec.Version, login, sealed); {
		case errors.Is(err, ErrEmailTaken):
			i.AddressTaken = true
		case err != nil || !won:
			return false, err
		default:
			i.AddressRestored = i.AddressRestored || !bytes.Equal(login, rec.Login)
			if *rec, err = a.account(ctx, rec.ID); err != nil {
				return false, err
			}
		}
	}
	// Also when there is none: the version rises, and a reset that is under way comes too late. The history keeps at
	// least this one, so that the account is not taken for one whose invitation was never accepted.
	return a.accounts.SetPassword(ctx, rec.ID, rec.Version, NewPassword{Keep: max(1, a.policy.History())})
}
