// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/portalsec/portalsec"
)

// Hash is the SHA-256 of a session's token.
type Hash [sha256.Size]byte

// Record is a session as it is stored. Its times are in UTC and whole microseconds, its texts are UTF-8 without NUL and
// compared byte by byte: case and white space at the end count.
type Record struct {
	// Token is the hash of the present token, unique among sessions.
	Token Hash
	// ID is the public identifier, unique among sessions, at most 64 bytes.
	ID string
	// Tenant and User tell whose session it is. The same User in two tenants is two users.
	Tenant, User string
	// Impersonator is the ID of the member of staff, of the same tenant, who acts as User. Empty when nobody does.
	Impersonator string
	// Stamp sums up what the session may do, at most 64 bytes; see Identity.Stamp.
	Stamp string
	// Factors are the proofs given, oldest first.
	Factors []portalsec.FactorProof
	// Client tells where the session was started. It is never nil.
	Client []byte
	// Data is what the application keeps in the session, at most 8 KiB; nil when nothing.
	Data []byte
	// Created is when the session began.
	Created time.Time
	// AuthTime is when the user last proved who they are.
	AuthTime time.Time
	// LastSeen is when the session was last used, to about a minute.
	LastSeen time.Time
	// Expires is when the session ends however much it is used.
	Expires time.Time
}

// Touch tells [Store.TouchSession] what is alive and what to write.
type Touch struct {
	// Now is the time of the request. A session whose Expires is not after it is over.
	Now time.Time
	// AliveAfter: a session whose LastSeen is not after it is over.
	AliveAfter time.Time
	// WriteBefore: LastSeen is written when it is before this time, which spares most requests the write.
	WriteBefore time.Time
}

// Store keeps sessions.
//
// Every method is one atomic act, safe for several goroutines and processes: it takes effect wholly or, when
// it returns an error, not at all, and each later call in any process sees it. It returns an error when ctx
// has ended, and reads no clock of its own. It shares no Factors with its callers. Client and Data it may share, because
// nobody changes their bytes once they were handed over.
//
// A suggested table: id (primary key, so that a rotation changes none), token_hash (32 bytes, unique), tenant and user_id
// (indexed together), impersonator (indexed with tenant), stamp, factors (JSON), client, data, and the four times in
// microseconds; beside it a table of versions with the key tenant, user_id.
type Store interface {
	// CreateSession adds a session if the user's version is still the one given, and returns ErrNoSession and
	// adds nothing when it has risen: all of the user's sessions were ended while this one was being prepared.
	CreateSession(ctx context.Context, s Record, version int64) error

	// UserVersion gives a user's version, also an unknown user's. It is at least 1, never falls, and rises when the
	// user is bumped. A store that may forget versions, as a cache does, must not give one again that it gave before it
	// forgot.
	UserVersion(ctx context.Context, tenant, user string) (int64, error)

	// TouchSession gives the session with a token and notes that it is used, as t says. It returns ErrNoSession
	// for an unknown token and for a session that is over, and changes nothing then. It never sets LastSeen
	// back and never brings back a session that another call removes or rotates meanwhile.
	TouchSession(ctx context.Context, token Hash, t Touch) (Record, error)

	// RotateSession sets the token, stamp, factors, AuthTime and LastSeen of the session that has the token old to
	// those of next, and nothing else. It returns ErrNoSession when no session has that token: of several concurrent
	// calls with one old token exactly one succeeds.
	RotateSession(ctx context.Context, old Hash, next Record) error

	// SetSessionData replaces the Data old of the session with a token by another, and tells whether it did: not when
	// Data is no longer old. Nil and empty are the same. It returns ErrNoSession for an unknown token.
	SetSessionData(ctx context.Context, token Hash, old, data []byte) (won bool, err error)

	// DeleteSession removes the session with an ID if it is that user's, and tells whether it did.
	DeleteSession(ctx context.Context, tenant, user, id string) (bool, error)

	// BumpUser raises the user's version and removes all sessions of the user, and all in which the user acts as
	// somebody else of the tenant, but the one with the ID except, which may be empty or unknown. It tells how many it
	// removed.
	BumpUser(ctx context.Context, tenant, user, except string) (int, error)

	// DeleteTenant removes all sessions of a tenant and tells how many. It leaves other tenants alone, also
	// those whose name begins alike.
	DeleteTenant(ctx context.Context, tenant string) (int, error)

	// ListSessions gives all sessions of a user in the order of their Created, oldest first, also those that are
	// over and not yet pruned. A user without sessions has none, which is no error.
	ListSessions(ctx context.Context, tenant, user string) ([]Record, error)

	// PruneSessions removes the sessions whose Expires is before expired, and those whose LastSeen is before
	// idle. It tells how many.
	PruneSessions(ctx context.Context, expired, idle time.Time) (int64, error)
}
