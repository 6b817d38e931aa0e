// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

const right = "correct horse battery staple"

// fast gives a hasher that costs next to nothing.
func fast(t testing.TB, c password.Config) *password.Hasher {
	t.Helper()
	c.InsecureFast = true
	if c.FIPS {
		c.Iterations = max(c.Iterations, 1)
	} else {
		c.Memory, c.Time = cmp.Or(c.Memory, 64), cmp.Or(c.Time, 1)
	}
	h, err := password.New(c)
	require.NoError(t, err)
	return h
}

func TestHashAndVerify(t *testing.T) {
	t.Parallel()
	for profile, want := range map[portalsec.Profile]string{
		0:            "$argon2id$v=19$m=19456,t=2,p=1$",
		portalsec.L1: "$argon2id$v=19$m=19456,t=2,p=1$",
		portalsec.L2: "$argon2id$v=19$m=19456,t=2,p=1$",
		portalsec.L3: "$argon2id$v=19$m=65536,t=3,p=4$",
	} {
		t.Run(profile.String(), func(t *testing.T) {
			t.Parallel()
			h, err := password.New(password.Config{Profile: profile})
			require.NoError(t, err)
			phc, err := h.Hash(t.Context(), right)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(phc, want), phc)

			res, err := h.Verify(t.Context(), phc, right)
			require.NoError(t, err)
			require.Equal(t, password.Result{OK: true}, res)

			res, err = h.Verify(t.Context(), phc, right+" ")
			require.NoError(t, err)
			require.Equal(t, password.Result{}, res)
		})
	}
}

func TestHashIsSalted(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{})
	a, err := h.Hash(t.Context(), right)
	require.NoError(t, err)
	b, err := h.Hash(t.Context(), right)
	require.NoError(t, err)
	require.NotEqual(t, a, b)
}

// The strings were made by the reference implementation, see testdata/README.md.
func TestVerifyReference(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{})
	for _, v := range vectors(t, "argon2id.txt") {
		res, err := h.Verify(t.Context(), v.stored, v.password)
		require.NoError(t, err, v.stored)
		require.True(t, res.OK, v.stored)
		res, err = h.Verify(t.Context(), v.stored, v.password+"x")
		require.NoError(t, err, v.stored)
		require.False(t, res.OK, v.stored)
	}
}

// What is sent is what is hashed: no two of these are the same password.
func TestVerifyExactly(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{})
	forms := []string{
		"Caf\u00e9 au lait", "Cafe\u0301 au lait", "caf\u00e9 au lait", "Caf\u00e9 au lait ", " Caf\u00e9 au lait",
		"Caf\u00e9\x00au lait", "Caf\u00e9", "Caf\u00e9\x00", strings.Repeat("密", 100), strings.Repeat("密", 101),
	}
	for i, stored := range forms {
		phc, err := h.Hash(t.Context(), stored)
		require.NoError(t, err)
		for j, sent := range forms {
			res, err := h.Verify(t.Context(), phc, sent)
			require.NoError(t, err)
			require.Equal(t, i == j, res.OK, "%q as %q", stored, sent)
		}
	}
}

func TestNeedsRehash(t *testing.T) {
	t.Parallel()
	base := password.Config{Memory: 64, Time: 2, Threads: 1}
	phc, err := fast(t, base).Hash(t.Context(), right)
	require.NoError(t, err)
	for name, c := range map[string]password.Config{
		"memory":  {Memory: 128, Time: 2, Threads: 1},
		"time":    {Memory: 64, Time: 1, Threads: 1},
		"threads": {Memory: 64, Time: 2, Threads: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := fast(t, c)
			res, err := h.Verify(t.Context(), phc, right)
			require.NoError(t, err)
			require.Equal(t, password.Result{OK: true, NeedsRehash: true}, res)
			res, err = h.Verify(t.Context(), phc, "wrong")
			require.NoError(t, err)
			require.Equal(t, password.Result{}, res, "a wrong password must not be hashed anew")

			again, err := h.Hash(t.Context(), right)
			require.NoError(t, err)
			res, err = h.Verify(t.Context(), again, right)
			require.NoError(t, err)
			require.Equal(t, password.Result{OK: true}, res)
		})
	}
}

func TestLength(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{})
	_, err := h.Hash(t.Context(), "")
	require.ErrorIs(t, err, password.ErrLength)
	_, err = h.Hash(t.Context(), strings.Repeat("x", password.MaxBytes+1))
	require.ErrorIs(t, err, password.ErrLength)

	longest := strings.Repeat("x", password.MaxBytes)
	phc, err := h.Hash(t.Context(), longest)
	require.NoError(t, err)
	res, err := h.Verify(t.Context(), phc, longest)
	require.NoError(t, err)
	require.True(t, res.OK)

	// A password that is too long is refused without a slot, for known and unknown alike.
	defer password.FillSlots(h)()
	huge := strings.Repeat("x", 1<<20)
	res, err = h.Verify(t.Context(), phc, huge)
	require.NoError(t, err)
	require.False(t, res.OK)
	require.NoError(t, h.VerifyUnknown(t.Context(), huge))
}

