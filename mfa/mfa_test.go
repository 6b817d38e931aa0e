// SPDX-License-Identifier: Apache-2.0

package mfa_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/mfa"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

var ann = mfa.User{Tenant: "acme", ID: "ann", Label: "ann@example.com", Visit: "s-1"}

// sealer seals with AES-GCM, bound to the row.
type sealer struct{ aead cipher.AEAD }

func newSealer() sealer {
	block, err := aes.NewCipher([]byte("0123456789abcdef"))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return sealer{aead}
}

func (s sealer) Seal(_ context.Context, row portalsec.Row, plaintext []byte) ([]byte, error) {
	return s.aead.Seal(nil, nil, plaintext, fmt.Appendf(nil, "%q", row)), nil
}

func (s sealer) Open(_ context.Context, row portalsec.Row, sealed []byte) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, fmt.Appendf(nil, "%q", row))
}

// bench is a manager with everything around it in the test's hands.
type bench struct {
	*mfa.Manager
	store  mfa.Store
	sealer sealer

	mu     sync.Mutex
	now    time.Time
	events []audit.Event
	refuse error // what the recorder answers
}

func newBench(t *testing.T, change ...func(*mfa.Config)) *bench {
	t.Helper()
	b := &bench{store: mfa.NewMemory(), sealer: newSealer(), now: time.Date(2026, 3, 1, 12, 0, 15, 0, time.UTC)}
	c := mfa.Config{
		Store: b.store, Sealer: b.sealer, Issuer: "Acme Portal", EnrolPath: "/mfa/enrol", Exempt: []string{"/logout", "/static/"},
		Clock: func() time.Time { b.mu.Lock(); defer b.mu.Unlock(); return b.now },
		Audit: audit.RecorderFunc(func(ctx context.Context, e audit.Event) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, audit.Prepare(ctx, e))
			return b.refuse
		}),
	}
	for _, f := range change {
		f(&c)
	}
	m, err := mfa.New(c)
	require.NoError(t, err)
	b.Manager = m
	return b
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) last() audit.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events[len(b.events)-1]
}

// code gives what the app shows when its clock is off by d.
func (b *bench) code(t *testing.T, e mfa.Enrolment, off time.Duration) string {
	t.Helper()
	code, err := totp.GenerateCode(e.Secret, b.now.Add(off))
	require.NoError(t, err)
	return code
}

// enrol gives ann an authenticator app and lets its first code pass.
func (b *bench) enrol(t *testing.T) (mfa.Enrolment, []string) {
	t.Helper()
	e, err := b.BeginTOTP(t.Context(), ann)
	require.NoError(t, err)
	recovery, err := b.ConfirmTOTP(t.Context(), ann, b.code(t, e, 0))
	require.NoError(t, err)
	b.pass(time.Minute)
	return e, recovery
}

func as(ctx context.Context, factors ...string) context.Context {
	p := portalsec.Principal{ID: ann.ID, Tenant: ann.Tenant}
	for _, f := range factors {
		p.Factors = append(p.Factors, portalsec.FactorProof{Kind: f})
	}
	return portalsec.WithPrincipal(ctx, p)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*mfa.Config){
		"Config.Store is required":  func(c *mfa.Config) { c.Store = nil },
		"Config.Sealer is required": func(c *mfa.Config) { c.Sealer = nil },
		"Config.Issuer is required": func(c *mfa.Config) { c.Issuer = " " },
		"colon":                     func(c *mfa.Config) { c.Issuer = "a:b" },
		`"/"`:                       func(c *mfa.Config) { c.EnrolPath = "/" },
		`"//evil"`:                  func(c *mfa.Config) { c.EnrolPath = "//evil" },
		`"static"`:                  func(c *mfa.Config) { c.Exempt = []string{"/logout", "static"} },
		`""`:                        func(c *mfa.Config) { c.Exempt = []string{""} },
		`"/a/../"`:                  func(c *mfa.Config) { c.Exempt = []string{"/a/../"} },
		`"/enrol?a=b"`:              func(c *mfa.Config) { c.EnrolPath = "/enrol?a=b" },
		`"/enrol#qr"`:               func(c *mfa.Config) { c.EnrolPath = "/enrol#qr" },
		`"/logout?all=1"`:           func(c *mfa.Config) { c.Exempt = []string{"/logout?all=1"} },
	} {
		c := mfa.Config{Store: mfa.NewMemory(), Sealer: newSealer(), Issuer: "Acme"}
		change(&c)
		_, err := mfa.New(c)
		require.ErrorContains(t, err, want)
	}
	_, err := mfa.New(mfa.Config{Store: mfa.NewMemory(), Sealer: newSealer(), Issuer: "Acme"})
	require.NoError(t, err)
}

