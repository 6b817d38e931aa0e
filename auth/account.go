// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/internal/uuid"
)

// Account is somebody who can sign in. Its times are in UTC.
type Account struct {
	// ID identifies the account for its whole life. It is opaque.
	ID string
	// Tenant is the organisation, empty in a portal of one organisation.
	Tenant string
	// Email is the address to sign in with, as it was given.
	Email string
	// Name is what to call the user. It may be empty.
	Name string
	// Lang is the language of letters to the user, a BCP 47 tag such as "nl". Empty means the portal's.
	Lang string
	// HasPassword is false until an invitation is accepted, and after a password was taken away until a reset.
	HasPassword bool
	// PasswordSet is when the password was set; zero when there is none.
	PasswordSet time.Time
	// Disabled accounts cannot sign in.
	Disabled bool
	// FrozenUntil is the time until which the account's factors must not be changed; zero when nothing is frozen.
	FrozenUntil time.Time
	// Created is when the account was made.
	Created time.Time
	// LastLogin is when somebody last signed in to it; zero when nobody ever did.
	LastLogin time.Time
}

// NewAccount is an account to be made.
type NewAccount struct {
	// Tenant is the organisation, empty in a portal of one organisation.
	Tenant string
	// Email is the address to sign in with. Required. Spaces around it are dropped.
	Email string
	// Name is what to call the user, at most 200 characters. It may be empty.
	Name string
	// Lang is the language of letters to the user, a BCP 47 tag such as "nl". Empty, and what is no such tag, means
	// the portal's.
	Lang string
	// Password must pass the policy. Required.
	Password string
}

// profile is the sealed part of an account.
type profile struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
	Lang  string `json:"lang,omitempty"`
	// Former are the addresses before recent changes, oldest first; see [profile.moved].
	Former []former `json:"former,omitempty"`
}

// person gives the profile of somebody who is to have an account, cleaned.
func person(email, name, lang string) (profile, error) {
	p := profile{Email: strings.TrimSpace(email), Name: strings.TrimSpace(name), Lang: language(lang)}
	switch {
	case !isEmail(p.Email):
		return profile{}, ErrEmail
	case !isName(p.Name):
		return profile{}, ErrName
	}
	return p, nil
}

