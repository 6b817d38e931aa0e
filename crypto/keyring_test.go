// SPDX-License-Identifier: Apache-2.0

package crypto_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/crypto"
	"github.com/stretchr/testify/require"
)

func TestNewConfig(t *testing.T) {
	t.Parallel()
	_, err := crypto.New(t.Context(), crypto.Config{Store: crypto.NewMemory()})
	require.EqualError(t, err, "crypto: Config.Root is required")
	_, err = crypto.New(t.Context(), crypto.Config{Root: keyFile(t)})
	require.EqualError(t, err, "crypto: Config.Store is required")
	_, err = crypto.New(t.Context(), crypto.Config{Root: keyFile(t), Store: crypto.NewMemory(), CacheTTL: -1})
	require.EqualError(t, err, "crypto: Config.CacheTTL is negative")
}

// wrapper is a KeyWrapper whose answers a test bends.
type wrapper struct {
	crypto.KeyWrapper
	id     string
	unwrap func(key []byte, err error) ([]byte, error)
}

func (w wrapper) ID() string {
	if w.id != "" {
		return w.id
	}
	return w.KeyWrapper.ID()
}

func (w wrapper) Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error) {
	key, err := w.KeyWrapper.Unwrap(ctx, wrapped, aad)
	if w.unwrap != nil {
		return w.unwrap(key, err)
	}
	return key, err
}

func TestNewWrongRoot(t *testing.T) {
	t.Parallel()
	right, wrong := keyFile(t), keyFile(t)
	store := crypto.NewMemory()
	newRing(t, crypto.Config{Root: right, Store: store})
	open := func(w crypto.KeyWrapper) error {
		_, err := crypto.New(t.Context(), crypto.Config{Root: w, Store: store, Audit: audit.Discard})
		return err
	}
	require.NoError(t, open(right))

	err := open(wrong)
	require.ErrorIs(t, err, crypto.ErrWrongRoot)
	require.ErrorContains(t, err, right.ID())
	require.ErrorContains(t, err, wrong.ID())

	require.ErrorIs(t, open(wrapper{KeyWrapper: wrong, id: right.ID()}), crypto.ErrWrongRoot, "an ID proves nothing")

	require.ErrorIs(t, open(wrapper{KeyWrapper: right, unwrap: func(key []byte, err error) ([]byte, error) {
		key[0] ^= 1
		return key, err
	}}), crypto.ErrWrongRoot, "another key behind the same record")
	require.ErrorIs(t, open(wrapper{KeyWrapper: right, unwrap: func(key []byte, err error) ([]byte, error) {
		return key[:31], err
	}}), crypto.ErrWrongRoot)

	outage := errors.New("no route to the key server")
	err = open(wrapper{KeyWrapper: right, unwrap: func([]byte, error) ([]byte, error) { return nil, outage }})
	require.ErrorIs(t, err, outage)
	require.NotErrorIs(t, err, crypto.ErrWrongRoot)
}

// TestOneKeyOnly starts many rings on an empty store at once, each with several goroutines.
func TestOneKeyOnly(t *testing.T) {
	t.Parallel()
	root, store := keyFile(t), crypto.NewMemory()
	row := crypto.Row{Tenant: "acme", Subject: "ann", ID: "1"}
	var mu sync.Mutex
	var sealed, indexes [][]byte
	var rings []*crypto.Keyring
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			ring, err := crypto.New(t.Context(), crypto.Config{Root: root, Store: store, Audit: audit.Discard})
			if err != nil {
				t.Error(err)
				return
			}
			var inner sync.WaitGroup
			for range 4 {
				inner.Go(func() {
					f := ring.Field("customers", "email", crypto.WithIndex(nil))
					v, err := f.Seal(t.Context(), row, []byte("secret"))
					i, indexErr := f.Index(t.Context(), "acme", "secret")
					if err != nil || indexErr != nil {
						t.Error(err, indexErr)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					sealed, indexes, rings = append(sealed, v), append(indexes, i), append(rings, ring)
				})
			}
			inner.Wait()
		})
	}
	wg.Wait()
	require.Len(t, sealed, 64)
	for i, v := range sealed {
		require.Equal(t, sealed[0][:9], v[:9], "one key ID")
		require.Equal(t, indexes[0], indexes[i])
		got, err := rings[(i+5)%len(rings)].Field("customers", "email").Open(t.Context(), row, v)
		require.NoError(t, err)
		require.Equal(t, "secret", string(got))
	}
}

