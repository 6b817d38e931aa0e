// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

// Whether an account exists must not show in the time that an answer takes (ASVS 6.3.8). These tests take samples of both
// kinds in random order and compare them in two ways: by rank (Mann-Whitney), which finds any shift, and by the medians,
// which must lie within 2 % of the time of a hash.
//
// The arithmetic of chance: when nothing tells the kinds apart, one round has p <= 0.001 once in a thousand times. A test
// fails only when two rounds fail in the same direction, each with samples of its own: 0.001² / 2, once in two million
// runs. The medians add next to nothing: over 2,000 samples that vary by 10 % they differ by chance with a standard
// deviation of 1.25 × 10 % × √(2/2000) = 0.4 %, so 2 % is five of them.
const (
	timingSamples = 2000 // of each kind
	timingP       = 0.001
	timingGap     = 0.02
)

func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("PORTALSEC_SLOW") != "1" {
		t.Skip("takes up to a minute and wants a machine with nothing else to do: set PORTALSEC_SLOW=1")
	}
}

// trial is two kinds of call, 0 and 1, of which time must not tell the one from the other.
type trial struct {
	before func(kind, i int) // is not timed
	call   func(kind, i int)
}

// samples takes n times of each kind, in random order, so that what else the machine does meets both alike.
func (c trial) samples(seed uint64, n int) (times [2][]float64) {
	order := make([]int, 2*n)
	for i := range order {
		order[i] = i % 2
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	runtime.GC()
	for i, kind := range order {
		c.before(kind, i)
		begun := time.Now()
		c.call(kind, i)
		times[kind] = append(times[kind], float64(time.Since(begun)))
	}
	return times
}

// tell gives how two samples differ: the gap of the medians, and the two-sided p of the Mann-Whitney rank test with the
// sign of the shift, by its normal approximation, which is good from 20 samples on. Ties get the mean of their ranks.
func tell(a, b []float64) (gap, p float64) {
	type sample struct {
		v  float64
		of int
	}
	var all []sample
	for _, v := range a {
		all = append(all, sample{v: v})
	}
	for _, v := range b {
		all = append(all, sample{v: v, of: 1})
	}
	slices.SortFunc(all, func(x, y sample) int {
		switch {
		case x.v < y.v:
			return -1
		case x.v > y.v:
			return 1
		}
		return 0
	})
	ties, ranks := 0.0, 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].v == all[i].v {
			j++
		}
		t := float64(j - i)
		ties += t*t*t - t
		for k := i; k < j; k++ {
			if all[k].of == 0 {
				ranks += float64(i+j+1) / 2
			}
		}
		i = j
	}
	n, m := float64(len(a)), float64(len(b))
	u := ranks - n*(n+1)/2
	sigma := math.Sqrt(n * m / 12 * (n + m + 1 - ties/((n+m)*(n+m-1))))
	z := 0.0
	if sigma > 0 {
		z = (u - n*m/2) / sigma
	}
	return median(a) - median(b), math.Copysign(math.Erfc(math.Abs(z)/math.Sqrt2), z)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// told tells whether the kinds can be told apart: two rounds say so, in the same direction. atMost is how far the
// medians may lie apart; 0 leaves that out.
func (c trial) told(t *testing.T, n int, atMost float64) bool {
	t.Helper()
	direction := 0.0
	for round := range uint64(2) {
		times := c.samples(round+1, n)
		gap, p := tell(times[0], times[1])
		t.Logf("round %d: medians %.1f µs and %.1f µs, rank test p = %.4f", round+1,
			median(times[0])/1000, median(times[1])/1000, math.Abs(p))
		if math.Abs(p) > timingP && (atMost == 0 || math.Abs(gap) <= atMost) {
			return false
		}
		if round == 1 && math.Signbit(p) != math.Signbit(direction) {
			return false
		}
		direction = p
	}
	return true
}

// doors is a portal at whose doors names are tried: some that have accounts, as many that have none.
type doors struct {
	mailing
	names [2][]string // with an account, and without; all of one length
}

func setUpDoors(t *testing.T, c password.Config) doors {
	t.Helper()
	h, err := password.New(c)
	require.NoError(t, err)
	f := doors{mailing: setUpMail(t, func(c *auth.Config) { c.Hasher, c.Audit = h, audit.Discard })}
	for i := range 8 {
		f.names[0] = append(f.names[0], fmt.Sprintf("member%d@acme.test", i))
		f.names[1] = append(f.names[1], fmt.Sprintf("nobody%d@acme.test", i))
		_, err := f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "acme", Email: f.names[0][i], Password: goodPassword})
		require.NoError(t, err)
	}
	return f
}

