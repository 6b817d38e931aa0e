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
	// Profile is the sealed e-mail address and name.
	Profile []byte
	// PasswordHash is a PHC string, at most 512 bytes.
	PasswordHash string
	// Disabled accounts have no sessions and cannot sign in.
	Disabled bool
	// Version is 1 at first and rises when the password or Disabled changes.
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
// disabled, version, created_at, last_login_at.
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

	// SetPasswordHash replaces the hash and raises Version if Version is the one given, and tells whether it did.
	// Of several concurrent calls with one version exactly one wins.
	SetPasswordHash(ctx context.Context, id string, version int64, hash string) (won bool, err error)

	// UpgradePasswordHash replaces the hash old by another of the same password and tells whether it did: not when
	// the hash is no longer old. It leaves Version as it is.
	UpgradePasswordHash(ctx context.Context, id, old, hash string) (won bool, err error)

	// SetDisabled sets Disabled and raises Version, also when Disabled was so before.
	SetDisabled(ctx context.Context, id string, disabled bool) error

	// MarkLogin sets LastLogin, unless it is later already.
	MarkLogin(ctx context.Context, id string, at time.Time) error

	// DeleteAccount removes an account. Its Login is free again.
	DeleteAccount(ctx context.Context, id string) error
}

// TokenHash is the SHA-256 of a pending login's token.
type TokenHash [sha256.Size]byte

// PendingRecord is a pending login as it is stored. Its times are in UTC and whole microseconds.
type PendingRecord struct {
	// Token is the hash of its token, unique among pending logins.
	Token TokenHash
	// Account is the ID of the account whose password was right.
	Account string
	// Version is the account's version at that time.
	Version int64
	// Next is what remains to be done.
	Next Next
	// Proven is when the password was accepted.
	Proven time.Time
	// Expires is when the pending login ends.
	Expires time.Time
}

// PendingStore keeps pending logins.
//
// The rules of [AccountStore]'s comment hold here too. A suggested table: token_hash (32 bytes, primary key),
// account_id, version, next, proven_at, expires_at (indexed).
type PendingStore interface {
	// CreatePending adds a pending login.
	CreatePending(ctx context.Context, p PendingRecord) error

	// Pending gives the pending login with a token, also one that is over. It returns ErrNoPending for an unknown
	// or consumed token.
	Pending(ctx context.Context, token TokenHash) (PendingRecord, error)

	// ConsumePending removes the pending login with a token and tells whether it did: of several concurrent
	// calls exactly one wins.
	ConsumePending(ctx context.Context, token TokenHash) (won bool, err error)

	// PrunePending removes the pending logins whose Expires is before a time, and tells how many.
	PrunePending(ctx context.Context, before time.Time) (int64, error)
}
