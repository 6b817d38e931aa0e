// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

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
	// Disabled accounts cannot sign in.
	Disabled bool
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
	// Name is what to call the user. It may be empty.
	Name string
	// Password must pass the policy. Required.
	Password string
}

// profile is the sealed part of an account.
type profile struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

// CreateAccount makes an account. It returns [ErrEmail] for what is no e-mail address, [ErrEmailTaken] when an
// account of any tenant has it, and a [*password.PolicyError] when the password is not good enough. It tells who calls
// it whether an address is taken: let only those call it who may know.
func (a *Auth) CreateAccount(ctx context.Context, n NewAccount) (Account, error) {
	n.Email, n.Name = strings.TrimSpace(n.Email), strings.TrimSpace(n.Name)
	if !isEmail(n.Email) {
		return Account{}, ErrEmail
	}
	if err := a.policy.Check(ctx, n.Password, n.Email, n.Name); err != nil {
		return Account{}, err
	}
	// The store has the last word; this spares the hash and, more often than not, an event about a failure.
	switch _, err := a.find(ctx, n.Email); {
	case err == nil:
		return Account{}, ErrEmailTaken
	case !errors.Is(err, ErrNoAccount):
		return Account{}, err
	}
	rec := AccountRecord{Tenant: n.Tenant, Version: 1, Created: a.now()}
	rec.PasswordSet = rec.Created
	rec.ID = uuid.NewV7(rec.Created)
	var err error
	if rec.Login, err = a.profile.Index(ctx, "", n.Email); err != nil {
		return Account{}, fmt.Errorf("auth: index e-mail address: %w", err)
	}
	p, err := json.Marshal(profile{Email: n.Email, Name: n.Name})
	if err != nil {
		return Account{}, fmt.Errorf("auth: profile: %w", err)
	}
	if rec.Profile, err = a.profile.Seal(ctx, row(rec), p); err != nil {
		return Account{}, fmt.Errorf("auth: seal profile: %w", err)
	}
	if rec.PasswordHash, err = a.hasher.Hash(ctx, n.Password); err != nil {
		return Account{}, err
	}
	err = a.recorded(ctx, about(audit.AuthAccountCreated, rec), func(ctx context.Context) error {
		return a.accounts.CreateAccount(ctx, rec)
	})
	switch {
	case errors.Is(err, ErrEmailTaken):
		return Account{}, ErrEmailTaken
	case err != nil:
		return Account{}, fmt.Errorf("auth: create account: %w", err)
	}
	return rec.account(profile{Email: n.Email, Name: n.Name}), nil
}

// isEmail tells whether s has the shape of an address. Whether it exists only a mail can tell.
func isEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at < len(s)-1 && len(s) <= 254 && // RFC 3696 erratum 1690
		!strings.ContainsFunc(s, func(c rune) bool {
			return unicode.IsSpace(c) || !unicode.IsPrint(c) || c == unicode.ReplacementChar || strings.ContainsRune(`<>,;"\`, c)
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

// DeleteAccount removes an account and ends its sessions. It returns [ErrNoAccount] when there is none with
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
		_, err := a.sessions.RevokeUser(ctx, rec.Tenant, id, "")
		return err
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
	b, err := a.profile.Open(ctx, row(rec), rec.Profile)
	if err != nil {
		return Account{}, fmt.Errorf("auth: open profile: %w", err)
	}
	var p profile
	if err := json.Unmarshal(b, &p); err != nil {
		return Account{}, errors.New("auth: profile is not understood") // the JSON error would quote it
	}
	return rec.account(p), nil
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
	index, err := a.profile.Index(ctx, "", email)
	if err != nil {
		return "", fmt.Errorf("auth: index e-mail address: %w", err)
	}
	return hex.EncodeToString(index), nil
}

func row(rec AccountRecord) portalsec.Row {
	return portalsec.Row{Tenant: rec.Tenant, Subject: rec.ID, ID: rec.ID}
}

func (rec AccountRecord) account(p profile) Account {
	return Account{
		ID: rec.ID, Tenant: rec.Tenant, Email: p.Email, Name: p.Name,
		Disabled: rec.Disabled, Created: rec.Created, LastLogin: rec.LastLogin,
	}
}