func TestFactors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	infos, err := b.Factors(t.Context(), ann.Tenant, ann.ID)
	require.NoError(t, err)
	require.Empty(t, infos)

	begun := b.now
	e, codes := b.enrol(t)
	infos, err = b.Factors(t.Context(), ann.Tenant, ann.ID)
	require.NoError(t, err)
	require.Len(t, infos, 2)
	require.Equal(t, mfa.FactorInfo{ID: e.ID, Kind: portalsec.FactorTOTP, Created: begun, LastUsed: begun.Truncate(30 * time.Second)}, infos[0])
	require.Equal(t, mfa.FactorInfo{ID: infos[1].ID, Kind: portalsec.FactorRecovery, Created: begun, RecoveryLeft: 10}, infos[1])

	_, err = b.Verify(t.Context(), ann, codes[3])
	require.NoError(t, err)
	infos, err = b.Factors(t.Context(), ann.Tenant, ann.ID)
	require.NoError(t, err)
	require.Equal(t, 9, infos[1].RecoveryLeft)
	require.Equal(t, b.now, infos[1].LastUsed)
}

func TestRemove(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, codes := b.enrol(t)
	require.ErrorIs(t, b.Remove(t.Context(), ann.Tenant, "bob", e.ID), mfa.ErrNotFound)
	require.ErrorIs(t, b.Remove(t.Context(), "other", ann.ID, e.ID), mfa.ErrNotFound)

	password := as(t.Context(), portalsec.FactorPassword)
	require.ErrorIs(t, b.Remove(password, ann.Tenant, ann.ID, e.ID), mfa.ErrProofNeeded)
	p, _ := portalsec.PrincipalFrom(as(t.Context(), portalsec.FactorPassword, portalsec.FactorTOTP))
	p.Impersonator = "staff"
	require.ErrorIs(t, b.Remove(portalsec.WithPrincipal(t.Context(), p), ann.Tenant, ann.ID, e.ID), mfa.ErrProofNeeded)

	require.NoError(t, b.Remove(as(t.Context(), portalsec.FactorPassword, portalsec.FactorTOTP), ann.Tenant, ann.ID, e.ID))
	require.Equal(t, audit.MFARemoved, b.last().Kind)
	require.Equal(t, audit.Pseudonym("ann"), b.last().Actor)
	require.Equal(t, &audit.Target{Type: "factor", ID: e.ID}, b.last().Target)
	for _, code := range []string{b.code(t, e, 0), codes[0]} {
		_, err := b.Verify(t.Context(), ann, code)
		require.ErrorIs(t, err, mfa.ErrCode)
		require.Equal(t, "not-enrolled", b.last().Reason)
	}
}

