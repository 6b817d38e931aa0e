// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/internal/token"
	"github.com/portalsec/portalsec/internal/uuid"
)

// LinkInfo is what a mailed link is for.
type LinkInfo struct {
	// Purpose is what it does.
	Purpose Purpose
	// Account is the ID of the account; empty for a registration.
	Account string
	// Tenant is the organisation, empty in a portal of one organisation.
	Tenant string
	// Email is the address that the account has, for PurposeRegistration and PurposeEmail the one that it is to get.
	Email string
	// Name is what to call the user. It may be empty.
	Name string
	// Expires is when the link ends.
	Expires time.Time
}

// Link tells what a mailed link is for, so that its page can show it. It changes nothing, however often it is called:
// mail servers and previews open links (the POST of the page's form is what counts). It returns [ErrNoToken] when the
// link is not good for purpose, or no longer.
func (a *Auth) Link(ctx context.Context, purpose Purpose, token string) (LinkInfo, error) {
	if purpose == PurposeLogin {
		return LinkInfo{}, ErrNoToken
	}
	t, err := a.readToken(ctx, purpose, token)
	if err != nil {
		return LinkInfo{}, withoutReason(err)
	}
	info := LinkInfo{Purpose: purpose, Account: t.rec.Account, Tenant: t.account.Tenant, Expires: t.rec.Expires}
	if purpose == PurposeRegistration {
		info.Tenant, info.Email, info.Name = t.data.Tenant, t.data.Email, t.data.Name
		return info, nil
	}
	acc, err := a.open(ctx, t.account)
	if err != nil {
		return LinkInfo{}, err
	}
	info.Email, info.Name = acc.Email, acc.Name
	if purpose == PurposeEmail {
		info.Email = t.data.Email
	}
	return info, nil
}

// oneTimeToken is a one-time token: as it is handed out, or as it came back.
type oneTimeToken struct {
	text    string // when it is handed out
	rec     OneTimeRecord
	account AccountRecord // zero for a registration
	data    linkData
}

