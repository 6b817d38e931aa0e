// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
)

// Credentials are what a visitor types to sign in.
type Credentials struct {
	// Email is the e-mail address. Spaces around it are dropped.
	Email string
	// Password is the password, exactly as typed.
	Password string
}

// Next is what remains to be done to sign in.
type Next string

// What may remain.
const (
	// NextSession: nothing, there is a session.
	NextSession Next = "session"
	// NextTOTP: prove the second factor.
	NextTOTP Next = "totp"
	// NextEnrol: set up a second factor and prove it.
	NextEnrol Next = "enrol"
	// NextPassword: the password has expired; choose another one with [Auth.CompletePasswordChange].
	NextPassword Next = "password"
)

// Outcome is how a login went on.
type Outcome struct {
	// Next is what remains to be done.
	Next Next
	// Session is the new session when Next is NextSession.
	Session session.Session
}

// Reasons of refusals, in the audit log only.
const (
	unknownAccount = "unknown-account"
	wrongPassword  = "wrong-password"
	noPassword     = "no-password"
	disabled       = "disabled"
	badHash        = "hash-not-understood"
	changed        = "changed-meanwhile"
)

// Login checks credentials. If nothing else is to be proven it starts a session; otherwise it gives the
// browser a pending login and tells what is next.
//
// It returns [ErrLoginRefused] for every refusal, as a [*ThrottledError] when there were too many attempts, and
// [password.ErrBusy] when too many others sign in just now. Everything else is a failure of the portal. See
// [DenialOf].
func (a *Auth) Login(ctx context.Context, w http.ResponseWriter, r *http.Request, c Credentials) (Outcome, error) {
	email := strings.TrimSpace(c.Email)
	key, err := a.loginKey(ctx, email)
	if err != nil {
		return Outcome{}, err
	}
	var known *AccountRecord
	switch rec, err := a.find(ctx, email); {
	case err == nil:
		known = &rec
	case !errors.Is(err, ErrNoAccount):
		return Outcome{}, err
	}
	e := audit.Event{Kind: audit.AuthLogin}
	if known != nil {
		e = about(audit.AuthLogin, *known)
	} else {
		// People type passwords into the wrong field, so the name is not written down. 32 bits of its keyed hash tell
		// guesses at one name from guesses at many, and are too few to confirm a guess by.
		e.Details = []audit.Detail{{Name: "login", Value: key[max(0, len(key)-8):]}}
	}
	from, err := a.attempt(ctx, r, key, known, c.Password, e)
	if err != nil {
		return Outcome{}, err
	}
	rec := *known // check refuses unknown accounts

	if a.expired(rec) {
		return Outcome{Next: NextPassword}, a.suspend(ctx, w, rec, NextPassword, from)
	}
	return a.goOn(ctx, w, r, rec, from)
}

// goOn takes a login whose password was just proven to its second factor or, if it needs none, to its session.
func (a *Auth) goOn(ctx context.Context, w http.ResponseWriter, r *http.Request, rec AccountRecord, from device) (Outcome, error) {
	next, err := a.next(ctx, rec)
	if err != nil {
		return Outcome{}, err
	}
	if next != NextSession {
		return Outcome{Next: next}, a.suspend(ctx, w, rec, next, from)
	}
	s, err := a.admit(ctx, w, r, rec, from, portalsec.FactorProof{Kind: portalsec.FactorPassword, At: a.now()})
	return Outcome{Next: NextSession, Session: s}, err
}

// device tells which browser a login comes from: one that has signed in to the account before, or another.
type device bool

const (
	knownDevice device = true
	newDevice   device = false
)

// check is attempt for who does not ask for the device.
func (a *Auth) check(ctx context.Context, r *http.Request, key string, rec *AccountRecord, pw string, e audit.Event) error {
	_, err := a.attempt(ctx, r, key, rec, pw, e)
	return err
}

// attempt counts an attempt at an account and compares the password. It returns no error when the password is right and
// records e with the reason when it is not. A nil account is one that does not exist; it takes as long, and
// has as many counters.
func (a *Auth) attempt(ctx context.Context, r *http.Request, key string, rec *AccountRecord, pw string, e audit.Event) (device, error) {
	browser, _ := a.browser.Read(r)
	try := throttle.Attempt{Account: key, Addr: network(r), Browser: browser}
	d, err := a.throttle.Take(ctx, try)
	if err != nil {
		return newDevice, fmt.Errorf("auth: %w", err)
	}
	if !d.Allowed {
		e.Kind, e.Outcome, e.Reason, e.Severity = audit.AuthThrottled, audit.Denied, "too-many-attempts", audit.Notice
		e.Rule = "throttle." + string(d.By)
		if d.Closed {
			e.Reason, e.Severity = "account-closed", audit.Warning
		}
		_ = a.audit.Record(ctx, e) // the recorder raises its own alarm; the duty of this kind stops nobody
		return newDevice, &ThrottledError{RetryAfter: d.RetryAfter}
	}
	var res password.Result
	if rec != nil && rec.PasswordHash != "" {
		res, err = a.hasher.Verify(ctx, rec.PasswordHash, pw)
	} else {
		err = a.hasher.VerifyUnknown(ctx, pw)
	}
	if err != nil && !errors.Is(err, password.ErrHash) {
		return newDevice, errors.Join(err, a.throttle.Release(ctx, try))
	}
	switch {
	case rec == nil:
		e.Reason = unknownAccount
	case rec.PasswordHash == "":
		e.Reason = noPassword
	case err != nil:
		e.Reason = badHash
	case !res.OK:
		e.Reason = wrongPassword
	case rec.Disabled:
		e.Reason = disabled
	default:
		if err := a.throttle.Success(ctx, try); err != nil {
			return newDevice, fmt.Errorf("auth: %w", err)
		}
		if res.NeedsRehash {
			err = a.upgrade(ctx, *rec, pw)
		}
		return device(d.Known), err
	}
	e.Outcome, e.Severity = audit.Failure, audit.Notice
	if err := a.record(ctx, e); err != nil {
		return newDevice, err
	}
	return newDevice, ErrLoginRefused
}

