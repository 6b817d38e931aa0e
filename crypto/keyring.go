// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// Config is what a [Keyring] is made of.
type Config struct {
	// Root wraps the store's root key. Required; see [OpenKeyFile].
	Root KeyWrapper
	// Store keeps the wrapped keys. Required.
	Store KeyStore
	// CacheTTL is for how long a subject's key is used without asking the store whether another process has
	// shredded it. Five seconds when zero.
	CacheTTL time.Duration
	// Audit takes the events crypto.key_created, crypto.open_refused and crypto.shredded. The default logger
	// when nil.
	Audit audit.Recorder
	// Clock dates the keys and ages the cache. The system's when nil.
	Clock portalsec.Clock
}

// Keyring makes and keeps the keys of a portal, in the clear only in its memory and at most a few thousand at
// a time. It is safe for use by several goroutines, and prints nothing secret.
type Keyring struct {
	cfg   Config
	root  *dataKey
	cache keyCache
	seed  maphash.Seed
	// loading serialises the work for keys that are not in the cache, so that each is read, unwrapped or
	// created once. A subject's key needs its tenant's while it is loaded, hence the second row.
	loading [2][64]chan struct{}
}

// New opens the keys of cfg.Store, and makes the root key when the store is empty. It returns [ErrWrongRoot]
// when the store was made with another root.
func New(ctx context.Context, cfg Config) (*Keyring, error) {
	switch {
	case cfg.Root == nil:
		return nil, errors.New("crypto: Config.Root is required")
	case cfg.Store == nil:
		return nil, errors.New("crypto: Config.Store is required")
	case cfg.CacheTTL < 0:
		return nil, errors.New("crypto: Config.CacheTTL is negative")
	case cfg.CacheTTL == 0:
		cfg.CacheTTL = 5 * time.Second
	}
	if cfg.Audit == nil {
		cfg.Audit = audit.Slog(nil)
	}
	k := &Keyring{cfg: cfg, seed: maphash.MakeSeed()}
	for i := range k.loading {
		for j := range k.loading[i] {
			k.loading[i][j] = make(chan struct{}, 1)
		}
	}
	scope := Scope{Kind: KindRoot}
	rec, err := k.ensure(ctx, scope)
	if err != nil {
		return nil, err
	}
	if id := cfg.Root.ID(); rec.Parent != id {
		return nil, fmt.Errorf("%w: it was made with root %s, this is root %s", ErrWrongRoot, rec.Parent, id)
	}
	k.root, err = k.unwrap(ctx, rec)
	if errors.Is(err, ErrOpen) {
		return nil, fmt.Errorf("%w: root %s does not unwrap key %s", ErrWrongRoot, rec.Parent, rec.ID)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Subkey gives 32 bytes for a purpose outside of this package, such as the key of a throttle's counters. They are
// the same in every process and after every restart of a portal, differ for each purpose, and tell nothing
// about any other key. The caller owns them. The purpose may not be empty.
func (k *Keyring) Subkey(purpose string) ([]byte, error) {
	if purpose == "" {
		return nil, errors.New("crypto: Subkey needs a purpose")
	}
	return derive(k.root.secret[:], labelApplication, purpose)[:], nil
}

// Format keeps keys out of every verb of package fmt.
func (k *Keyring) Format(f fmt.State, _ rune) { fmt.Fprint(f, "crypto.Keyring") }

// Shred destroys the key of a subject, for ever and in every process: what was sealed under it no longer
// opens, and the same subject gets no key again. It is what erasing a person means for their sealed values.
// Other processes that share the store stop within [Config.CacheTTL]. Blind indexes of the subject's values
// are not sealed: delete them with the rows. Shredding twice, or a subject without a key, is no error.
func (k *Keyring) Shred(ctx context.Context, tenant, subject string) error {
	if subject == "" {
		return errors.New("crypto: Shred needs a subject")
	}
	event := audit.Event{
		Kind: audit.CryptoShredded, Severity: audit.Notice, Tenant: tenant,
		Subjects: []audit.Pseudonym{audit.Pseudonym(subject)},
		Target:   &audit.Target{Type: "subject", ID: subject},
	}
	err := audit.Act(ctx, k.cfg.Audit, event, func(ctx context.Context, result *audit.Event) error {
		err := k.cfg.Store.ShredSubject(ctx, tenant, subject, newKeyID(), k.cfg.Clock.Now())
		k.cache.drop(Scope{Kind: KindSubject, Tenant: tenant, Subject: subject})
		if err != nil {
			result.Reason, result.Severity = "store-failed", audit.Warning
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("crypto: shred: %w", err)
	}
	return nil
}

// scopeOf gives the scope whose key seals a row's values.
func scopeOf(row Row) Scope {
	if row.Subject != "" {
		return Scope{Kind: KindSubject, Tenant: row.Tenant, Subject: row.Subject}
	}
	return Scope{Kind: KindTenant, Tenant: row.Tenant}
}

// active gives the key that new values of a scope are sealed under, and makes it if there is none.
func (k *Keyring) active(ctx context.Context, scope Scope) (*dataKey, error) {
	if d := k.cache.active(scope); k.fresh(d) {
		return d, nil
	}
	release, err := k.enter(ctx, scope)
	if err != nil {
		return nil, err
	}
	defer release()
	if d := k.cache.active(scope); k.fresh(d) {
		return d, nil
	}
	mark := k.cache.mark()
	rec, err := k.ensure(ctx, scope)
	if err != nil {
		if errors.Is(err, ErrShredded) {
			k.cache.drop(scope)
		}
		return nil, err
	}
	d, err := k.load(ctx, rec, mark, true)
	if errors.Is(err, ErrOpen) {
		_ = k.refuse(ctx, "key", Row{Tenant: scope.Tenant, Subject: scope.Subject, ID: rec.ID.String()}, "wrong-key")
	}
	return d, err
}

// find gives the key with an ID that a stored value names, if it is one of the scope. It returns errKey or
// ErrNotFound when the value cannot be genuine.
func (k *Keyring) find(ctx context.Context, scope Scope, id KeyID) (*dataKey, error) {
	d := k.cache.byID(id)
	if !k.fresh(d) {
		release, err := k.enter(ctx, scope)
		if err != nil {
			return nil, err
		}
		defer release()
		if d = k.cache.byID(id); !k.fresh(d) {
			mark := k.cache.mark()
			rec, err := k.cfg.Store.Key(ctx, id)
			switch {
			case errors.Is(err, ErrShredded):
				return nil, k.shredded(ctx, scope)
			case errors.Is(err, ErrNotFound):
				return nil, ErrNotFound
			case err != nil:
				return nil, fmt.Errorf("crypto: load key: %w", err)
			case rec.ID != id || rec.Scope != scope:
				return nil, errKey
			}
			if d, err = k.load(ctx, rec, mark, false); err != nil {
				return nil, err
			}
		}
	}
	if d.scope != scope {
		return nil, errKey
	}
	return d, nil
}

// shredded gives the answer to who names a shredded key: that it was, if the key was one of the scope.
func (k *Keyring) shredded(ctx context.Context, scope Scope) error {
	k.cache.drop(scope)
	_, err := k.cfg.Store.ActiveKey(ctx, scope)
	switch {
	case errors.Is(err, ErrShredded):
		return ErrShredded
	case err == nil || errors.Is(err, ErrNotFound):
		return errKey
	default:
		return fmt.Errorf("crypto: load key: %w", err)
	}
}

// fresh tells whether a cached key may be used without asking the store. Only a subject's key can go away.
func (k *Keyring) fresh(d *dataKey) bool {
	if d == nil || d.scope.Kind != KindSubject {
		return d != nil
	}
	age := k.cfg.Clock.Now().UnixNano() - d.checked.Load()
	return 0 <= age && age < int64(k.cfg.CacheTTL)
}

// enter waits for the right to load a key of the scope.
func (k *Keyring) enter(ctx context.Context, scope Scope) (release func(), err error) {
	row := 0
	if scope.Kind == KindSubject {
		row = 1
	}
	turn := k.loading[row][maphash.Comparable(k.seed, scope)%uint64(len(k.loading[row]))]
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// load gives the key of a record that the store has just given, unwrapping it unless that was done before.
func (k *Keyring) load(ctx context.Context, rec KeyRecord, mark uint64, active bool) (*dataKey, error) {
	d := k.cache.byID(rec.ID)
	if d == nil || d.scope != rec.Scope { // a record that gives one's key to another does not unwrap
		var err error
		if d, err = k.unwrap(ctx, rec); err != nil {
			return nil, err
		}
	}
	d.checked.Store(k.cfg.Clock.Now().UnixNano())
	k.cache.put(d, mark, active)
	return d, nil
}

// ensure gives the record of the scope's active key, and makes the key if there is none.
func (k *Keyring) ensure(ctx context.Context, scope Scope) (KeyRecord, error) {
	rec, err := k.cfg.Store.ActiveKey(ctx, scope)
	if errors.Is(err, ErrNotFound) {
		rec, err = k.create(ctx, scope)
	}
	switch {
	case errors.Is(err, ErrShredded):
		return KeyRecord{}, ErrShredded
	case err != nil:
		return KeyRecord{}, fmt.Errorf("crypto: %s key: %w", scope.Kind, err)
	case rec.Scope != scope:
		return KeyRecord{}, fmt.Errorf("crypto: %s key %s: %w", scope.Kind, rec.ID, errKey)
	}
	return rec, nil
}