func TestKeysAreLoadedOnce(t *testing.T) {
	t.Parallel()
	root, memory := keyFile(t), crypto.NewMemory()
	row := crypto.Row{Tenant: "acme", Subject: "ann", ID: "1"}
	first := newRing(t, crypto.Config{Root: root, Store: memory}).Field("customers", "email")
	sealed, err := first.Seal(t.Context(), row, []byte("secret"))
	require.NoError(t, err)

	var rec events
	store := &counting{KeyStore: memory}
	now := &clock{at: time.Unix(1_800_000_000, 0)}
	f := newRing(t, crypto.Config{Root: root, Store: store, Audit: &rec, Clock: now.now}).Field("customers", "email")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				if _, err := f.Open(t.Context(), row, sealed); err != nil {
					t.Error(err)
				}
				if _, err := f.Seal(t.Context(), row, []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	// The value's key and its tenant's by ID, then the subject's active key.
	require.Equal(t, map[string]int{"active root": 1, "key": 2, "active subject": 1}, store.calls)
	require.Empty(t, rec.take(audit.CryptoKeyCreated))
}

func TestKeyCreationIsRecorded(t *testing.T) {
	t.Parallel()
	var rec events
	store := &counting{KeyStore: crypto.NewMemory()}
	f := newRing(t, crypto.Config{Audit: &rec, Store: store}).Field("customers", "email")
	row := crypto.Row{Tenant: "acme", Subject: "ann", ID: "1"}
	for range 3 {
		_, err := f.Seal(t.Context(), row, nil)
		require.NoError(t, err)
	}
	created := rec.take(audit.CryptoKeyCreated)
	require.Len(t, created, 3)
	for i, kind := range []string{"root", "tenant", "subject"} {
		require.Equal(t, audit.Success, created[i].Outcome)
		require.Equal(t, []audit.Detail{{Name: "kind", Value: kind}}, created[i].Details)
		require.Equal(t, 1, store.calls["ensure "+kind])
	}
	require.Equal(t, subjects("ann"), created[2].Subjects)

	rec.err = errors.New("disk full")
	_, err := f.Seal(t.Context(), crypto.Row{Tenant: "acme", Subject: "bob", ID: "2"}, nil)
	require.ErrorIs(t, err, rec.err)
	require.Equal(t, 1, store.calls["ensure subject"], "no key without an event")
	_, err = f.Seal(t.Context(), row, nil)
	require.NoError(t, err, "keys that exist need no event")
}

func TestStoreFailureIsNoRefusal(t *testing.T) {
	t.Parallel()
	var rec events
	root, memory := keyFile(t), crypto.NewMemory()
	row := crypto.Row{Tenant: "acme", ID: "1"}
	sealed, err := newRing(t, crypto.Config{Root: root, Store: memory}).Field("t", "c").Seal(t.Context(), row, nil)
	require.NoError(t, err)
	f := newRing(t, crypto.Config{Root: root, Store: memory, Audit: &rec}).Field("t", "c")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.Open(ctx, row, sealed)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, crypto.ErrOpen)
	require.Empty(t, rec.take(audit.CryptoOpenRefused))
}

// altered changes what a store gives.
type altered struct {
	crypto.KeyStore
	change func(*crypto.KeyRecord)
}

func (a *altered) ActiveKey(ctx context.Context, s crypto.Scope) (crypto.KeyRecord, error) {
	r, err := a.KeyStore.ActiveKey(ctx, s)
	a.change(&r)
	return r, err
}

func (a *altered) Key(ctx context.Context, id crypto.KeyID) (crypto.KeyRecord, error) {
	r, err := a.KeyStore.Key(ctx, id)
	a.change(&r)
	return r, err
}