// upgrade hashes the password anew, by the hasher's present settings. A busy portal leaves it for next time.
func (a *Auth) upgrade(ctx context.Context, rec AccountRecord, pw string) error {
	hash, err := a.hasher.Hash(ctx, pw)
	if err != nil {
		return ctx.Err()
	}
	// Losing means that the password was changed or upgraded meanwhile; admit sees to the former.
	if _, err := a.accounts.UpgradePasswordHash(ctx, rec.ID, rec.PasswordHash, hash); err != nil && !errors.Is(err, ErrNoAccount) {
		return fmt.Errorf("auth: upgrade hash: %w", err)
	}
	return nil
}

// next tells what an account has to prove beside its password.
func (a *Auth) next(ctx context.Context, rec AccountRecord) (Next, error) {
	if a.secondFactor == nil {
		return NextSession, nil
	}
	roles, err := a.rolesOf(ctx, rec)
	if err != nil {
		return "", err
	}
	switch enrolled, mustEnrol, err := a.secondFactor.Required(ctx, rec.Tenant, rec.ID, roles); {
	case err != nil:
		return "", fmt.Errorf("auth: second factor: %w", err)
	case enrolled:
		return NextTOTP, nil
	case mustEnrol:
		return NextEnrol, nil
	default:
		return NextSession, nil
	}
}

// admit starts a session for an account whose proofs were checked while it was as in rec. If it has changed
// since, the proofs no longer count.
func (a *Auth) admit(ctx context.Context, w http.ResponseWriter, r *http.Request, rec AccountRecord, from device, proofs ...portalsec.FactorProof) (session.Session, error) {
	// The order closes the race with ChangePassword and SetDisabled, which first change the account and then raise
	// the version of its sessions: either the account is seen changed here, or Start finds a higher version, or
	// the session is there to be ended.
	version, err := a.sessions.Version(ctx, rec.Tenant, rec.ID)
	if err != nil {
		return session.Session{}, err
	}
	e := by(audit.AuthLogin, rec)
	for _, p := range proofs {
		e.Details = append(e.Details, audit.Detail{Name: "factor", Value: p.Kind})
	}
	refuse := func() (session.Session, error) {
		e.Outcome, e.Reason, e.Severity = audit.Failure, changed, audit.Notice
		if err := a.record(ctx, e); err != nil {
			return session.Session{}, err
		}
		return session.Session{}, ErrLoginRefused
	}
	present, err := a.account(ctx, rec.ID)
	switch {
	case errors.Is(err, ErrNoAccount):
		return refuse()
	case err != nil:
		return session.Session{}, err
	case present.Version != rec.Version || present.Disabled:
		return refuse()
	}
	key, err := a.throttleKey(ctx, present)
	if err != nil {
		return session.Session{}, err
	}
	roles, err := a.rolesOf(ctx, present)
	if err != nil {
		return session.Session{}, err
	}
	if err := a.accounts.MarkLogin(ctx, rec.ID, a.now()); err != nil {
		return session.Session{}, fmt.Errorf("auth: mark login: %w", err)
	}
	var s session.Session
	err = a.recorded(ctx, e, func(ctx context.Context) (err error) {
		s, err = a.sessions.Start(ctx, w, r, session.Identity{
			Tenant: rec.Tenant, User: rec.ID, Factors: proofs, Version: version, Stamp: stampOf(roles).String(),
		})
		return err
	})
	switch {
	case errors.Is(err, ErrNoSession):
		return session.Session{}, ErrLoginRefused
	case err != nil:
		return session.Session{}, err
	}
	a.browser.Set(w, a.throttle.BrowserToken(key), browserLifetime)
	if from == newDevice && !present.LastLogin.IsZero() {
		a.notifyNewDevice(ctx, present, s)
	}
	return s, nil
}

// notifyNewDevice tells the owner of an account that somebody has signed in on a browser that never did before (ASVS
// 6.3.5). The first login of all is the owner's own: it tells nobody anything. That the letter cannot be queued keeps
// nobody out; the audit log tells of it.
func (a *Auth) notifyNewDevice(ctx context.Context, rec AccountRecord, s session.Session) {
	ctx, cancel := audit.Finishing(ctx)
	defer cancel()
	// An error says that the recorder failed too, and that raises its own alarm: the session is there already.
	_ = a.notify(ctx, rec, letterNewDevice, map[string]string{
		dataDevice: s.Device, dataCountry: s.Country, dataSession: s.ID,
	})
}

// Logout ends the session that r carries and removes its cookie, and that of a pending login. It does its work when
// ctx has ended too. The session ends also when it has got a new token since the request was sent: inside
// [Auth.Middleware] it is known by its ID.
func (a *Auth) Logout(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := audit.Finishing(ctx)
	defer cancel()
	if err := a.sessions.End(ctx, w, r); err != nil {
		return err
	}
	if p, ok := portalsec.PrincipalFrom(ctx); ok && p.Session != "" {
		err := a.sessions.Revoke(ctx, p.Tenant, p.ID, p.Session)
		if err != nil && !errors.Is(err, ErrNoSession) {
			return err
		}
	}
	if err := a.drop(ctx, r); err != nil {
		return err
	}
	a.loginCookie.Clear(w)
	return nil
}
