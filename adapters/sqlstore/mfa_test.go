// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/mfa"
	"github.com/portalsec/portalsec/mfa/mfatest"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

func TestFactors(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		mfatest.Run(t, func(t *testing.T) mfa.Store {
			s, _ := b.open(t)
			return s.Factors()
		})
	})
}

// One code that 1,000 goroutines bring at once signs in one of them.
func TestFactorsVerifyRace(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	db.SetMaxOpenConns(8)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m, err := mfa.New(mfa.Config{
		Store: s.Factors(), Sealer: plain{}, Issuer: "Acme", Audit: audit.Discard, Clock: func() time.Time { return now },
	})
	require.NoError(t, err)
	user := mfa.User{Tenant: "acme", ID: "ann", Label: "ann", Visit: "s"}
	e, err := m.BeginTOTP(t.Context(), user)
	require.NoError(t, err)
	code := func() string {
		code, err := totp.GenerateCode(e.Secret, now)
		require.NoError(t, err)
		return code
	}
	recovery, err := m.ConfirmTOTP(t.Context(), user, code())
	require.NoError(t, err)
	now = now.Add(time.Minute)

	for _, code := range []string{code(), recovery[0]} {
		var wins atomic.Int64
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				_, err := m.Verify(t.Context(), user, code)
				var throttled *mfa.ThrottledError
				switch {
				case err == nil:
					wins.Add(1)
				case !errors.Is(err, mfa.ErrCode) && !errors.As(err, &throttled):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), wins.Load())
		require.NoError(t, s.Factors().ClearTries(t.Context(), user.Tenant, user.ID))
	}
}

// plain seals nothing: what is tested here is the store.
type plain struct{}

func (plain) Seal(_ context.Context, _ portalsec.Row, b []byte) ([]byte, error) { return b, nil }
func (plain) Open(_ context.Context, _ portalsec.Row, b []byte) ([]byte, error) { return b, nil }
