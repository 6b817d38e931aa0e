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
)

// RequestReset sends a link to choose a new password to the account with an e-mail address, if there is one that may
// sign in. Whether there is, neither the answer nor the time it takes tells: no account is looked up before the
// letter goes out (ASVS 6.3.8). Present password, sessions and second factor stay as they are. Who was invited and
// never accepted gets the invitation again. It is throttled for each address and each network.
//
// It returns [ErrEmail], [ErrNoMailer], and a [*ThrottledError] when there were too many requests.
func (a *Auth) RequestReset(ctx context.Context, r *http.Request, email string) error {
	email = strings.TrimSpace(email)
	if !isEmail(email) {
		return ErrEmail
	}
	return a.requested(ctx, r, audit.Event{Kind: audit.AuthResetRequested}, portalsec.Letter{Kind: letterReset, To: email})
}

// CompleteReset sets a new password by a link that RequestReset or ForceReset sent. All sessions of the account end,
// logins under way and other links too, and what too many wrong passwords have closed is open again. It signs nobody in and
// touches no second factor: who has the mailbox alone still needs that (ASVS 6.4.3). The owner gets a letter.
//
// It returns [ErrNoToken] when the link is not good, which includes that password, address or state of the account
// have changed since it was sent, and a [*password.PolicyError] for a password that is not good enough or was used
// before, which leaves the link as it is. Of several concurrent calls for one link exactly one sets a password. After
// another error ask for a new link: the password may have been set.
func (a *Auth) CompleteReset(ctx context.Context, r *http.Request, token, password string) error {
	_, err := a.setByLink(ctx, r, PurposeReset, token, password)
	return err
}

// setByLink sets a password by a link and gives the account as it is then.
func (a *Auth) setByLink(ctx context.Context, r *http.Request, p Purpose, token, pw string) (AccountRecord, error) {
	t, err := a.useToken(ctx, r, p, token)
	if err != nil {
		return AccountRecord{}, err
	}
	rec := t.account
	hash, err := a.newHash(ctx, rec, pw)
	if err != nil {
		return AccountRecord{}, err
	}
	key, err := a.throttleKey(ctx, rec)
	if err != nil {
		return AccountRecord{}, err
	}
	e := by(audit.AuthPasswordReset, rec)
	e.Details = []audit.Detail{{Name: "by", Value: string(p)}}
	err = a.recorded(ctx, e, func(ctx context.Context) error {
		if err := a.consume(ctx, t); err != nil {
			return err
		}
		won, err := a.replacePassword(ctx, &rec, NewPassword{Hash: hash, Set: a.now(), Keep: a.policy.History()}, "")
		switch {
		case !won && err != nil:
			return err
		case !won:
			return ErrNoToken
		}
		err = errors.Join(err, a.throttle.Reset(ctx, key))
		if p == PurposeInvitation {
			return err // nothing has been replaced
		}
		// The password is changed: its owner is told whatever else fails.
		return errors.Join(err, a.notify(ctx, rec, letterPasswordChanged, nil))
	})
	if err != nil {
		return AccountRecord{}, withoutReason(err)
	}
	return rec, nil
}

// replacePassword sets or takes away the password of an account that is as in rec, ends its sessions except one, and
// what could still let somebody in: logins under way and links. It brings rec up to date and tells whether the account
// was as in rec.
func (a *Auth) replacePassword(ctx context.Context, rec *AccountRecord, p NewPassword, except string) (won bool, err error) {
	// Before the change, so that a store that fails between the two leaves nobody else signed in beside the new
	// password, and after it, for who signed in with the old one meanwhile.
	if _, err := a.sessions.RevokeUser(ctx, rec.Tenant, rec.ID, except); err != nil {
		return false, err
	}
	won, err = a.accounts.SetPassword(ctx, rec.ID, rec.Version, p)
	switch {
	case errors.Is(err, ErrNoAccount):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("auth: set password: %w", err)
	case !won:
		return false, nil
	}
	rec.PasswordHash, rec.PasswordSet = p.Hash, p.Set
	rec.Version++
	if _, err := a.sessions.RevokeUser(ctx, rec.Tenant, rec.ID, except); err != nil {
		return true, err
	}
	return true, a.revokeLinks(ctx, rec.ID)
}

// revokeLinks removes logins under way and links of an account, also those for more purposes. The version has made them
// worthless already; this clears them away.
func (a *Auth) revokeLinks(ctx context.Context, id string, more ...Purpose) error {
	_, err := a.oneTime.RevokeOneTime(ctx, id, append(more, PurposeLogin, PurposeReset, PurposeInvitation, PurposeEmail)...)
	if err != nil {
		return fmt.Errorf("auth: revoke links: %w", err)
	}
	return nil
}

// maxForce is how often ForceReset begins anew when the account changes under it.
const maxForce = 5

// ForceReset takes the password of an account away and sends its user a link to choose another, so that no
// administrator has to know one (ASVS 6.4.6). All sessions and logins under way end. The password that was taken away
// cannot be chosen again. An account that never had one gets its invitation again. A disabled account gets no letter.
//
// It returns [ErrNoAccount] when there is none with that ID, and [ErrNoMailer]. After another error, call it again.
func (a *Auth) ForceReset(ctx context.Context, id string) error {
	if a.mail == nil {
		return ErrNoMailer
	}
	rec, err := a.account(ctx, id)
	if err != nil {
		return err
	}
	return a.recorded(ctx, about(audit.AuthPasswordTaken, rec), func(ctx context.Context) error {
		if err := a.takePassword(ctx, rec); err != nil {
			return err
		}
		return a.queue(ctx, portalsec.Letter{Kind: letterResetForced, Tenant: rec.Tenant, Account: id})
	})
}

// takePassword takes the password of an account away and ends its sessions, logins under way and links.
func (a *Auth) takePassword(ctx context.Context, rec AccountRecord) error {
	for range maxForce {
		if rec.PasswordHash == "" {
			if _, err := a.sessions.RevokeUser(ctx, rec.Tenant, rec.ID, ""); err != nil {
				return err
			}
			return a.revokeLinks(ctx, rec.ID)
		}
		// At least the one that is taken away is remembered: it may have leaked, and it tells that there was one.
		won, err := a.replacePassword(ctx, &rec, NewPassword{Keep: max(1, a.policy.History())}, "")
		if won || err != nil {
			return err
		}
		if rec, err = a.account(ctx, rec.ID); err != nil {
			return err
		}
	}
	return errors.New("auth: the account changes too often")
}

// composeReset writes to somebody who is to choose a new password.
func (a *Auth) composeReset(ctx context.Context, l portalsec.Letter) (portalsec.Mail, error) {
	rec, acc, err := a.addressee(ctx, l)
	if err != nil {
		return portalsec.Mail{}, err
	}
	switch never, err := a.neverAccepted(ctx, rec); {
	case err != nil:
		return portalsec.Mail{}, err
	case never:
		return a.composeInvitation(ctx, invitation(rec))
	case rec.PasswordHash != "" && l.Kind == letterResetForced: // chosen meanwhile
		return portalsec.Mail{}, portalsec.ErrNoMail
	}
	t := a.oneTimeToken(PurposeReset, rec, a.settings.ResetLifetime)
	if err := a.keep(ctx, t, nil); err != nil {
		return portalsec.Mail{}, err
	}
	// To the address that the account has, not the one that was typed: two that look or fold alike may be two mailboxes.
	return a.render(l, acc.Email, acc, t, letterData{})
}