// langTag is the form of a language tag (RFC 5646 section 2.1), without looking at what its parts mean.
var langTag = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$`)

// language gives tag, or nothing when it is no language tag.
func language(tag string) string {
	if !langTag.MatchString(tag) {
		return ""
	}
	return tag
}

// isName tells whether s can be somebody's name. It goes into letters and onto pages, so it is one line.
func isName(s string) bool {
	return len(s) <= maxName*utf8.UTFMax && utf8.RuneCountInString(s) <= maxName && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(c rune) bool { return c != ' ' && !unicode.IsPrint(c) })
}

// maxName is how many characters a name may have.
const maxName = 200

// parseProfile reads the opened profile of an account.
func parseProfile(b []byte) (p profile, err error) {
	if err := json.Unmarshal(b, &p); err != nil {
		return profile{}, errors.New("auth: profile is not understood") // the JSON error would quote it
	}
	return p, nil
}

// CreateAccount makes an account. It returns [ErrEmail] for what is no e-mail address, [ErrName] for what is no name,
// [ErrEmailTaken] when an account of any tenant has the address, and a [*password.PolicyError] when the password is not
// good enough. It tells who calls it whether an address is taken: let only those call it who may know.
//
// A password that somebody else than its user has chosen is known to two people: prefer [Auth.Invite].
func (a *Auth) CreateAccount(ctx context.Context, n NewAccount) (Account, error) {
	p, err := person(n.Email, n.Name, n.Lang)
	if err != nil {
		return Account{}, err
	}
	if err := a.policy.Check(ctx, n.Password, p.Email, p.Name); err != nil {
		return Account{}, err
	}
	// The store has the last word; this spares the hash and, more often than not, an event about a failure.
	if err := a.free(ctx, p.Email); err != nil {
		return Account{}, err
	}
	hash, err := a.hasher.Hash(ctx, n.Password)
	if err != nil {
		return Account{}, err
	}
	rec, err := a.newRecord(ctx, n.Tenant, p, hash)
	if err != nil {
		return Account{}, err
	}
	err = a.recorded(ctx, about(audit.AuthAccountCreated, rec), func(ctx context.Context) error {
		return a.create(ctx, rec)
	})
	switch {
	case errors.Is(err, ErrEmailTaken):
		return Account{}, ErrEmailTaken
	case err != nil:
		return Account{}, err
	}
	return rec.account(p), nil
}

// free returns ErrEmailTaken when an account has the address.
func (a *Auth) free(ctx context.Context, email string) error {
	switch _, err := a.find(ctx, email); {
	case err == nil:
		return ErrEmailTaken
	case errors.Is(err, ErrNoAccount):
		return nil
	default:
		return err
	}
}

// newRecord gives a new account, yet to be stored. An empty hash is no password.
func (a *Auth) newRecord(ctx context.Context, tenant string, p profile, hash string) (rec AccountRecord, err error) {
	rec = AccountRecord{Tenant: tenant, Version: 1, Created: a.now(), PasswordHash: hash}
	if hash != "" {
		rec.PasswordSet = rec.Created
	}
	rec.ID = uuid.NewV7(rec.Created)
	if rec.Login, err = a.index(ctx, p.Email); err != nil {
		return AccountRecord{}, err
	}
	rec.Profile, err = a.seal(ctx, rec, p)
	return rec, err
}

// create stores a new account.
func (a *Auth) create(ctx context.Context, rec AccountRecord) error {
	err := a.accounts.CreateAccount(ctx, rec)
	switch {
	case errors.Is(err, ErrEmailTaken):
		return ErrEmailTaken
	case err != nil:
		return fmt.Errorf("auth: create account: %w", err)
	}
	return nil
}

// seal encrypts the profile of an account.
func (a *Auth) seal(ctx context.Context, rec AccountRecord, p profile) ([]byte, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("auth: profile: %w", err)
	}
	if b, err = a.profile.Seal(ctx, row(rec), b); err != nil {
		return nil, fmt.Errorf("auth: seal profile: %w", err)
	}
	return b, nil
}

// ProfileChange is what to change in an account. What is nil stays.
type ProfileChange struct {
	// Name is what to call the user, at most 200 characters.
	Name *string
	// Lang is the language of letters to the user, a BCP 47 tag such as "nl". Empty, and what is no such tag, means
	// the portal's.
	Lang *string
}

// UpdateProfile changes the name and the language of an account. Of two calls at once neither undoes what the other
// changed. It returns [ErrName] for what is no name, and [ErrNoAccount] when there is no account with that ID. It does
// not ask who calls it: users may change their own, administrators that of others.
func (a *Auth) UpdateProfile(ctx context.Context, id string, c ProfileChange) (Account, error) {
	if c.Name != nil && !isName(strings.TrimSpace(*c.Name)) {
		return Account{}, ErrName
	}
	rec, err := a.account(ctx, id)
	if err != nil {
		return Account{}, err
	}
	var p profile
	err = a.recorded(ctx, about(audit.AuthProfileChanged, rec), func(ctx context.Context) error {
		for won := false; !won; { // losing means that another call has won, so all of them come to an end
			if rec, err = a.account(ctx, id); err != nil {
				return err
			}
			if p, err = a.openProfile(ctx, rec); err != nil {
				return err
			}
			if c.Name != nil {
				p.Name = strings.TrimSpace(*c.Name)
			}
			if c.Lang != nil {
				p.Lang = language(*c.Lang)
			}
			sealed, err := a.seal(ctx, rec, p)
			if err != nil {
				return err
			}
			if won, err = a.accounts.SetProfile(ctx, id, rec.Profile, sealed); err != nil {
				return fmt.Errorf("auth: set profile: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return Account{}, err
	}
	return rec.account(p), nil
}

// isEmail tells whether s has the shape of an address. Whether it exists only a mail can tell.
func isEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && len(s) <= 254 && // RFC 3696 erratum 1690
		isDotted(local, 64) && isDotted(domain, 253) && !strings.HasPrefix(domain, "-") && !strings.HasPrefix(local, "-")
}

// isDotted tells whether s is one part of an address: words with single dots between them, free of spaces and of what
// means something in a mail's header (RFC 5322 section 3.2.3), which would need quotes. Letters of all scripts will do
// (RFC 6531).
func isDotted(s string, most int) bool {
	return s != "" && len(s) <= most && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..") &&
		!strings.ContainsFunc(s, func(c rune) bool {
			return !unicode.IsPrint(c) || unicode.IsSpace(c) || c == unicode.ReplacementChar || strings.ContainsRune(`()<>[]:;@\,"`, c)
		})
}

