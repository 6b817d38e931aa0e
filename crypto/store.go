// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"
)

// KeyWrapper is the root of trust: it wraps the root key of a [KeyStore], and lives outside of the database
// that holds the store. [KeyFile] is one. It must be safe for use by several goroutines.
type KeyWrapper interface {
	// Wrap encrypts key and binds it to aad. It may keep neither slice.
	Wrap(ctx context.Context, key, aad []byte) ([]byte, error)
	// Unwrap is the inverse of Wrap. An error for which errors.Is(err, ErrOpen) holds says that wrapped was
	// made with another key or aad; any other error says that the wrapper cannot be reached.
	Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error)
	// ID names the key, for messages and for finding a wrong one. It is public, stable and at most 200 bytes.
	ID() string
}

// KeyStore keeps wrapped keys. It never sees a key in the clear, and what it returns is checked.
//
// Implementations must be safe for use by several goroutines and, where the data is shared, by several
// processes. They return copies and keep no slice of the caller's. A call whose context is cancelled returns
// an error. Any error but [ErrNotFound] and [ErrShredded] means that the store failed.
type KeyStore interface {
	// ActiveKey gives the active key of a scope. It must return ErrNotFound when the scope never had one and
	// ErrShredded when its subject was shredded.
	ActiveKey(ctx context.Context, s Scope) (KeyRecord, error)
	// Key gives a key by its ID. It must return ErrNotFound when there is none and ErrShredded when its
	// subject was shredded.
	Key(ctx context.Context, id KeyID) (KeyRecord, error)
	// EnsureKey makes candidate the active key of its scope unless the scope has one already, and gives the
	// active key, whichever it is. Of concurrent calls for one scope exactly one candidate must be kept, and
	// every call must return that one. It must return ErrShredded, and keep nothing, when the subject was
	// shredded, and another error when the ID is taken by a key of another scope.
	EnsureKey(ctx context.Context, candidate KeyRecord) (KeyRecord, error)
	// ShredSubject destroys the wrapped forms of all keys of the subject and leaves a tombstone, in one act:
	// from then on ActiveKey, Key and EnsureKey must return ErrShredded for them. The tombstone of a subject
	// that had no key gets the ID tombstone. A second call must change nothing and return nil. Keys of other
	// scopes, among them those of the same subject ID in another tenant, must stay.
	ShredSubject(ctx context.Context, tenant, subject string, tombstone KeyID, at time.Time) error
}

// KeyKind is what a key is for.
type KeyKind string

// The kinds of keys.
const (
	// KindRoot is the one key of a store that wraps tenant and index keys. The [KeyWrapper] wraps it.
	KindRoot KeyKind = "root"
	// KindTenant seals what is about nobody in a tenant, and wraps the tenant's subject keys.
	KindTenant KeyKind = "tenant"
	// KindIndex computes the blind indexes of a tenant.
	KindIndex KeyKind = "index"
	// KindSubject seals what is about one person. Shredding destroys it.
	KindSubject KeyKind = "subject"
)

// Scope is what a key covers. It has at most one active key. Tenant and Subject are compared byte by byte.
type Scope struct {
	// Kind tells which of the fields below are set.
	Kind KeyKind
	// Tenant is empty for the root key, and for the keys that a portal has outside of its tenants.
	Tenant string
	// Subject is set for subject keys only.
	Subject string
}

// KeyID names a key. It is random, public and never used twice.
type KeyID [8]byte

// String gives the 16 hexadecimal digits.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// ParseKeyID reads the form of [KeyID.String].
func ParseKeyID(s string) (KeyID, error) {
	var id KeyID
	if len(s) != 2*len(id) {
		return KeyID{}, fmt.Errorf("crypto: key ID of %d characters, want %d", len(s), 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return KeyID{}, fmt.Errorf("crypto: key ID: %w", err)
	}
	return id, nil
}

// KeyRecord is a wrapped key as it is stored. Nothing in it is secret without the key above it.
type KeyRecord struct {
	// ID names the key.
	ID KeyID
	// Scope is what the key covers.
	Scope Scope
	// Version counts the keys of the scope, from 1.
	Version uint8
	// Parent names the key that wraps this one: [KeyWrapper.ID] for the root key, else a KeyID as text.
	Parent string
	// Wrapped is the key, encrypted by its parent. At most 4 KiB.
	Wrapped []byte
	// Commitment fixes the key that Wrapped must give: no second key can stand behind one ID.
	Commitment [32]byte
	// Created is in UTC, to the microsecond.
	Created time.Time
}
