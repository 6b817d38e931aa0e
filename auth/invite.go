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

// NewInvitation is somebody who is to have an account.
type NewInvitation struct {
	// Tenant is the organisation, empty in a portal of one organisation.
	Tenant string
	// Email is the address to sign in with. Required. Spaces around it are dropped.
	Email string
	// Name is what to call the user, at most 200 characters. It may be empty.
	Name string
	// Lang is the language of letters to the user, a BCP 47 tag such as "nl". Empty, and what is no such tag, means
	// the portal's.
	Lang string
}

// Invite makes an account without a password and sends its user a link to choose one. The account can be given roles
// at once; nobody can sign in to it before [Auth.AcceptInvitation]. No password passes through another's hands (ASVS
// 6.4.1). To send the link again, call [Auth.ForceReset].
//
// It returns [ErrEmail], [ErrName], [ErrNoMailer], and [ErrEmailTaken] when an account of any tenant has the address:
// let only those call it who may know.
func (a *Auth) Invite(ctx context.Context, n NewInvitation) (Account, error) {
	if a.mail == nil {
		return Account{}, ErrNoMailer
	}
	return a.invite(ctx, n, "mail", func(ctx context.Context, rec AccountRecord) error {
		return a.queue(ctx, invitation(rec))
	})
}

// InviteByHand is Invite for a portal that sends no mail: it gives the link to who calls it, to hand it over. That is
// weaker. Whoever sees the link can take the account, it proves nothing about the address, and the log cannot tell
// the user from the administrator, so it tells that the link was handed out. [Config.PublicURL] is required.
func (a *Auth) InviteByHand(ctx context.Context, n NewInvitation) (acc Account, link string, err error) {
	if a.publicURL == nil {
		return Account{}, "", errors.New("auth: Config.PublicURL is required to make a link")
	}
	acc, err = a.invite(ctx, n, "hand", func(ctx context.Context, rec AccountRecord) error {
		t := a.oneTimeToken(PurposeInvitation, rec, a.settings.InvitationLifetime)
		link = a.link(t)
		return a.keep(ctx, t, nil)
	})
	if err != nil {
		return Account{}, "", err
	}
	return acc, link, nil
}

func invitation(rec AccountRecord) portalsec.Letter {
	return portalsec.Letter{Kind: letterInvitation, Tenant: rec.Tenant, Account: rec.ID}
}

// invite makes an account without a password and hands its link out.
func (a *Auth) invite(ctx context.Context, n NewInvitation, link string, hand func(context.Context, AccountRecord) error) (Account, error) {
	p, err := person(n.Email, n.Name, n.Lang)
	if err != nil {
		return Account{}, err
	}
	if err := a.free(ctx, p.Email); err != nil {
		return Account{}, err
	}
	rec, err := a.newRecord(ctx, n.Tenant, p, "")
	if err != nil {
		return Account{}, err
	}
	e := about(audit.AuthAccountInvited, rec)
	e.Details = []audit.Detail{{Name: "link", Value: link}}
	err = a.recorded(ctx, e, func(ctx context.Context) error {
		if err := a.create(ctx, rec); err != nil {
			return err
		}
		err := hand(ctx, rec)
		if err == nil {
			return nil
		}
		// An account without a link would only be in the way of the next attempt. The time of ctx may be what was spent.
		ctx, cancel := audit.Finishing(ctx)
		defer cancel()
		if gone := a.accounts.DeleteAccount(ctx, rec.ID); gone != nil {
			err = errors.Join(err, fmt.Errorf("auth: delete account: %w", gone))
		}
		return err
	})
	switch {
	case errors.Is(err, ErrEmailTaken):
		return Account{}, ErrEmailTaken
	case err != nil:
		return Account{}, err
	}
	return rec.account(p), nil
}

// AcceptInvitation sets the first password of an invited account. It signs nobody in.
//
// It returns [ErrNoToken] when the link is not good, and a [*password.PolicyError] for a password that is not good
// enough, which leaves the link as it is. Of several concurrent calls for one link exactly one sets a password.
func (a *Auth) AcceptInvitation(ctx context.Context, r *http.Request, token, password string) (Account, error) {
	rec, err := a.setByLink(ctx, r, PurposeInvitation, token, password)
	if err != nil {
		return Account{}, err
	}
	return a.open(ctx, rec)
}

// neverAccepted tells whether an account still waits for its first password. One that had a password has a history.
func (a *Auth) neverAccepted(ctx context.Context, rec AccountRecord) (bool, error) {
	if rec.PasswordHash != "" {
		return false, nil
	}
	h, err := a.accounts.PasswordHistory(ctx, rec.ID)
	switch {
	case errors.Is(err, ErrNoAccount):
		return false, portalsec.ErrNoMail
	case err != nil:
		return false, fmt.Errorf("auth: password history: %w", err)
	}
	return len(h) == 0, nil
}

// composeInvitation writes to somebody who is to choose a first password.
func (a *Auth) composeInvitation(ctx context.Context, l portalsec.Letter) (portalsec.Mail, error) {
	rec, acc, err := a.addressee(ctx, l)
	if err != nil {
		return portalsec.Mail{}, err
	}
	if rec.PasswordHash != "" {
		return portalsec.Mail{}, portalsec.ErrNoMail
	}
	t := a.oneTimeToken(PurposeInvitation, rec, a.settings.InvitationLifetime)
	if err := a.keep(ctx, t, nil); err != nil {
		return portalsec.Mail{}, err
	}
	return a.render(l, acc.Email, acc, t, letterData{})
}
