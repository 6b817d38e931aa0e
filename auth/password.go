// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// ChangePassword replaces the password of the principal of ctx. All their other sessions end, and this one
// gets a new token (ASVS 7.2.4, 7.4.3).
//
// The old password is asked for and throttled as at a login (ASVS 6.2.3), with the same errors. A new one that is not
// good enough gives a [*password.PolicyError]; this is told only to who knows the old one. Without a principal
// it returns [ErrNoSession].
func (a *Auth) ChangePassword(ctx context.Context, w http.ResponseWriter, r *http.Request, old, new string) error {
	p, rec, err := a.principal(ctx)
	if err != nil {
		return err
	}
	acc, err := a.open(ctx, rec)
	if err != nil {
		return err
	}
	if err := a.checkOwn(ctx, r, rec, old, audit.AuthPasswordChanged); err != nil {
		return err
	}
	if err := a.policy.Check(ctx, new, acc.Email, acc.Name); err != nil {
		return err
	}
	hash, err := a.hasher.Hash(ctx, new)
	if err != nil {
		return err
	}
	err = a.recorded(ctx, by(audit.AuthPasswordChanged, rec), func(ctx context.Context) error {
		// Before the change, so that a store that fails between the two leaves nobody else signed in beside the new
		// password, and after it, for who signed in with the old one meanwhile.
		if _, err := a.sessions.RevokeUser(ctx, rec.Tenant, rec.ID, p.Session); err != nil {
			return err
		}
		won, err := a.accounts.SetPassword(ctx, rec.ID, rec.Version, NewPassword{Hash: hash, Set: a.now()})
		switch {
		case err != nil:
			return fmt.Errorf("auth: set password: %w", err)
		case !won: // what was checked is no longer the password
			return ErrLoginRefused
		}
		_, err = a.sessions.RevokeUser(ctx, rec.Tenant, rec.ID, p.Session)
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := audit.Finishing(ctx)
	defer cancel()
	_, err = a.sessions.Rotate(ctx, w, r, portalsec.FactorProof{Kind: portalsec.FactorPassword, At: a.now()})
	return err
}

// Reauthenticate lets the principal of ctx prove their password again, for acts that ask for a fresh proof
// (ASVS 7.5.3). The session gets a new token. The password is throttled as at a login, with the same errors.
// Without a principal it returns [ErrNoSession].
func (a *Auth) Reauthenticate(ctx context.Context, w http.ResponseWriter, r *http.Request, password string) error {
	_, rec, err := a.principal(ctx)
	if err != nil {
		return err
	}
	if err := a.checkOwn(ctx, r, rec, password, audit.AuthReauthenticated); err != nil {
		return err
	}
	return a.recorded(ctx, by(audit.AuthReauthenticated, rec), func(ctx context.Context) error {
		_, err := a.sessions.Rotate(ctx, w, r, portalsec.FactorProof{Kind: portalsec.FactorPassword, At: a.now()})
		return err
	})
}

// principal gives the principal of ctx and their account. Whoever acts as somebody else does not know their
// password and must not change it.
func (a *Auth) principal(ctx context.Context) (portalsec.Principal, AccountRecord, error) {
	p, ok := portalsec.PrincipalFrom(ctx)
	if !ok || p.Session == "" || p.Impersonator != "" {
		return portalsec.Principal{}, AccountRecord{}, ErrNoSession
	}
	rec, err := a.account(ctx, p.ID)
	if errors.Is(err, ErrNoAccount) {
		err = ErrNoSession
	}
	return p, rec, err
}

// checkOwn checks the password of somebody who is signed in already.
func (a *Auth) checkOwn(ctx context.Context, r *http.Request, rec AccountRecord, pw string, kind audit.Kind) error {
	key, err := a.throttleKey(ctx, rec)
	if err != nil {
		return err
	}
	return a.check(ctx, r, key, &rec, pw, about(kind, rec))
}
