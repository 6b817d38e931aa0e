// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// ChangeEmail sends a link to a new e-mail address for the principal of ctx; [Auth.ConfirmEmail] makes the change.
// Until then nothing changes. An address that another account has gets a letter that says so, and the answer here is
// the same.
//
// The present password is asked for (ASVS 7.5.1) and throttled as at a login, with the same errors; letters are
// throttled as those of RequestReset. It returns [ErrEmail], [ErrNoMailer], [ErrFrozen] while the account is frozen,
// and [ErrNoSession] without a principal or when somebody acts as them.
func (a *Auth) ChangeEmail(ctx context.Context, r *http.Request, password, email string) error {
	if a.mail == nil {
		return ErrNoMailer
	}
	email = strings.TrimSpace(email)
	if !isEmail(email) {
		return ErrEmail
	}
	_, rec, err := a.principal(ctx)
	if err != nil {
		return err
	}
	if err := a.checkOwn(ctx, r, rec, password, audit.AuthEmailRequested); err != nil {
		return err
	}
	if a.frozen(rec) {
		return ErrFrozen
	}
	return a.requested(ctx, r, by(audit.AuthEmailRequested, rec), portalsec.Letter{
		Kind: letterEmail, To: email, Tenant: rec.Tenant, Account: rec.ID,
		Data: map[string]string{dataVersion: strconv.FormatInt(rec.Version, 10)},
	})
}

// ConfirmEmail gives an account the address that a link was sent to. All its sessions end, also that of the browser
// that asked for the change: the link may be opened in any browser, and which of them are the owner's it cannot tell.
// The former address gets a letter whose link takes the change back. What too many wrong passwords at the new one have
// closed is open.
//
// It returns [ErrNoToken] when the link is not good, which includes that the account has changed since or another has
// the address, and [ErrFrozen] while the account is frozen, which leaves the link as it is. Of several concurrent calls for
// one link exactly one makes the change. After another error, when the link is used up, ask for a new one.
func (a *Auth) ConfirmEmail(ctx context.Context, r *http.Request, token string) error {
	t, err := a.useToken(ctx, r, PurposeEmail, token)
	if err != nil {
		return err
	}
	rec := t.account
	if a.frozen(rec) {
		return ErrFrozen
	}
	p, err := a.openProfile(ctx, rec)
	if err != nil {
		return err
	}
	former := p.Email
	p = p.moved(t.data.Email, a.now())
	key, err := a.loginKey(ctx, p.Email)
	if err != nil {
		return err
	}
	err = a.recorded(ctx, by(audit.AuthEmailChanged, rec), func(ctx context.Context) error {
		if err := a.consume(ctx, t); err != nil {
			return err
		}
		won, err := a.setEmail(ctx, rec, p)
		switch {
		case !won && err != nil:
			return err
		case !won:
			return ErrNoToken
		}
		// The address is changed: its owner is told whatever else fails.
		return errors.Join(
			err,
			a.revokeLinks(ctx, rec.ID),
			a.throttle.Reset(ctx, key), // whoever guessed at the new address must not have closed it
			a.notify(ctx, rec, letterEmailChanged, map[string]string{dataEmail: former}),
		)
	})
	return noTokenIfTaken(err)
}

// setEmail gives an account that is as in rec another address, ends its sessions, and tells whether the account was as
// in rec. It returns ErrEmailTaken when another account has the address.
func (a *Auth) setEmail(ctx context.Context, rec AccountRecord, p profile) (won bool, err error) {
	login, err := a.index(ctx, p.Email)
	if err != nil {
		return false, err
	}
	sealed, err := a.seal(ctx, rec, p)
	if err != nil {
		return false, err
	}
	// Before the change and after it, see replacePassword.
	if _, err := a.sessions.RevokeUser(ctx, rec.Tenant, rec.ID, ""); err != nil {
		return false, err
	}
	won, err = a.accounts.SetLogin(ctx, rec.ID, rec.Version, login, sealed)
	switch {
	case errors.Is(err, ErrEmailTaken):
		return false, ErrEmailTaken
	case errors.Is(err, ErrNoAccount):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("auth: set login: %w", err)
	case !won:
		return false, nil
	}
	_, err = a.sessions.RevokeUser(ctx, rec.Tenant, rec.ID, "")
	return true, err
}

// composeEmail writes to the address that an account is to get.
func (a *Auth) composeEmail(ctx context.Context, l portalsec.Letter) (portalsec.Mail, error) {
	rec, acc, err := a.addressee(ctx, l)
	switch {
	case err != nil:
		return portalsec.Mail{}, err
	case l.Data[dataVersion] != strconv.FormatInt(rec.Version, 10):
		return portalsec.Mail{}, portalsec.ErrNoMail
	}
	switch other, err := a.find(ctx, l.To); {
	case err == nil && other.ID != rec.ID:
		owner, err := a.open(ctx, other)
		if err != nil {
			return portalsec.Mail{}, err
		}
		l.Kind = letterEmailTaken
		return a.render(l, owner.Email, owner, oneTimeToken{}, letterData{})
	case err != nil && !errors.Is(err, ErrNoAccount):
		return portalsec.Mail{}, err
	}
	t := a.oneTimeToken(PurposeEmail, rec, a.settings.ResetLifetime)
	data, err := a.sealLink(ctx, t.rec, rec.Tenant, linkData{Email: l.To})
	if err != nil {
		return portalsec.Mail{}, err
	}
	if err := a.keep(ctx, t, data); err != nil {
		return portalsec.Mail{}, err
	}
	acc.Name = "" // nobody has proven yet that this mailbox is theirs
	return a.render(l, l.To, acc, t, letterData{})
}
