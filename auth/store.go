// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/sha256"
	"time"
)

// AccountRecord is an account as it is stored. Its times are in UTC and whole microseconds.
type AccountRecord struct {
	// ID identifies the account for its whole life: a UUID.
	ID string
	// Tenant is the organisation, empty in a portal of one organisation.
	Tenant string
	// Login is the blind index of the e-mail address, unique over all tenants.
	Login []byte
	// Profile is the sealed e-mail address, name and language.
	Profile []byte
	// PasswordHash is a PHC string, at most 512 bytes. Empty means that the account has no password: nobody can sign
	// in with one until a mailed link sets it.
	PasswordHash string
	// PasswordSet is when the password was set; zero when there is none.
	PasswordSet time.Time
	// Disabled accounts have no sessions and cannot sign in.
	Disabled bool
	// FrozenUntil is the time until which the account's factors must not be changed; zero when nothing is frozen.
	FrozenUntil time.Time
	// Version is 1 at first and rises when the password, Login or Disabled changes.
	Version int64
	// Created is when the account was made.
	Created time.Time
	// LastLogin is when somebody last signed in to it; zero when nobody ever did.
	LastLogin time.Time
}

// AccountStore keeps accounts.
//
// Every method is one atomic act, safe for several goroutines and processes: it takes effect wholly or, when
// it returns an error, not at all, and each later call in any process sees it. It returns an error when ctx
// has ended. Slices that it is given or gives are never shared with it. Where a method takes an ID, it returns
// ErrNoAccount when no account has that ID.
//
// A suggested table: id (primary key), tenant (indexed with id), login_index (unique), profile, password_hash,
// password_set_at, disabled, frozen_until, version, created_at, last_login_at; beside it a table of earlier
// password hashes with account_id, set_at and the hash.
type AccountStore interface {
	// CreateAccount adds an account. It returns ErrEmailTaken when another has the same Login: of several
	// concurrent calls exactly one succeeds.
	CreateAccount(ctx context.Context, a AccountRecord) error

	// AccountByLogin gives the account whose Login is one of candidates, and ErrNoAccount when none is.
	AccountByLogin(ctx context.Context, candidates [][]byte) (AccountRecord, error)

	// Account gives the account with an ID.
	Account(ctx context.Context, id string) (AccountRecord, error)

	// ListAccounts gives at most limit accounts of a tenant, in the byte order of their IDs, beginning after the
	// ID after. None is no error.
	ListAccounts(ctx context.Context, tenant, after string, limit int) ([]AccountRecord, error)

	// SetPassword replaces hash and PasswordSet and raises Version if Version is the one given, and tells whether it
	// did. Of several concurrent calls with one version exactly one wins. The replaced hash, unless it was empty, goes
	// to the account's history, of which the newest p.Keep stay.
	SetPassword(ctx context.Context, id string, version int64, p NewPassword) (won bool, err error)

	// PasswordHistory gives the earlier password hashes of an account, newest first. None is no error.
	PasswordHistory(ctx context.Context, id string) ([]string, error)

	// UpgradePasswordHash replaces the hash old by another of the same password and tells whether it did: not when
	// the hash is no longer old. It leaves Version as it is.
	UpgradePasswordHash(ctx context.Context, id, old, hash string) (won bool, err error)

	// SetLogin replaces Login and Profile and raises Version if Version is the one given, and tells whether it did. It
	// returns ErrEmailTaken when another account has the Login: of several concurrent calls exactly one succeeds.
	SetLogin(ctx context.Context, id string, version int64, login, profile []byte) (won bool, err error)

	// SetProfile replaces the Profile old by another and tells whether it did: not when it is no longer old. It leaves
	// Version as it is.
	SetProfile(ctx context.Context, id string, old, profile []byte) (won bool, err error)

	// SetFrozen sets FrozenUntil and leaves Version as it is. The zero time lifts it.
	SetFrozen(ctx context.Context, id string, until time.Time) error

	// SetDisabled sets Disabled and raises Version, also when Disabled was so before.
	SetDisabled(ctx context.Context, id string, disabled bool) error

	// MarkLogin sets LastLogin, unless it is later already.
	MarkLogin(ctx context.Context, id string, at time.Time) error

	// DeleteAccount removes an account and its history. Its Login is free again.
	DeleteAccount(ctx context.Context, id string) error
}

// NewPassword is a password to be stored.
type NewPassword struct {
	// Hash is a PHC string; empty takes the password away.
	Hash string
	// Set is when it was set; zero when Hash is empty.
	Set time.Time
	// Keep is how many earlier hashes stay in the history, 0 or more.
	Keep int
}

// TokenHash is the SHA-256 of a one-time token.
type TokenHash [sha256.Size]byte

// Purpose is what a one-time token is for.
type Purpose string

// The purposes.
const (
	// PurposeLogin is a login whose second factor is still to come.
	PurposeLogin Purpose = "login"
	// PurposeReset sets a new password.
	PurposeReset Purpose = "reset"
	// PurposeRegistration makes an account.
	PurposeRegistration Purpose = "registration"
	// PurposeInvitation sets the first password of an account that an administrator made.
	PurposeInvitation Purpose = "invitation"
	// PurposeEmail confirms a new e-mail address.
	PurposeEmail Purpose = "email"
	// PurposeNotMe tells that a sign-in or a change was not the user's.
	PurposeNotMe Purpose = "not-me"
)

// OneTimeRecord is a one-time token as it is stored. Its times are in UTC and whole microseconds.
type OneTimeRecord struct {
	// Token is the hash of the token, unique among one-time tokens.
	Token TokenHash
	// Purpose is what it is for, at most 32 bytes. A token is good for nothing else.
	Purpose Purpose
	// ID names the token and is no secret, at most 64 bytes.
	ID string
	// Account is the ID of the account; empty while there is none.
	Account string
	// Version is the account's version when the token was made.
	Version int64
	// Data is what else the purpose needs, at most 8 KiB; nil when nothing. It is sealed where it is personal.
	Data []byte
	// Created is when the token was made.
	Created time.Time
	// Expires is when it ends.
	Expires time.Time
}

// OneTimeStore keeps one-time tokens: logins under way and what mailed links carry.
//
// The rules of [AccountStore]'s comment hold here too. A suggested table: token_hash (32 bytes, primary key),
// purpose, id, account_id (indexed), version, data, created_at, expires_at (indexed).
type OneTimeStore interface {
	// CreateOneTime adds a token.
	CreateOneTime(ctx context.Context, r OneTimeRecord) error

	// OneTime gives the token of a purpose, also one that is over. It returns ErrNoToken for one that is unknown,
	// consumed, or of another purpose.
	OneTime(ctx context.Context, p Purpose, token TokenHash) (OneTimeRecord, error)

	// ConsumeOneTime removes the token of a purpose and tells whether it did: of several concurrent calls exactly one
	// wins.
	ConsumeOneTime(ctx context.Context, p Purpose, token TokenHash) (won bool, err error)

	// RevokeOneTime removes the tokens of an account that have one of the purposes, and tells how many.
	RevokeOneTime(ctx context.Context, account string, purposes ...Purpose) (int64, error)

	// PruneOneTime removes the tokens whose Expires is before a time, and tells how many.
	PruneOneTime(ctx context.Context, before time.Time) (int64, error)
}