func TestKeyRecordsAreChecked(t *testing.T) {
	t.Parallel()
	root, memory := keyFile(t), crypto.NewMemory()
	ring := newRing(t, crypto.Config{Root: root, Store: memory})
	ann := crypto.Row{Tenant: "acme", Subject: "ann", ID: "1"}
	bob := crypto.Row{Tenant: "acme", Subject: "bob", ID: "1"}
	sealed, err := ring.Field("t", "c").Seal(t.Context(), ann, []byte("secret"))
	require.NoError(t, err)
	_, err = ring.Field("t", "c").Seal(t.Context(), bob, nil)
	require.NoError(t, err)
	bobs, err := memory.ActiveKey(t.Context(), crypto.Scope{Kind: crypto.KindSubject, Tenant: "acme", Subject: "bob"})
	require.NoError(t, err)

	for name, change := range map[string]func(*crypto.KeyRecord){
		"wrapped":      func(r *crypto.KeyRecord) { r.Wrapped[20] ^= 1 },
		"wrapped cut":  func(r *crypto.KeyRecord) { r.Wrapped = r.Wrapped[:10] },
		"no wrapped":   func(r *crypto.KeyRecord) { r.Wrapped = nil },
		"suite":        func(r *crypto.KeyRecord) { r.Wrapped[0] = 2 },
		"other's key":  func(r *crypto.KeyRecord) { r.Wrapped, r.Commitment = bobs.Wrapped, bobs.Commitment },
		"other record": func(r *crypto.KeyRecord) { *r = bobs },
		"commitment":   func(r *crypto.KeyRecord) { r.Commitment[0] ^= 1 },
		"id":           func(r *crypto.KeyRecord) { r.ID[0] ^= 1 },
		"version":      func(r *crypto.KeyRecord) { r.Version++ },
		"parent":       func(r *crypto.KeyRecord) { r.Parent = bobs.ID.String() },
		"no parent":    func(r *crypto.KeyRecord) { r.Parent = "" },
		"tenant":       func(r *crypto.KeyRecord) { r.Scope.Tenant = "other" },
		"subject":      func(r *crypto.KeyRecord) { r.Scope.Subject = "bob" },
		"other's ID":   func(r *crypto.KeyRecord) { scope := r.Scope; *r = bobs; r.Scope = scope },
		"kind":         func(r *crypto.KeyRecord) { r.Scope.Kind = crypto.KindTenant },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var rec events
			store := &altered{memory, func(r *crypto.KeyRecord) {
				if r.Scope.Subject == "ann" {
					change(r)
				}
			}}
			for _, warm := range []bool{false, true} {
				f := newRing(t, crypto.Config{Root: root, Store: store, Audit: &rec}).Field("t", "c")
				if warm { // bob's key is in the cache
					_, err := f.Seal(t.Context(), bob, nil)
					require.NoError(t, err)
				}
				_, err := f.Open(t.Context(), ann, sealed)
				require.Equal(t, crypto.ErrOpen, err)
				require.Len(t, rec.take(audit.CryptoOpenRefused), 1)
				_, err = f.Seal(t.Context(), ann, nil)
				require.ErrorContains(t, err, "key", "warm: %v", warm)
				rec.take(audit.CryptoOpenRefused)
			}
		})
	}
}

func TestShred(t *testing.T) {
	t.Parallel()
	var rec events
	root, store := keyFile(t), crypto.NewMemory()
	now := &clock{at: time.Unix(1_800_000_000, 0)}
	ring := newRing(t, crypto.Config{Root: root, Store: store, Audit: &rec, Clock: now.now})
	other := newRing(t, crypto.Config{Root: root, Store: store, Clock: now.now}).Field("t", "c")
	f := ring.Field("t", "c")
	ann := crypto.Row{Tenant: "acme", Subject: "ann", ID: "1"}
	rows := []crypto.Row{
		ann, {Tenant: "acme", Subject: "bob", ID: "1"}, {Tenant: "other", Subject: "ann", ID: "1"}, {Tenant: "acme", ID: "1"},
	}
	var sealed [][]byte
	for _, row := range rows {
		v, err := f.Seal(t.Context(), row, []byte("secret"))
		require.NoError(t, err)
		_, err = other.Open(t.Context(), row, v)
		require.NoError(t, err)
		sealed = append(sealed, v)
	}
	require.EqualError(t, ring.Shred(t.Context(), "acme", ""), "crypto: Shred needs a subject")

	rec.err = errors.New("disk full")
	require.ErrorIs(t, ring.Shred(t.Context(), "acme", "ann"), rec.err)
	_, err := f.Open(t.Context(), ann, sealed[0])
	require.NoError(t, err, "not shredded without an event")
	rec.err = nil

	for range 2 {
		require.NoError(t, ring.Shred(t.Context(), "acme", "ann"))
		events := rec.take(audit.CryptoShredded)
		require.Len(t, events, 1)
		require.Equal(t, subjects("ann"), events[0].Subjects)
		_, err = f.Open(t.Context(), ann, sealed[0])
		require.ErrorIs(t, err, crypto.ErrShredded)
		_, err = f.Seal(t.Context(), ann, nil)
		require.ErrorIs(t, err, crypto.ErrShredded)
	}
	for i, row := range rows[1:] {
		_, err := f.Open(t.Context(), row, sealed[0])
		require.Equal(t, crypto.ErrOpen, err, "who has the wrong row is not told")
		require.Len(t, rec.take(audit.CryptoOpenRefused), 1)
		got, err := f.Open(t.Context(), row, sealed[i+1])
		require.NoError(t, err)
		require.Equal(t, "secret", string(got))
	}

	_, err = other.Open(t.Context(), ann, sealed[0])
	require.NoError(t, err, "another process, within its CacheTTL")
	now.add(5 * time.Second)
	_, err = other.Open(t.Context(), ann, sealed[0])
	require.ErrorIs(t, err, crypto.ErrShredded)
	_, err = other.Seal(t.Context(), ann, nil)
	require.ErrorIs(t, err, crypto.ErrShredded)

	require.NoError(t, ring.Shred(t.Context(), "acme", "never seen"))
	_, err = f.Seal(t.Context(), crypto.Row{Tenant: "acme", Subject: "never seen", ID: "1"}, nil)
	require.ErrorIs(t, err, crypto.ErrShredded)
}