func TestVerifyMalformed(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{})
	for name, phc := range hostile() {
		_, err := h.Verify(t.Context(), phc, right)
		require.ErrorIs(t, err, password.ErrHash, name)
		require.NotContains(t, err.Error(), "$", name)
	}
	// A broken hash costs a slot like any other, so that time does not tell it apart.
	defer password.FillSlots(h)()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Verify(ctx, "x", right)
	require.ErrorIs(t, err, context.Canceled)
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]password.Config{
		"Memory meant in MiB":    {Memory: 19},
		"Memory over bound":      {Memory: 256<<10 + 1},
		"Memory under lanes":     {Memory: 31, Threads: 4, InsecureFast: true},
		"Memory times Time":      {Memory: 19456, Time: 1},
		"Time over bound":        {Time: 17},
		"Threads over bound":     {Threads: 17},
		"Slots is negative":      {Slots: -1},
		"Memory under the least": {Memory: 6 << 10, Time: 16},
	} {
		_, err := password.New(c)
		require.ErrorContains(t, err, "password: Config.", name)
	}
	// The rows of the OWASP Password Storage Cheat Sheet.
	for _, c := range []password.Config{
		{Memory: 47104, Time: 1}, {Memory: 19456, Time: 2}, {Memory: 12288, Time: 3}, {Memory: 9216, Time: 4}, {Memory: 7168, Time: 5},
	} {
		_, err := password.New(c)
		require.NoError(t, err, c)
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := fast(t, password.Config{Slots: 2, Queue: 3})
		phc, err := h.Hash(t.Context(), right)
		require.NoError(t, err)
		release := password.FillSlots(h)

		var done atomic.Int32
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if res, err := h.Verify(t.Context(), phc, right); err == nil && res.OK {
					done.Add(1)
				}
			})
		}
		synctest.Wait() // all three wait in the queue
		require.Equal(t, 5, password.Waiting(h))
		_, err = h.Verify(t.Context(), phc, right)
		require.ErrorIs(t, err, password.ErrBusy)
		require.ErrorIs(t, h.VerifyUnknown(t.Context(), right), password.ErrBusy)
		_, err = h.Hash(t.Context(), right)
		require.ErrorIs(t, err, password.ErrBusy)

		release()
		wg.Wait()
		require.EqualValues(t, 3, done.Load())
		require.Zero(t, password.Waiting(h))
	})
}

// The default number of slots: one per processor, and together at most 64 MiB. Not parallel, because it changes the number
// of processors.
func TestSlots(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	for _, c := range []struct {
		name   string
		config password.Config
		want   int
	}{
		{"L2, 19 MiB each", password.Config{}, 3},
		{"L3, 64 MiB each", password.Config{Profile: portalsec.L3}, 1},
		{"32 MiB each", password.Config{Memory: 32 << 10}, 2},
		{"a little more", password.Config{Memory: 32<<10 + 1}, 1},
		{"more than 64 MiB each", password.Config{Memory: 256 << 10}, 1},
		{"7 MiB each: one per processor", password.Config{Memory: 7 << 10, Time: 5}, 8},
		{"told", password.Config{Slots: 20}, 20},
	} {
		h, err := password.New(c.config)
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, password.Slots(h), c.name)
	}
}

func TestNoQueue(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{Slots: 1, Queue: -1})
	release := password.FillSlots(h)
	require.ErrorIs(t, h.VerifyUnknown(t.Context(), right), password.ErrBusy)
	release()
	require.NoError(t, h.VerifyUnknown(t.Context(), right))
}

func TestWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := fast(t, password.Config{Slots: 1, Queue: 1})
		release := password.FillSlots(h)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, h.VerifyUnknown(ctx, right), context.DeadlineExceeded)
		require.Equal(t, 1, password.Waiting(h), "who left must not hold a place in the queue")
		release()
		require.ErrorIs(t, h.VerifyUnknown(ctx, right), context.DeadlineExceeded)
	})
}

// A coarse look only: that the unknown login name costs a hash at all, and about one.
func TestVerifyUnknownTakesAsLong(t *testing.T) {
	h, err := password.New(password.Config{})
	require.NoError(t, err)
	phc, err := h.Hash(t.Context(), right)
	require.NoError(t, err)
	var known, unknown []time.Duration
	for range 15 {
		start := time.Now()
		_, err := h.Verify(t.Context(), phc, "wrong")
		known = append(known, time.Since(start))
		require.NoError(t, err)
		start = time.Now()
		err = h.VerifyUnknown(t.Context(), "wrong")
		unknown = append(unknown, time.Since(start))
		require.NoError(t, err)
	}
	// The shortest of each: whatever else the machine does only makes a time longer.
	a, b := slices.Min(known), slices.Min(unknown)
	require.InDelta(t, 1, float64(b)/float64(a), 0.5, "shortest: known %v, unknown %v", a, b)
}

func BenchmarkVerify(b *testing.B) {
	for _, profile := range []portalsec.Profile{portalsec.L2, portalsec.L3} {
		b.Run(fmt.Sprint(profile), func(b *testing.B) {
			h, err := password.New(password.Config{Profile: profile})
			require.NoError(b, err)
			phc, err := h.Hash(b.Context(), right)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if res, err := h.Verify(b.Context(), phc, right); err != nil || !res.OK {
					b.Fatal(res, err)
				}
			}
		})
	}
}