// trial gives one of the flows that anybody can call, for names of the two kinds.
func (f doors) trial(t *testing.T, flow func(ctx context.Context, r *http.Request, name string) error) trial {
	requests := make([]*http.Request, 64)
	for i := range requests {
		requests[i] = f.rival(i).request("POST", "/")
	}
	name := func(kind, i int) string { return f.names[kind][i%len(f.names[kind])] }
	return trial{
		// So that none is throttled: a day passes, and what earlier tries have closed is open.
		before: func(kind, i int) {
			f.wait(25 * time.Hour)
			f.box.take()
			index, err := sealer{}.Index(t.Context(), "", name(kind, i))
			require.NoError(t, err)
			for _, lane := range []string{"", "mail/"} {
				require.NoError(t, f.config.Throttle.Reset(t.Context(), lane+hex.EncodeToString(index)))
			}
		},
		call: func(kind, i int) {
			if err := flow(t.Context(), requests[i%len(requests)], name(kind, i)); err != nil && err != auth.ErrLoginRefused {
				t.Error(err)
			}
		},
	}
}

func (f doors) login(ctx context.Context, r *http.Request, name string) error {
	_, err := f.Login(ctx, httptest.NewRecorder(), r, auth.Credentials{Email: name, Password: "a wrong password"})
	return err
}

// quick is less than a portal should use, so that a round takes half a minute. That makes the test the stricter: a
// shorter hash hides less.
var quick = password.Config{Memory: 6 << 10, Time: 2, InsecureFast: true}

// hashTime gives the time of a hash.
func (f doors) hashTime(t *testing.T) float64 {
	return median(trial{before: func(int, int) {}, call: func(int, int) {
		if err := f.config.Hasher.VerifyUnknown(t.Context(), "a wrong password"); err != nil {
			t.Error(err)
		}
	}}.samples(0, 50)[0])
}

// The tests below run alone: none is parallel.

func TestTimingOfLogin(t *testing.T) {
	slow(t)
	f := setUpDoors(t, quick)
	require.False(t, f.trial(t, f.login).told(t, timingSamples, timingGap*f.hashTime(t)))
}

func TestTimingOfRequestReset(t *testing.T) {
	slow(t)
	f := setUpDoors(t, quick)
	require.False(t, f.trial(t, func(ctx context.Context, r *http.Request, name string) error {
		return f.RequestReset(ctx, r, name)
	}).told(t, timingSamples, 0))
}

func TestTimingOfRegister(t *testing.T) {
	slow(t)
	f := setUpDoors(t, quick)
	require.False(t, f.trial(t, func(ctx context.Context, r *http.Request, name string) error {
		return f.Register(ctx, r, auth.NewRegistration{Tenant: "acme", Email: name, Name: "Somebody"})
	}).told(t, timingSamples, 0))
}

// TestTimingIsFound holds that a portal which tells is found, by fewer samples than the tests above take.
func TestTimingIsFound(t *testing.T) {
	slow(t)
	f := setUpDoors(t, quick)
	gap := timingGap * f.hashTime(t)
	early := f.trial(t, func(ctx context.Context, r *http.Request, name string) error {
		if strings.HasPrefix(name, "nobody") {
			return auth.ErrLoginRefused
		}
		return f.login(ctx, r, name)
	})
	require.True(t, early.told(t, 100, gap), "no hash for an unknown name")

	// The unknown name costs a hash, as the portal makes them now; known ones have one of before, which cost less.
	dearer := quick
	dearer.Time++
	c := f.config
	var err error
	c.Hasher, err = password.New(dearer)
	require.NoError(t, err)
	f.Auth, err = auth.New(c)
	require.NoError(t, err)
	require.True(t, f.trial(t, f.login).told(t, 100, gap), "a hash of another cost")
}

// TestRankTest compares with figures worked out by hand, and with what chance does.
func TestRankTest(t *testing.T) {
	t.Parallel()
	gap, p := tell([]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8})
	require.EqualValues(t, -4, gap)
	require.InDelta(t, -0.0209, p, 0.0001) // U = 0, z = -8/√12
	gap, p = tell([]float64{5, 6, 7, 8}, []float64{1, 2, 3, 4})
	require.EqualValues(t, 4, gap)
	require.InDelta(t, 0.0209, p, 0.0001)
	_, p = tell([]float64{1, 1, 2}, []float64{1, 2, 2}) // U = 3, ties 27-3+27-3: z = -1.5/√(9/12 × (7 - 48/30))
	require.InDelta(t, -0.4561, p, 0.0001)
	_, p = tell([]float64{1, 1}, []float64{1, 1})
	require.EqualValues(t, 1, math.Abs(p))

	rnd := rand.New(rand.NewPCG(1, 2))
	sample := func(shift float64) (v []float64) {
		for range 200 {
			v = append(v, rnd.NormFloat64()+shift)
		}
		return v
	}
	const runs = 2000
	low := 0
	for range runs {
		if _, p := tell(sample(0), sample(0)); math.Abs(p) <= 0.05 {
			low++
		}
	}
	require.InDelta(t, 0.05*runs, low, 0.02*runs, "p is as often at most 0.05 as it should be")
	_, p = tell(sample(0), sample(0.5))
	require.Less(t, math.Abs(p), timingP)
}