// A change that cannot be recorded is not made.
func TestRecorderFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk full")
	b := newBench(t)
	e, _ := b.enrol(t)
	b.refuse = broken
	require.ErrorIs(t, b.Remove(t.Context(), ann.Tenant, ann.ID, e.ID), broken)
	require.ErrorIs(t, b.SetPolicy(t.Context(), "acme", mfa.Policy{}), broken)
	proof, err := b.Verify(t.Context(), ann, b.code(t, e, 0))
	require.ErrorIs(t, err, broken)
	require.Zero(t, proof)
	_, err = b.Verify(t.Context(), ann, "000000")
	require.ErrorIs(t, err, broken)

	proven := as(t.Context(), portalsec.FactorPassword, portalsec.FactorTOTP)
	second, err := b.BeginTOTP(proven, ann)
	require.NoError(t, err)
	_, err = b.ConfirmTOTP(proven, ann, b.code(t, second, 0))
	require.ErrorIs(t, err, broken)

	b.refuse = nil
	infos, err := b.Factors(t.Context(), ann.Tenant, ann.ID)
	require.NoError(t, err)
	require.Equal(t, e.ID, infos[0].ID)
	p, err := b.Policy(t.Context(), "acme")
	require.NoError(t, err)
	require.True(t, p.Everyone)
}

// leavingStore is a store that the client leaves while it works.
type leavingStore struct {
	mfa.Store
	leave func()
}

func (s leavingStore) Remove(ctx context.Context, tenant, user, factor string) (bool, error) {
	s.leave()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return s.Store.Remove(ctx, tenant, user, factor)
}

func (s leavingStore) PutPolicy(ctx context.Context, tenant string, p mfa.Policy) error {
	s.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, bounded := ctx.Deadline(); !bounded {
		return errors.New("no deadline")
	}
	return s.Store.PutPolicy(ctx, tenant, p)
}

// What is recorded is done, also when the client goes away meanwhile.
func TestChangeIsFinished(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	b := newBench(t, func(c *mfa.Config) { c.Store = leavingStore{c.Store, leave} })
	e, _ := b.enrol(t)
	require.NoError(t, b.Remove(ctx, ann.Tenant, ann.ID, e.ID))

	ctx, leave = context.WithCancel(t.Context())
	b = newBench(t, func(c *mfa.Config) { c.Store = leavingStore{c.Store, leave} })
	require.NoError(t, b.SetPolicy(ctx, "acme", mfa.Policy{Roles: []string{"admin"}}))
	p, err := b.Policy(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, []string{"admin"}, p.Roles)
}

// downStore fails in the methods named.
type downStore struct {
	mfa.Store
	down []string
}

var errDown = errors.New("store is down")

func (s downStore) fails(method string) error {
	if slices.Contains(s.down, method) {
		return errDown
	}
	return nil
}

func (s downStore) TakeTry(ctx context.Context, tenant, user string, now time.Time, wait func(int) time.Duration) (bool, time.Duration, error) {
	if err := s.fails("TakeTry"); err != nil {
		return true, 0, err
	}
	return s.Store.TakeTry(ctx, tenant, user, now, wait)
}

func (s downStore) Factors(ctx context.Context, tenant, user string) ([]mfa.Factor, error) {
	if err := s.fails("Factors"); err != nil {
		return nil, err
	}
	return s.Store.Factors(ctx, tenant, user)
}

func (s downStore) AdvanceTOTP(ctx context.Context, factor string, step int64) (bool, error) {
	if err := s.fails("AdvanceTOTP"); err != nil {
		return true, err
	}
	return s.Store.AdvanceTOTP(ctx, factor, step)
}

func (s downStore) Enrol(ctx context.Context, totp, recovery mfa.Factor, replaces string) (bool, error) {
	if err := s.fails("Enrol"); err != nil {
		return true, err
	}
	return s.Store.Enrol(ctx, totp, recovery, replaces)
}

func (s downStore) Remove(ctx context.Context, tenant, user, factor string) (bool, error) {
	if err := s.fails("Remove"); err != nil {
		return true, err
	}
	if slices.Contains(s.down, "Remove loses") {
		return false, nil
	}
	return s.Store.Remove(ctx, tenant, user, factor)
}

func (s downStore) PutPolicy(ctx context.Context, tenant string, p mfa.Policy) error {
	if err := s.fails("PutPolicy"); err != nil {
		return err
	}
	return s.Store.PutPolicy(ctx, tenant, p)
}

