// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"crypto/rand"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"
)

const rightPassword = "correct horse battery staple"

// BenchmarkPassword verifies a password beside the bare hash function with the same parameters, one after the other.
func BenchmarkPassword(b *testing.B) {
	for _, c := range []struct {
		profile  portalsec.Profile
		time, kb uint32
		threads  uint8
	}{{portalsec.L2, 2, 19 << 10, 1}, {portalsec.L3, 3, 64 << 10, 4}} {
		b.Run(c.profile.String()+"/argon2", func(b *testing.B) {
			salt := make([]byte, 16)
			rand.Read(salt)
			b.ReportAllocs()
			for b.Loop() {
				argon2.IDKey([]byte(rightPassword), salt, c.time, c.kb, c.threads, 32)
			}
		})
		b.Run(c.profile.String()+"/portalsec", func(b *testing.B) {
			h, err := password.New(password.Config{Profile: c.profile})
			require.NoError(b, err)
			stored, err := h.Hash(b.Context(), rightPassword)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if res, err := h.Verify(b.Context(), stored, rightPassword); err != nil || !res.OK {
					b.Fatal(res, err)
				}
			}
		})
	}
}

// BenchmarkPasswordFilter asks the embedded list of common passwords by way of a file that holds the same.
func BenchmarkPasswordFilter(b *testing.B) {
	f, err := password.OpenFilter("../auth/password/common/common.filter")
	require.NoError(b, err)
	require.True(b, f.Contains("PasswordPassword"))
	for _, c := range []struct{ name, pw string }{{"lower", rightPassword}, {"capitals", "Correct Horse Battery Staple"}, {"found", "passwordpassword"}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.Contains(c.pw)
			}
		})
	}
}

// BenchmarkPasswordFlood lets sign-ins come at once and reports the greatest heap, beside goroutines that hash without
// bound. There are 100 without bound, because 500 need 9.5 GiB.
func BenchmarkPasswordFlood(b *testing.B) {
	b.Run("unbounded-100", func(b *testing.B) {
		salt := make([]byte, 16)
		rand.Read(salt)
		flood(b, 100, func() error {
			argon2.IDKey([]byte(rightPassword), salt, 2, 19<<10, 1, 32)
			return nil
		})
	})
	b.Run("portalsec-500", func(b *testing.B) {
		h, err := password.New(password.Config{})
		require.NoError(b, err)
		stored, err := h.Hash(b.Context(), rightPassword)
		require.NoError(b, err)
		flood(b, 500, func() error {
			_, err := h.Verify(b.Context(), stored, rightPassword)
			return err
		})
	})
}

func flood(b *testing.B, n int, hash func() error) {
	var peak uint64
	var busy int
	for b.Loop() {
		runtime.GC()
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if err := hash(); errors.Is(err, password.ErrBusy) {
					mu.Lock()
					busy++
					mu.Unlock()
				} else if err != nil {
					b.Error(err)
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for tick, running := time.NewTicker(time.Millisecond), true; running; {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			select {
			case <-tick.C:
			case <-done:
				tick.Stop()
				running = false
			}
		}
	}
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
	b.ReportMetric(float64(busy)/float64(b.N), "refused/op")
}