// linkData is the sealed part of a one-time token.
type linkData struct {
	// Email is the address that the link was sent to, and that it proves.
	Email  string `json:"email,omitempty"`
	Name   string `json:"name,omitempty"`
	Lang   string `json:"lang,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	// Session is the ID of the session that a notice is about.
	Session string `json:"session,omitempty"`
}

// oneTimeToken makes a token for an account, the zero one for a registration. keep stores it.
func (a *Auth) oneTimeToken(p Purpose, rec AccountRecord, lifetime time.Duration) oneTimeToken {
	text, hash := token.New()
	now := a.now()
	return oneTimeToken{text: text, account: rec, rec: OneTimeRecord{
		Token: hash, Purpose: p, ID: uuid.NewV7(now), Account: rec.ID, Version: rec.Version, Created: now, Expires: now.Add(lifetime),
	}}
}

// keep stores a token with its sealed data, nil when there is none. The log tells for whom a link was made: the request
// for it could not.
func (a *Auth) keep(ctx context.Context, t oneTimeToken, data []byte) error {
	t.rec.Data = data
	e := audit.Event{Kind: audit.AuthLinkMade}
	if t.account.ID != "" {
		e = about(audit.AuthLinkMade, t.account)
	}
	e.Details = []audit.Detail{{Name: "purpose", Value: string(t.rec.Purpose)}}
	return a.recorded(ctx, e, func(ctx context.Context) error {
		if err := a.oneTime.CreateOneTime(ctx, t.rec); err != nil {
			return fmt.Errorf("auth: create link: %w", err)
		}
		return nil
	})
}

// link gives the address that hands a token out.
func (a *Auth) link(t oneTimeToken) string {
	u := a.publicURL.JoinPath(a.links[t.rec.Purpose])
	u.RawQuery = url.Values{"token": {t.text}}.Encode()
	return u.String()
}

// sealLink seals what a token is to carry. It opens in the row of that token alone.
func (a *Auth) sealLink(ctx context.Context, rec OneTimeRecord, tenant string, d linkData) ([]byte, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("auth: link: %w", err)
	}
	if b, err = a.profile.Seal(ctx, linkRow(rec, tenant), b); err != nil {
		return nil, fmt.Errorf("auth: seal link: %w", err)
	}
	return b, nil
}

// linkRow is the row under which a token's data is sealed. A registration belongs to no tenant before the link
// is opened: which one it is for is inside.
func linkRow(rec OneTimeRecord, tenant string) portalsec.Row {
	return portalsec.Row{Tenant: tenant, Subject: rec.Account, ID: rec.ID}
}

// notGood is an ErrNoToken whose reason goes to the audit log.
type notGood struct{ reason string }

func (e *notGood) Error() string        { return ErrNoToken.Error() }
func (e *notGood) Is(target error) bool { return target == ErrNoToken }

// withoutReason gives ErrNoToken for each of its kinds.
func withoutReason(err error) error {
	if errors.Is(err, ErrNoToken) {
		return ErrNoToken
	}
	return err
}

// readToken gives the token that a mailed link carries, with its account and what was sealed into it. It changes
// nothing. A token whose account has changed since is no good; only that of a notice outlives changes, because they
// are what it is about.
func (a *Auth) readToken(ctx context.Context, p Purpose, text string) (oneTimeToken, error) {
	hash, ok := token.Parse(text)
	if !ok {
		return oneTimeToken{}, &notGood{"malformed"}
	}
	rec, err := a.oneTime.OneTime(ctx, p, hash)
	switch {
	case errors.Is(err, ErrNoToken):
		return oneTimeToken{}, &notGood{"unknown"}
	case err != nil:
		return oneTimeToken{}, fmt.Errorf("auth: link: %w", err)
	case !rec.Expires.After(a.now()):
		return oneTimeToken{}, &notGood{"expired"}
	}
	t := oneTimeToken{rec: rec}
	if p != PurposeRegistration {
		t.account, err = a.account(ctx, rec.Account)
		switch {
		case errors.Is(err, ErrNoAccount):
			return oneTimeToken{}, &notGood{unknownAccount}
		case err != nil:
			return oneTimeToken{}, err
		case t.account.Disabled:
			return oneTimeToken{}, &notGood{disabled}
		case t.account.Version != rec.Version && p != PurposeNotMe:
			return oneTimeToken{}, &notGood{changed}
		}
	}
	if rec.Data == nil {
		return t, nil
	}
	b, err := a.profile.Open(ctx, linkRow(rec, t.account.Tenant), rec.Data)
	if err != nil {
		return oneTimeToken{}, fmt.Errorf("auth: open link: %w", err)
	}
	t.data, err = parseLinkData(b)
	return t, err
}

// parseLinkData reads what sealLink sealed.
func parseLinkData(b []byte) (d linkData, err error) {
	if err := json.Unmarshal(b, &d); err != nil {
		return linkData{}, errors.New("auth: link is not understood") // the JSON error would quote it
	}
	return d, nil
}

// useToken is readToken for the call that is about to use the token: a refusal goes to the audit log.
func (a *Auth) useToken(ctx context.Context, r *http.Request, p Purpose, text string) (oneTimeToken, error) {
	t, err := a.readToken(ctx, p, text)
	var bad *notGood
	if errors.As(err, &bad) {
		e := audit.ForRequest(r, audit.AuthLinkRefused, audit.Denied)
		e.Reason, e.Details = bad.reason, []audit.Detail{{Name: "purpose", Value: string(p)}}
		_ = a.audit.Record(ctx, e) // may be shed
	}
	return t, withoutReason(err)
}

// consume uses a token up. Of several concurrent calls all but one get ErrNoToken.
func (a *Auth) consume(ctx context.Context, t oneTimeToken) error {
	won, err := a.oneTime.ConsumeOneTime(ctx, t.rec.Purpose, t.rec.Token)
	switch {
	case err != nil:
		return fmt.Errorf("auth: consume link: %w", err)
	case !won:
		return ErrNoToken
	}
	return nil
}
