// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portalsec/portalsec/audit"
)

// dataKey is a key in the clear. It encrypts nothing itself: subkeys do, one for each purpose.
type dataKey struct {
	id      KeyID
	scope   Scope
	version uint8
	secret  *[keySize]byte // a pointer, because fmt prints what is in unexported fields
	checked atomic.Int64   // when the store last had the key, in nanoseconds

	once   sync.Once
	values *xaes
}

// subkey gives the key for one purpose.
func (d *dataKey) subkey(purpose string) *[keySize]byte {
	return derive(d.secret[:], labelSubkey, purpose)
}

// forValues gives the cipher for values, set up at the first use.
func (d *dataKey) forValues() *xaes {
	d.once.Do(func() { d.values = newXAES(d.subkey(purposeValue)) })
	return d.values
}

// errKey says that a key record is not what this package stored. It is [ErrOpen] to who opens a value.
var errKey = fmt.Errorf("the key record was changed: %w", ErrOpen)

// create makes a key and offers it to the store. Another process may be first; its key is then the one.
func (k *Keyring) create(ctx context.Context, scope Scope) (KeyRecord, error) {
	rec := KeyRecord{
		ID: newKeyID(), Scope: scope, Version: 1, Created: k.cfg.Clock.Now().Truncate(time.Microsecond),
	}
	var key [keySize]byte
	rand.Read(key[:]) // never fails
	defer clear(key[:])
	rec.Commitment = commitment(&key, rec.ID)
	if err := k.wrap(ctx, &rec, &key); err != nil {
		return KeyRecord{}, err
	}
	event := audit.Event{
		Kind: audit.CryptoKeyCreated, Tenant: scope.Tenant,
		Target:  &audit.Target{Type: "key", ID: rec.ID.String()},
		Details: []audit.Detail{{Name: "kind", Value: string(scope.Kind)}},
	}
	if scope.Subject != "" {
		event.Subjects = []audit.Pseudonym{audit.Pseudonym(scope.Subject)}
	}
	var kept KeyRecord
	err := audit.Act(ctx, k.cfg.Audit, event, func(ctx context.Context, result *audit.Event) (err error) {
		kept, err = k.cfg.Store.EnsureKey(ctx, rec)
		switch {
		case err != nil:
			result.Reason = "not-stored"
		case kept.ID != rec.ID:
			result.Outcome, result.Reason = audit.Failure, "lost-race"
		}
		return err
	})
	return kept, err
}

// wrap fills Parent and Wrapped.
func (k *Keyring) wrap(ctx context.Context, rec *KeyRecord, key *[keySize]byte) (err error) {
	if rec.Scope.Kind == KindRoot {
		rec.Parent = k.cfg.Root.ID()
		rec.Wrapped, err = k.cfg.Root.Wrap(ctx, key[:], rec.aad())
		return err
	}
	parent := k.root
	if rec.Scope.Kind == KindSubject {
		if parent, err = k.active(ctx, Scope{Kind: KindTenant, Tenant: rec.Scope.Tenant}); err != nil {
			return err
		}
	}
	rec.Parent = parent.id.String()
	rec.Wrapped = wrapKey(parent.subkey(purposeWrap), key[:], rec.aad())
	return nil
}

// unwrap is the inverse of wrap, and checks the commitment. Its error is ErrOpen when the record is not what
// wrap made.
func (k *Keyring) unwrap(ctx context.Context, rec KeyRecord) (*dataKey, error) {
	var key []byte
	var err error
	if rec.Scope.Kind == KindRoot {
		key, err = k.cfg.Root.Unwrap(ctx, rec.Wrapped, rec.aad())
	} else {
		parent := k.root
		if rec.Scope.Kind == KindSubject {
			id, bad := ParseKeyID(rec.Parent)
			if bad != nil {
				return nil, fmt.Errorf("crypto: %s key %s: %w", rec.Scope.Kind, rec.ID, errKey)
			}
			parent, err = k.find(ctx, Scope{Kind: KindTenant, Tenant: rec.Scope.Tenant}, id)
		}
		if err == nil {
			key, err = unwrapKey(parent.subkey(purposeWrap), rec.Wrapped, rec.aad())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("crypto: unwrap %s key %s: %w", rec.Scope.Kind, rec.ID, err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("crypto: %s key %s: %w", rec.Scope.Kind, rec.ID, errKey)
	}
	d := &dataKey{id: rec.ID, scope: rec.Scope, version: rec.Version, secret: (*[keySize]byte)(key)}
	c := commitment(d.secret, rec.ID)
	if subtle.ConstantTimeCompare(c[:], rec.Commitment[:]) != 1 {
		return nil, fmt.Errorf("crypto: %s key %s: %w", rec.Scope.Kind, rec.ID, errKey)
	}
	return d, nil
}

// aad binds a wrapped key to its whole record.
func (r *KeyRecord) aad() []byte {
	return appendTuple(nil, labelKey, string(r.Scope.Kind), string(r.ID[:]), r.Scope.Tenant, r.Scope.Subject,
		string([]byte{r.Version}), r.Parent, string(r.Commitment[:]))
}

// commitment makes sealed values key-committing: they name a key by its ID, and its record names the key.
func commitment(key *[keySize]byte, id KeyID) [32]byte {
	return *derive(key[:], labelCommitment, string(id[:]))
}

func newKeyID() (id KeyID) {
	rand.Read(id[:]) // never fails
	return id
}

// wrapKey gives the suite byte and the XAES-256-GCM form of key.
func wrapKey(with *[keySize]byte, key, aad []byte) []byte {
	return newXAES(with).appendSealed([]byte{suiteXAES}, key, aad)
}

func unwrapKey(with *[keySize]byte, wrapped, aad []byte) ([]byte, error) {
	if len(wrapped) == 0 || wrapped[0] != suiteXAES {
		return nil, ErrOpen
	}
	return newXAES(with).appendOpened(nil, wrapped[1:], aad)
}
