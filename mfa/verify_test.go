// SPDX-License-Identifier: Apache-2.0

package mfa_test

import (
	"context"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/mfa"
	"github.com/stretchr/testify/require"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, _ := b.enrol(t)
	code := b.code(t, e, 0)
	proof, err := b.Verify(t.Context(), ann, code)
	require.NoError(t, err)
	require.Equal(t, portalsec.FactorProof{Kind: portalsec.FactorTOTP, At: b.now}, proof)
	got := b.last()
	require.Equal(t, audit.MFAVerified, got.Kind)
	require.Equal(t, audit.Success, got.Outcome)
	require.Equal(t, audit.Pseudonym("ann"), got.Actor)
	require.Contains(t, got.Details, audit.Detail{Name: "kind", Value: portalsec.FactorTOTP})

	_, err = b.Verify(t.Context(), ann, code)
	require.ErrorIs(t, err, mfa.ErrCode)
	require.Equal(t, "replayed", b.last().Reason)
	require.Equal(t, audit.Failure, b.last().Outcome)
	require.Empty(t, b.last().Actor, "a code that failed does not tell who typed it")
	_, err = b.Verify(t.Context(), mfa.User{Tenant: "other", ID: "ann"}, b.code(t, e, 30*time.Second))
	require.ErrorIs(t, err, mfa.ErrCode)
	_, err = b.Verify(t.Context(), mfa.User{}, code)
	require.ErrorContains(t, err, "User.ID")
}

func TestVerifyDrift(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		off time.Duration
		ok  bool
	}{{-time.Minute, false}, {-30 * time.Second, true}, {0, true}, {30 * time.Second, true}, {time.Minute, false}} {
		b := newBench(t)
		e, _ := b.enrol(t)
		_, err := b.Verify(t.Context(), ann, b.code(t, e, c.off))
		require.Equal(t, c.ok, err == nil, c.off)
		if !c.ok {
			require.ErrorIs(t, err, mfa.ErrCode)
			require.Equal(t, "wrong-code", b.last().Reason)
		}
	}
}

// A step that was skipped by a fast clock is gone: codes never go back.
func TestVerifyNeverGoesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, _ := b.enrol(t)
	_, err := b.Verify(t.Context(), ann, b.code(t, e, 30*time.Second))
	require.NoError(t, err)
	_, err = b.Verify(t.Context(), ann, b.code(t, e, 0))
	require.ErrorIs(t, err, mfa.ErrCode)
	require.Equal(t, "replayed", b.last().Reason)
}

// Steps 59061240 and 59061241 of the RFCs' secret have the same digits: both may be used, each once.
func TestVerifyNeighboursWithSameDigits(t *testing.T) {
	t.Parallel()
	const step, code = 59061240, "963181"
	b := newBench(t)
	b.now = time.Unix(step*30+1, 0)
	row := portalsec.Row{Tenant: ann.Tenant, Subject: ann.ID, ID: "f"}
	sealed, err := b.sealer.Seal(t.Context(), row, []byte(rfcSecret))
	require.NoError(t, err)
	require.NoError(t, b.store.PutPending(t.Context(), mfa.Pending{ID: "f", Tenant: ann.Tenant, User: ann.ID, Visit: ann.Visit, Secret: sealed, Expires: b.now.Add(time.Hour)}))
	won, err := b.store.Enrol(t.Context(),
		mfa.Factor{ID: "f", Tenant: ann.Tenant, User: ann.ID, Kind: portalsec.FactorTOTP, Secret: sealed, Created: b.now},
		mfa.Factor{ID: "r", Tenant: ann.Tenant, User: ann.ID, Kind: portalsec.FactorRecovery}, "")
	require.NoError(t, err)
	require.True(t, won)
	require.Equal(t, code, b.code(t, mfa.Enrolment{Secret: base32.StdEncoding.EncodeToString([]byte(rfcSecret))}, 0))

	for _, want := range []error{nil, nil, mfa.ErrCode} {
		_, err := b.Verify(t.Context(), ann, code)
		require.ErrorIs(t, err, want)
	}
}

func TestVerifyRecovery(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, codes := b.enrol(t)
	for _, code := range codes {
		require.Regexp(t, `^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$`, code)
	}
	proof, err := b.Verify(t.Context(), ann, codes[0])
	require.NoError(t, err)
	require.Equal(t, portalsec.FactorRecovery, proof.Kind)
	_, err = b.Verify(t.Context(), ann, codes[0])
	require.ErrorIs(t, err, mfa.ErrCode)
	require.Equal(t, "replayed", b.last().Reason)
	_, err = b.Verify(t.Context(), ann, "0000-0000-0000-0000")
	require.ErrorIs(t, err, mfa.ErrCode)
	require.Equal(t, "wrong-code", b.last().Reason)
	_, err = b.Verify(t.Context(), ann, "  "+strings.ToLower(strings.ReplaceAll(codes[1], "-", " ")))
	require.NoError(t, err)
	_, err = b.Verify(t.Context(), ann, strings.NewReplacer("0", "O", "1", "l").Replace(codes[2]))
	require.NoError(t, err)
}