// Account gives an account. It returns [ErrNoAccount] when there is none with that ID.
func (a *Auth) Account(ctx context.Context, id string) (Account, error) {
	rec, err := a.account(ctx, id)
	if err != nil {
		return Account{}, err
	}
	return a.open(ctx, rec)
}

// Accounts gives all accounts of a tenant in the order of their IDs, which is about that of their making.
func (a *Auth) Accounts(ctx context.Context, tenant string) ([]Account, error) {
	const page = 500
	var all []Account
	for after := ""; ; {
		records, err := a.accounts.ListAccounts(ctx, tenant, after, page)
		if err != nil {
			return nil, fmt.Errorf("auth: list accounts: %w", err)
		}
		for _, rec := range records {
			acc, err := a.open(ctx, rec)
			if err != nil {
				return nil, err
			}
			all = append(all, acc)
		}
		if len(records) < page {
			return all, nil
		}
		after = records[page-1].ID
	}
}

// SetDisabled disables an account or enables it again. A disabled account cannot sign in; its sessions and
// logins under way end at once. It returns [ErrNoAccount] when there is none with that ID. When it returns
// another error, call it again.
func (a *Auth) SetDisabled(ctx context.Context, id string, disabled bool) error {
	rec, err := a.account(ctx, id)
	if err != nil {
		return err
	}
	kind := audit.AuthAccountEnabled
	if disabled {
		kind = audit.AuthAccountDisabled
	}
	return a.recorded(ctx, about(kind, rec), func(ctx context.Context) error {
		if err := a.accounts.SetDisabled(ctx, id, disabled); err != nil {
			return fmt.Errorf("auth: set disabled: %w", err)
		}
		if !disabled && !rec.Disabled {
			return nil
		}
		// After the account: whoever signs in between the two is found and ended. When it is enabled again too: what a
		// failure of the store left behind must not come back to life.
		_, err := a.sessions.RevokeUser(ctx, rec.Tenant, id, "")
		return err
	})
}

// DeleteAccount removes an account, its sessions and its links. It returns [ErrNoAccount] when there is none with
// that ID. What other packages keep about the user is theirs to remove.
func (a *Auth) DeleteAccount(ctx context.Context, id string) error {
	rec, err := a.account(ctx, id)
	if err != nil {
		return err
	}
	return a.recorded(ctx, about(audit.AuthAccountDeleted, rec), func(ctx context.Context) error {
		if err := a.accounts.DeleteAccount(ctx, id); err != nil {
			return fmt.Errorf("auth: delete account: %w", err)
		}
		// Both could do nothing any more. They tell of the user.
		_, err := a.sessions.RevokeUser(ctx, rec.Tenant, id, "")
		return errors.Join(err, a.revokeLinks(ctx, id, PurposeNotMe))
	})
}

