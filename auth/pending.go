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
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/internal/token"
	"github.com/portalsec/portalsec/internal/uuid"
)

// Pending is a login whose password was right and whose second factor is still to come. It lets nobody in.
type Pending struct {
	// ID names this pending login and no other. It is no secret: nothing can be done with it in the cookie's place.
	ID string
	// Account is who is about to sign in.
	Account Account
	// Next is what remains to be done: NextPassword, NextTOTP or NextEnrol.
	Next Next
}

// suspend keeps a login until its second factor comes.
func (a *Auth) suspend(ctx context.Context, w http.ResponseWriter, rec AccountRecord, next Next, from device) error {
	text, hash := token.New()
	now := a.now()
	e := by(audit.AuthFirstFactor, rec)
	e.Details = []audit.Detail{{Name: "factor", Value: portalsec.FactorPassword}, {Name: "next", Value: string(next)}}
	err := a.recorded(ctx, e, func(ctx context.Context) error {
		return a.oneTime.CreateOneTime(ctx, OneTimeRecord{
			Token: hash, Purpose: PurposeLogin, ID: uuid.NewV7(now), Account: rec.ID, Version: rec.Version,
			Data: pendingData(next, from), Created: now, Expires: now.Add(pendingLifetime),
		})
	})
	if err != nil {
		return fmt.Errorf("auth: pending login: %w", err)
	}
	a.loginCookie.Set(w, text, pendingLifetime)
	return nil
}

// fromKnown follows the Next of a pending login that comes from a known browser.
const fromKnown = " known"

// pendingData gives what a pending login keeps: the Next, and whether it comes from a known browser.
func pendingData(next Next, from device) []byte {
	if from == knownDevice {
		next += fromKnown
	}
	return []byte(next)
}

func parsePending(data []byte) (Next, device) {
	next, known := strings.CutSuffix(string(data), fromKnown)
	return Next(next), device(known)
}

// PendingLogin gives the pending login that r carries, for the page that asks for the second factor. It
// returns [ErrNoPending] when there is none.
func (a *Auth) PendingLogin(r *http.Request) (Pending, error) {
	p, rec, err := a.pendingLogin(r.Context(), r)
	if err != nil {
		return Pending{}, err
	}
	acc, err := a.open(r.Context(), rec)
	if err != nil {
		return Pending{}, err
	}
	next, _ := parsePending(p.Data)
	return Pending{ID: p.ID, Account: acc, Next: next}, nil
}

// pendingLogin gives the pending login of r and its account, which is as it was when the password was checked.
func (a *Auth) pendingLogin(ctx context.Context, r *http.Request) (OneTimeRecord, AccountRecord, error) {
	refused := func(err error) (OneTimeRecord, AccountRecord, error) { return OneTimeRecord{}, AccountRecord{}, err }
	hash, ok := a.pendingToken(r)
	if !ok {
		return refused(ErrNoPending)
	}
	p, err := a.oneTime.OneTime(ctx, PurposeLogin, hash)
	switch {
	case errors.Is(err, ErrNoToken):
		return refused(ErrNoPending)
	case err != nil:
		return refused(fmt.Errorf("auth: pending login: %w", err))
	case !p.Expires.After(a.now()):
		return refused(ErrNoPending)
	}
	rec, err := a.account(ctx, p.Account)
	switch {
	case errors.Is(err, ErrNoAccount):
		return refused(ErrNoPending)
	case err != nil:
		return refused(err)
	case rec.Version != p.Version || rec.Disabled:
		return refused(ErrNoPending)
	}
	return p, rec, nil
}

func (a *Auth) pendingToken(r *http.Request) (TokenHash, bool) {
	text, ok := a.loginCookie.Read(r)
	if !ok {
		return TokenHash{}, false
	}
	hash, ok := token.Parse(text)
	return hash, ok
}

// CompleteLogin starts the session of the pending login that r carries. The proof is that of the second factor,
// which the caller has verified for the account of [Auth.PendingLogin]: it is believed. Of several concurrent
// calls for one pending login exactly one starts a session, the others get [ErrNoPending].
func (a *Auth) CompleteLogin(ctx context.Context, w http.ResponseWriter, r *http.Request, proof portalsec.FactorProof) (session.Session, error) {
	if proof.Kind == "" || proof.Kind == portalsec.FactorPassword || proof.At.IsZero() {
		return session.Session{}, errors.New("auth: complete login: the proof of a second factor is required")
	}
	p, rec, err := a.pendingLogin(ctx, r)
	if err != nil {
		return session.Session{}, err
	}
	next, from := parsePending(p.Data)
	if next == NextPassword { // a second factor does not make an expired password good
		return session.Session{}, ErrNoPending
	}
	won, err := a.oneTime.ConsumeOneTime(ctx, PurposeLogin, p.Token)
	switch {
	case err != nil:
		return session.Session{}, fmt.Errorf("auth: consume pending login: %w", err)
	case !won:
		return session.Session{}, ErrNoPending
	}
	s, err := a.admit(ctx, w, r, rec, from, portalsec.FactorProof{Kind: portalsec.FactorPassword, At: p.Created}, proof)
	switch {
	case errors.Is(err, ErrLoginRefused):
		return session.Session{}, ErrNoPending
	case err != nil:
		return session.Session{}, err
	}
	a.loginCookie.Clear(w)
	return s, nil
}

// drop consumes the pending login that r carries, if any.
func (a *Auth) drop(ctx context.Context, r *http.Request) error {
	hash, ok := a.pendingToken(r)
	if !ok {
		return nil
	}
	if _, err := a.oneTime.ConsumeOneTime(ctx, PurposeLogin, hash); err != nil {
		return fmt.Errorf("auth: consume pending login: %w", err)
	}
	return nil
}