// Each set has a salt of its own, and a set of another format is refused rather than guessed at.
func TestRecoveryFormat(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, codes := b.enrol(t)
	bob := mfa.User{Tenant: "acme", ID: "bob", Label: "bob", Visit: "s-2"}
	e, err := b.BeginTOTP(t.Context(), bob)
	require.NoError(t, err)
	_, err = b.ConfirmTOTP(t.Context(), bob, b.code(t, e, 0))
	require.NoError(t, err)
	var secrets [][]byte
	for _, user := range []string{"ann", "bob"} {
		factors, err := b.store.Factors(t.Context(), "acme", user)
		require.NoError(t, err)
		require.Len(t, factors[1].Codes, 10)
		require.Len(t, factors[1].Secret, 17)
		require.Equal(t, byte(1), factors[1].Secret[0])
		secrets = append(secrets, factors[1].Secret)
	}
	require.NotEqual(t, secrets[0], secrets[1])

	m, err := mfa.New(mfa.Config{Store: laterFormat{b.store}, Sealer: b.sealer, Issuer: "Acme", Audit: audit.Discard})
	require.NoError(t, err)
	_, err = m.Verify(t.Context(), ann, codes[0])
	require.ErrorContains(t, err, "unknown format")
}

// A recovery code that is kept in a drawer for years must be good still: the hash never changes within a format. The
// value is that of Python's hashlib.pbkdf2_hmac("sha256", code, salt, 10000, 32).
func TestRecoveryHash(t *testing.T) {
	t.Parallel()
	secret := []byte("\x01\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f") // format and salt
	hash, err := mfa.HashRecovery(secret, "0123456789ABCDEF")
	require.NoError(t, err)
	require.Equal(t, "39cabbd5fd54874fab3fa6fa3e8ff1fce4d11c6aef699c995fbe2cb9ab8db3bc", hex.EncodeToString(hash))
}

// laterFormat gives recovery codes as a later version might store them.
type laterFormat struct{ mfa.Store }

func (s laterFormat) Factors(ctx context.Context, tenant, user string) ([]mfa.Factor, error) {
	factors, err := s.Store.Factors(ctx, tenant, user)
	for _, f := range factors {
		if f.Kind == portalsec.FactorRecovery {
			f.Secret[0] = 2
		}
	}
	return factors, err
}

func TestVerifyThrottles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, codes := b.enrol(t)
	for range 5 {
		_, err := b.Verify(t.Context(), ann, "000000")
		require.ErrorIs(t, err, mfa.ErrCode)
	}
	for _, code := range []string{b.code(t, e, 0), codes[0]} {
		_, err := b.Verify(t.Context(), ann, code)
		var throttled *mfa.ThrottledError
		require.ErrorAs(t, err, &throttled)
		require.Equal(t, 30*time.Second, throttled.RetryAfter)
		require.Equal(t, "throttled", b.last().Reason)
		require.Equal(t, audit.Denied, b.last().Outcome)
	}
	_, err := b.Verify(t.Context(), mfa.User{Tenant: "acme", ID: "bob"}, "000000")
	require.ErrorIs(t, err, mfa.ErrCode, "another user's tries are their own")

	b.pass(30 * time.Second)
	_, err = b.Verify(t.Context(), ann, b.code(t, e, 0))
	require.NoError(t, err)
	for range 5 { // a success gives all tries back
		_, err := b.Verify(t.Context(), ann, "000000")
		require.ErrorIs(t, err, mfa.ErrCode)
	}
}

// However many codes were tried, the next wait is an hour at most, and then the right code signs in.
func TestVerifyNeverLocksForGood(t *testing.T) {
	t.Parallel()
	require.Equal(t, 30*time.Second, mfa.Wait(5))
	require.Equal(t, time.Minute, mfa.Wait(6))
	require.Equal(t, time.Hour, mfa.Wait(1<<40))
	b := newBench(t)
	e, _ := b.enrol(t)
	for range 500 {
		_, err := b.Verify(t.Context(), ann, "000000")
		var throttled *mfa.ThrottledError
		if errors.As(err, &throttled) {
			b.pass(throttled.RetryAfter)
		}
	}
	b.pass(time.Hour)
	_, err := b.Verify(t.Context(), ann, b.code(t, e, 0))
	require.NoError(t, err)
}

// patientStore lets every try through, so that all who race get to the code.
type patientStore struct{ mfa.Store }

func (patientStore) TakeTry(context.Context, string, string, time.Time, func(int) time.Duration) (bool, time.Duration, error) {
	return true, 0, nil
}

func TestVerifyRace(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *mfa.Config) { c.Store = patientStore{c.Store} })
	e, codes := b.enrol(t)
	require.Equal(t, int64(1), race(t, b.Manager, b.code(t, e, 0), 1000))
	require.Equal(t, int64(1), race(t, b.Manager, codes[0], 100)) // each of them costs a hash
}

// race lets n goroutines verify one code and counts the proofs.
func race(t *testing.T, m *mfa.Manager, code string, n int) int64 {
	t.Helper()
	var wins atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-start
			_, err := m.Verify(t.Context(), ann, code)
			switch {
			case err == nil:
				wins.Add(1)
			case !errors.Is(err, mfa.ErrCode):
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	return wins.Load()
}

func TestNormalise(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"123456":                 "123456",
		" 123 456\n":             "123456",
		"123-456":                "123456",
		"１２３　４５６":                "123456",
		"12\u00a034\u200b56":     "123456",
		"abcd–efgh":              "ABCDEFGH",
		"ａｂｃｄ－ｅｆｇｈ":              "ABCDEFGH",
		"12345६":                 "12345६", // other scripts' digits stay, and are refused
		strings.Repeat("1", 128): strings.Repeat("1", 128),
		strings.Repeat("1", 129): "", // longer than any code is, however it is spaced
	} {
		require.Equal(t, want, mfa.Normalise(typed), "%q", typed)
	}
}