func (s downStore) Policy(ctx context.Context, tenant string) (mfa.Policy, error) {
	if err := s.fails("Policy"); err != nil {
		return mfa.Policy{}, err
	}
	return s.Store.Policy(ctx, tenant)
}

func TestStoreFails(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"TakeTry", "Factors", "AdvanceTOTP"} {
		b := newBench(t)
		e, _ := b.enrol(t)
		m, err := mfa.New(mfa.Config{
			Store: downStore{b.store, []string{method}}, Sealer: b.sealer, Issuer: "Acme", Audit: audit.Discard,
			Clock: func() time.Time { return b.now },
		})
		require.NoError(t, err)
		proof, err := m.Verify(t.Context(), ann, b.code(t, e, 0))
		require.ErrorIs(t, err, errDown, method)
		require.NotErrorIs(t, err, mfa.ErrCode)
		require.Zero(t, proof)
	}
	_, _, err := newBench(t, func(c *mfa.Config) { c.Store = downStore{c.Store, []string{"Policy"}} }).
		Required(t.Context(), "acme", "ann", nil)
	require.ErrorIs(t, err, errDown)
}

// An enrolment that is recorded and then fails has a second event that says so.
func TestEnrolFailsInStore(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *mfa.Config) { c.Store = downStore{c.Store, []string{"Enrol"}} })
	e, err := b.BeginTOTP(t.Context(), ann)
	require.NoError(t, err)
	codes, err := b.ConfirmTOTP(t.Context(), ann, b.code(t, e, 0))
	require.ErrorIs(t, err, errDown)
	require.Nil(t, codes)
	require.Equal(t, audit.Error, b.last().Outcome)
	require.Equal(t, "store", b.last().Reason)
}

// So has a removal that fails, or that somebody else was faster with, and a policy that is not put.
func TestChangeFailsInStore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, down string
		want       error
		outcome    audit.Outcome
		reason     string
	}{
		{"removed by another request", "Remove loses", mfa.ErrNotFound, audit.Failure, "superseded"},
		{"remove", "Remove", errDown, audit.Error, "store"},
		{"policy", "PutPolicy", errDown, audit.Error, "store"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(cfg *mfa.Config) { cfg.Store = downStore{cfg.Store, []string{c.down}} })
			e, _ := b.enrol(t)
			before := len(b.events)
			change := func() error { return b.Remove(t.Context(), ann.Tenant, ann.ID, e.ID) }
			if c.down == "PutPolicy" {
				change = func() error { return b.SetPolicy(t.Context(), "acme", mfa.Policy{Everyone: true}) }
			}
			require.ErrorIs(t, change(), c.want)
			require.Len(t, b.events, before+2)
			first, second := b.events[before], b.events[before+1]
			require.Equal(t, audit.Success, first.Outcome)
			require.Equal(t, first.Kind, second.Kind)
			require.Equal(t, first.Target, second.Target)
			require.Equal(t, first.Details, second.Details)
			require.Equal(t, []string{string(c.outcome), c.reason}, []string{string(second.Outcome), second.Reason})
		})
	}
}

// The secret reaches the store sealed, and for its own row only.
func TestSecretIsSealed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, err := b.BeginTOTP(t.Context(), ann)
	require.NoError(t, err)
	p, err := b.store.Pending(t.Context(), ann.Tenant, ann.ID, b.now)
	require.NoError(t, err)
	secret, err := b.sealer.Open(t.Context(), portalsec.Row{Tenant: "acme", Subject: "ann", ID: e.ID}, p.Secret)
	require.NoError(t, err)
	require.Len(t, secret, 20)
	require.NotContains(t, string(p.Secret), string(secret))

	// Whoever writes a sealed secret of their own into another user's row gains nothing by it.
	p.User, p.Visit = "bob", "s-2"
	require.NoError(t, b.store.PutPending(t.Context(), p))
	_, err = b.ConfirmTOTP(t.Context(), mfa.User{Tenant: "acme", ID: "bob", Label: "bob", Visit: "s-2"}, b.code(t, e, 0))
	require.ErrorContains(t, err, "open secret")
}
