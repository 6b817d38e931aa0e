// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"net/http"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// NewRegistration is what a visitor types who wants an account.
type NewRegistration struct {
	// Tenant is the organisation, chosen by the portal and not by the visitor; empty in a portal of one organisation.
	Tenant string
	// Email is the address to sign in with. Spaces around it are dropped.
	Email string
	// Name is what to call the user, at most 200 characters. It may be empty.
	Name string
	// Lang is the language of letters, a BCP 47 tag such as "nl". Empty, and what is no such tag, means the portal's.
	Lang string
}

// Register sends a link to an address that wants an account; [Auth.CompleteRegistration] makes it. An address that has
// an account gets a letter that says so. Which of the two it is, neither the answer nor the time it takes tells: no
// account is looked up before the letter goes out (ASVS 6.3.8). It is throttled for each address and each network.
//
// It returns [ErrEmail], [ErrName], [ErrNoMailer], and a [*ThrottledError] when there were too many requests.
func (a *Auth) Register(ctx context.Context, r *http.Request, n NewRegistration) error {
	p, err := person(n.Email, n.Name, n.Lang)
	if err != nil {
		return err
	}
	return a.requested(ctx, r, audit.Event{Kind: audit.AuthRegistration, Tenant: n.Tenant}, portalsec.Letter{
		Kind: letterRegistration, To: p.Email, Tenant: n.Tenant, Lang: p.Lang, Data: map[string]string{dataName: p.Name},
	})
}

// CompleteRegistration makes the account of a link that Register sent, with a password of its own. It signs nobody in.
// What too many wrong passwords at that address have closed is open.
//
// It returns [ErrNoToken] when the link is not good, or its address has got an account meanwhile, and a
// [*password.PolicyError] for a password that is not good enough, which leaves the link as it is. Of several concurrent
// calls for one link exactly one makes the account. After another error, when the link is used up, register again.
func (a *Auth) CompleteRegistration(ctx context.Context, r *http.Request, token, password string) (Account, error) {
	t, err := a.useToken(ctx, r, PurposeRegistration, token)
	if err != nil {
		return Account{}, err
	}
	p := profile{Email: t.data.Email, Name: t.data.Name, Lang: t.data.Lang}
	if err := a.policy.Check(ctx, password, p.Email, p.Name); err != nil {
		return Account{}, err
	}
	if err := a.free(ctx, p.Email); err != nil {
		return Account{}, noTokenIfTaken(err)
	}
	hash, err := a.hasher.Hash(ctx, password)
	if err != nil {
		return Account{}, err
	}
	rec, err := a.newRecord(ctx, t.data.Tenant, p, hash)
	if err != nil {
		return Account{}, err
	}
	key, err := a.loginKey(ctx, p.Email)
	if err != nil {
		return Account{}, err
	}
	e := by(audit.AuthAccountCreated, rec)
	e.Details = []audit.Detail{{Name: "by", Value: string(PurposeRegistration)}}
	err = a.recorded(ctx, e, func(ctx context.Context) error {
		if err := a.consume(ctx, t); err != nil {
			return err
		}
		// Whoever guessed at the address before it had an account must not have closed it.
		if err := a.throttle.Reset(ctx, key); err != nil {
			return err
		}
		return a.create(ctx, rec)
	})
	if err != nil {
		return Account{}, noTokenIfTaken(err)
	}
	return rec.account(p), nil
}

// noTokenIfTaken hides from the holder of a link that an address is taken.
func noTokenIfTaken(err error) error {
	if errors.Is(err, ErrEmailTaken) || errors.Is(err, ErrNoToken) {
		return ErrNoToken
	}
	return err
}

// composeRegistration writes to an address that wants an account. The name, which anybody may have made up to
// have us mail it, is not in the letter.
func (a *Auth) composeRegistration(ctx context.Context, l portalsec.Letter) (portalsec.Mail, error) {
	switch rec, err := a.find(ctx, l.To); {
	case err == nil:
		return a.composeRegistered(ctx, rec, l)
	case !errors.Is(err, ErrNoAccount):
		return portalsec.Mail{}, err
	}
	t := a.oneTimeToken(PurposeRegistration, AccountRecord{}, a.settings.ResetLifetime)
	data, err := a.sealLink(ctx, t.rec, "", linkData{Email: l.To, Name: l.Data[dataName], Lang: l.Lang, Tenant: l.Tenant})
	if err != nil {
		return portalsec.Mail{}, err
	}
	if err := a.keep(ctx, t, data); err != nil {
		return portalsec.Mail{}, err
	}
	return a.render(l, l.To, Account{}, t, letterData{})
}

// composeRegistered writes to somebody who has an account already. Who never accepted an invitation gets it again.
func (a *Auth) composeRegistered(ctx context.Context, rec AccountRecord, l portalsec.Letter) (portalsec.Mail, error) {
	switch never, err := a.neverAccepted(ctx, rec); {
	case err != nil:
		return portalsec.Mail{}, err
	case never:
		return a.composeInvitation(ctx, invitation(rec))
	}
	acc, err := a.open(ctx, rec)
	if err != nil {
		return portalsec.Mail{}, err
	}
	l.Kind = letterRegistered
	return a.render(l, acc.Email, acc, oneTimeToken{}, letterData{})
}