// TestShredWhileInUse asserts that nothing that starts after Shred has returned uses the key.
// Who hangs up once the log tells of a shredding gets it all the same, or the log would tell of one that never was.
func TestShredOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hangsUp := audit.RecorderFunc(func(_ context.Context, e audit.Event) error {
		if e.Kind == audit.CryptoShredded {
			cancel()
		}
		return nil
	})
	k := newRing(t, crypto.Config{Audit: hangsUp})
	row := crypto.Row{Tenant: "acme", Subject: "ann", ID: "1"}
	field := k.Field("customer", "name")
	sealed, err := field.Seal(ctx, row, []byte("Ann"))
	require.NoError(t, err)
	require.NoError(t, k.Shred(ctx, row.Tenant, row.Subject))
	require.Error(t, ctx.Err())
	_, err = field.Open(t.Context(), row, sealed)
	require.ErrorIs(t, err, crypto.ErrShredded)
}

func TestShredWhileInUse(t *testing.T) {
	t.Parallel()
	ring := newRing(t, crypto.Config{})
	f := ring.Field("t", "c")
	for i := range 50 {
		row := crypto.Row{Tenant: "acme", Subject: fmt.Sprint(i), ID: "1"}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					v, err := f.Seal(t.Context(), row, nil)
					if err == nil {
						_, err = f.Open(t.Context(), row, v)
					}
					if err != nil && !errors.Is(err, crypto.ErrShredded) {
						t.Error(err)
					}
				}
			})
		}
		require.NoError(t, ring.Shred(t.Context(), "acme", row.Subject))
		_, err := f.Seal(t.Context(), row, nil)
		require.ErrorIs(t, err, crypto.ErrShredded)
		wg.Wait()
		_, err = f.Seal(t.Context(), row, nil)
		require.ErrorIs(t, err, crypto.ErrShredded)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	ring := newRing(t, crypto.Config{})
	f := ring.Field("t", "c")
	row := func(i int) crypto.Row { return crypto.Row{Tenant: "acme", Subject: fmt.Sprint(i), ID: "1"} }
	var sealed [][]byte
	for i := range crypto.CacheLimit + 1000 {
		v, err := f.Seal(t.Context(), row(i), nil)
		require.NoError(t, err)
		sealed = append(sealed, v)
		if i%100 == 0 {
			require.LessOrEqual(t, ring.CacheLen(), crypto.CacheLimit)
		}
	}
	for i, v := range sealed {
		_, err := f.Open(t.Context(), row(i), v)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, ring.CacheLen(), crypto.CacheLimit)
}

// TestNothingSecretPrints prints everything that holds a key with every verb.
func TestNothingSecretPrints(t *testing.T) {
	t.Parallel()
	var key []byte
	file := keyFile(t)
	ring := newRing(t, crypto.Config{Root: wrapper{KeyWrapper: file, unwrap: func(k []byte, err error) ([]byte, error) {
		key = bytes.Clone(k)
		return k, err
	}}})
	files, _ := newFiles(t, ring)
	f := ring.Field("customers", "email")
	_, err := f.Seal(t.Context(), crypto.Row{ID: "1"}, nil)
	require.NoError(t, err)
	_, err = create(t.Context(), files, crypto.Row{ID: "1"}, bytes.NewReader(key))
	require.NoError(t, err)
	open, err := files.Open(t.Context(), crypto.Row{ID: "1"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = open.Close() })
	for _, v := range []any{file, *file, ring, f, files, open, struct{ K *crypto.KeyFile }{file}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b"} {
			got := fmt.Sprintf(verb, v)
			require.Less(t, len(got), 200, "%s of %T", verb, v)
			for _, form := range []string{"%x", "%X", "%d", "%s", "%v"} {
				secret := fmt.Sprintf(form, key[8:16])
				require.NotContains(t, got, secret[1:len(secret)-1])
			}
		}
	}
}

func TestSubkey(t *testing.T) {
	t.Parallel()
	root, store := keyFile(t), crypto.NewMemory()
	get := func(root crypto.KeyWrapper, store crypto.KeyStore, purpose string) string {
		key, err := newRing(t, crypto.Config{Root: root, Store: store}).Subkey(purpose)
		require.NoError(t, err)
		require.Len(t, key, 32)
		return string(key)
	}
	throttle := get(root, store, "throttle")
	require.Equal(t, throttle, get(root, store, "throttle"), "the same after a restart")
	require.NotEqual(t, throttle, get(root, store, "cookies"))
	require.NotEqual(t, throttle, get(root, crypto.NewMemory(), "throttle"), "another portal under the same key file")
	_, err := newRing(t, crypto.Config{Root: root, Store: store}).Subkey("")
	require.Error(t, err)
}