// Unlock opens an account that too many wrong passwords have closed. It returns [ErrNoAccount] when there is
// none with that ID.
func (a *Auth) Unlock(ctx context.Context, id string) error {
	rec, err := a.account(ctx, id)
	if err != nil {
		return err
	}
	key, err := a.throttleKey(ctx, rec)
	if err != nil {
		return err
	}
	return a.recorded(ctx, about(audit.AuthAccountUnlocked, rec), func(ctx context.Context) error {
		return a.throttle.Reset(ctx, key)
	})
}

// Prune removes one-time tokens that are over and tells how many. Call it once a day.
func (a *Auth) Prune(ctx context.Context) (int64, error) {
	n, err := a.oneTime.PruneOneTime(ctx, a.now())
	if err != nil {
		return n, fmt.Errorf("auth: prune: %w", err)
	}
	return n, nil
}

// account reads an account.
func (a *Auth) account(ctx context.Context, id string) (AccountRecord, error) {
	rec, err := a.accounts.Account(ctx, id)
	switch {
	case errors.Is(err, ErrNoAccount):
		return AccountRecord{}, ErrNoAccount
	case err != nil:
		return AccountRecord{}, fmt.Errorf("auth: account: %w", err)
	}
	return rec, nil
}

// find gives the account that signs in with an e-mail address.
func (a *Auth) find(ctx context.Context, email string) (AccountRecord, error) {
	candidates, err := a.profile.Candidates(ctx, "", email)
	if err != nil {
		return AccountRecord{}, fmt.Errorf("auth: index e-mail address: %w", err)
	}
	rec, err := a.accounts.AccountByLogin(ctx, candidates)
	switch {
	case errors.Is(err, ErrNoAccount):
		return AccountRecord{}, ErrNoAccount
	case err != nil:
		return AccountRecord{}, fmt.Errorf("auth: account by login: %w", err)
	}
	return rec, nil
}

// open decrypts an account.
func (a *Auth) open(ctx context.Context, rec AccountRecord) (Account, error) {
	p, err := a.openProfile(ctx, rec)
	if err != nil {
		return Account{}, err
	}
	return rec.account(p), nil
}

func (a *Auth) openProfile(ctx context.Context, rec AccountRecord) (profile, error) {
	b, err := a.profile.Open(ctx, row(rec), rec.Profile)
	if err != nil {
		return profile{}, fmt.Errorf("auth: open profile: %w", err)
	}
	return parseProfile(b)
}

// throttleKey names the account to the throttle. It is the blind index, so that all ways to write an address
// are one account, and an unknown address is counted as a known one is.
func (a *Auth) throttleKey(ctx context.Context, rec AccountRecord) (string, error) {
	acc, err := a.open(ctx, rec)
	if err != nil {
		return "", err
	}
	return a.loginKey(ctx, acc.Email)
}

func (a *Auth) loginKey(ctx context.Context, email string) (string, error) {
	index, err := a.index(ctx, email)
	return hex.EncodeToString(index), err
}

// index gives the blind index of an e-mail address.
func (a *Auth) index(ctx context.Context, email string) ([]byte, error) {
	index, err := a.profile.Index(ctx, "", email)
	if err != nil {
		return nil, fmt.Errorf("auth: index e-mail address: %w", err)
	}
	return index, nil
}

func row(rec AccountRecord) portalsec.Row {
	return portalsec.Row{Tenant: rec.Tenant, Subject: rec.ID, ID: rec.ID}
}

func (rec AccountRecord) account(p profile) Account {
	return Account{
		ID: rec.ID, Tenant: rec.Tenant, Email: p.Email, Name: p.Name, Lang: p.Lang,
		HasPassword: rec.PasswordHash != "", PasswordSet: rec.PasswordSet,
		Disabled: rec.Disabled, FrozenUntil: rec.FrozenUntil, Created: rec.Created, LastLogin: rec.LastLogin,
	}
}
