// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/password"
)

// ChangePassword replaces the password of the principal of ctx. All their other sessions end, and this one
// gets a new token (ASVS 7.2.4, 7.4.3). Logins under way and mailed links end too, and the owner gets a letter.
//
// The old password is asked for and throttled as at a login (ASVS 6.2.3), with the same errors. A new one that is not
// good enough, or was used before, gives a [*password.PolicyError]; this is told only to who knows the old one. Without
// a principal it returns [ErrNoSession].
func (a *Auth) ChangePassword(ctx context.Context, w http.ResponseWriter, r *http.Request, old, new string) error {
	p, rec, err := a.principal(ctx)
	if err != nil {
		return err
	}
	if err := a.checkOwn(ctx, r, rec, old, audit.AuthPasswordChanged); err != nil {
		return err
	}
	if err := a.changePassword(ctx, rec, new, p.Session); err != nil {
		return err
	}
	ctx, cancel := audit.Finishing(ctx)
	defer cancel()
	_, err = a.sessions.Rotate(ctx, w, r, portalsec.FactorProof{Kind: portalsec.FactorPassword, At: a.now()})
	return err
}

// changePassword replaces the password of somebody who has proven the present one, and ends their sessions except one.
func (a *Auth) changePassword(ctx context.Context, rec AccountRecord, pw, except string) error {
	hash, err := a.newHash(ctx, rec, pw)
	if err != nil {
		return err
	}
	return a.recorded(ctx, by(audit.AuthPasswordChanged, rec), func(ctx context.Context) error {
		won, err := a.replacePassword(ctx, &rec, NewPassword{Hash: hash, Set: a.now(), Keep: a.policy.History()}, except)
		switch {
		case !won && err != nil:
			return err
		case !won: // what was checked is no longer the password
			return ErrLoginRefused
		}
		return errors.Join(err, a.notify(ctx, rec, letterPasswordChanged, nil))
	})
}

// newHash gives the hash of a new password for an account if it is good enough: by the policy, and none that was used
// before. It takes up to as many slots of the hasher, one after the other, as the history is long.
func (a *Auth) newHash(ctx context.Context, rec AccountRecord, pw string) (string, error) {
	p, err := a.openProfile(ctx, rec)
	if err != nil {
		return "", err
	}
	if err := a.policy.Check(ctx, pw, p.Email, p.Name); err != nil {
		return "", err
	}
	if err := a.reused(ctx, rec, pw); err != nil {
		return "", err
	}
	return a.hasher.Hash(ctx, pw)
}

// reused refuses a password that the account has or had. A password that was taken away or has expired is refused in
// any case: the next one must be another.
func (a *Auth) reused(ctx context.Context, rec AccountRecord, pw string) error {
	taken, expired := rec.PasswordHash == "", a.expired(rec)
	if a.policy.History() == 0 && !taken && !expired {
		return nil
	}
	hashes, err := a.accounts.PasswordHistory(ctx, rec.ID)
	if err != nil && !errors.Is(err, ErrNoAccount) {
		return fmt.Errorf("auth: password history: %w", err)
	}
	if !taken {
		hashes = slices.Insert(hashes, 0, rec.PasswordHash)
	}
	if a.policy.History() > 0 || len(hashes) == 0 {
		return a.policy.Reused(ctx, a.hasher, hashes, pw)
	}
	switch res, err := a.hasher.Verify(ctx, hashes[0], pw); {
	case err != nil && !errors.Is(err, password.ErrHash):
		return err
	case res.OK:
		return &password.PolicyError{Problems: []password.Problem{{
			Code: password.ReusedPassword, Text: "You had this password before. Choose another one.",
		}}}
	}
	return nil
}

// expired tells whether an account's password has to be changed before it lets anybody in.
func (a *Auth) expired(rec AccountRecord) bool {
	return rec.PasswordHash != "" && a.policy.Expired(rec.PasswordSet, a.now())
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
