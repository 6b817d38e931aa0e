// SPDX-License-Identifier: Apache-2.0

package throttle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/stretchr/testify/require"
)

var key = []byte("sixteen or more bytes of key")

// clock is set by hand.
type clock struct{ now time.Time }

func (c *clock) add(d time.Duration) { c.now = c.now.Add(d) }

func newThrottle(t testing.TB) (*throttle.Throttle, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 10, 25, 0, 30, 0, 123_456_789, time.UTC)}
	th, err := throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: key, Clock: func() time.Time { return c.now }})
	require.NoError(t, err)
	return th, c
}

func take(t testing.TB, th *throttle.Throttle, a throttle.Attempt) throttle.Decision {
	t.Helper()
	d, err := th.Take(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, d.Allowed, d.RetryAfter == 0)
	require.Equal(t, d.Allowed, d.By == "")
	return d
}

// addr gives the network of the i-th client.
func addr(i int) netip.Prefix {
	return portalsec.Origin{Addr: netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})}.Prefix()
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := throttle.New(throttle.Config{Key: key})
	require.EqualError(t, err, "throttle: Config.Store is required")
	_, err = throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: key[:15]})
	require.ErrorContains(t, err, "throttle: Config.Key is required")
	require.NotContains(t, err.Error(), string(key[:15]))
}

// The caller's key may be wiped after New.
func TestConfigKeyIsCopied(t *testing.T) {
	t.Parallel()
	k := bytes.Clone(key)
	th, err := throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: k})
	require.NoError(t, err)
	token := th.BrowserToken("jan")
	clear(k)
	require.True(t, take(t, th, throttle.Attempt{Account: "jan", Browser: token}).Known)
}

// The documented waits, by the account and by the known browser.
func TestWaits(t *testing.T) {
	t.Parallel()
	for _, kind := range []throttle.Kind{throttle.KindAccount, throttle.KindBrowser} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			th, c := newThrottle(t)
			a := throttle.Attempt{Account: "jan"}
			if kind == throttle.KindBrowser {
				a.Browser = th.BrowserToken("jan")
			}
			client := 0
			next := func() throttle.Decision {
				a.Addr = addr(client) // always another, so that the address never refuses
				client++
				return take(t, th, a)
			}
			for range 5 {
				require.True(t, next().Allowed)
			}
			for i := 5; i < 100; i++ {
				want := min(30*time.Second<<min(i-5, 20), time.Hour)
				require.Equal(t, throttle.Decision{RetryAfter: want, By: kind, Known: kind == throttle.KindBrowser}, next(), i)
				c.add(want - time.Microsecond)
				require.False(t, next().Allowed)
				c.add(time.Microsecond)
				require.True(t, next().Allowed)
			}
			c.add(365 * 24 * time.Hour)
			require.Equal(t, throttle.Decision{RetryAfter: time.Hour, By: kind, Closed: true, Known: kind == throttle.KindBrowser}, next())

			require.NoError(t, th.Reset(t.Context(), "jan"))
			require.True(t, next().Allowed)
		})
	}
}

// What is closed opens by no waiting, so a visitor is told that before any wait, whatever the order of the lanes.
func TestClosedComesFirst(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	closed := throttle.Lane{Key: throttle.Key{1}, Kind: throttle.KindAccount, Limit: throttle.Limit{Free: 1, Wait: time.Second, MaxWait: time.Minute, Cap: 5}}
	slow := throttle.Lane{Key: throttle.Key{2}, Kind: throttle.KindAddress, Limit: throttle.Limit{Free: 1, Wait: time.Hour, MaxWait: time.Hour}}
	slower := throttle.Lane{Key: throttle.Key{3}, Kind: throttle.KindMail, Limit: throttle.Limit{Free: 1, Wait: 2 * time.Hour, MaxWait: 2 * time.Hour}}
	full := throttle.Counter{Failures: 5, Since: now, Last: now}
	decide := func(lanes ...throttle.Lane) throttle.Decision {
		d, next := throttle.Decide(lanes, slices.Repeat([]throttle.Counter{full}, len(lanes)), now)
		require.Nil(t, next)
		return d
	}
	want := throttle.Decision{RetryAfter: time.Minute, By: throttle.KindAccount, Closed: true}
	require.Equal(t, want, decide(closed, slow))
	require.Equal(t, want, decide(slow, closed))
	want = throttle.Decision{RetryAfter: 2 * time.Hour, By: throttle.KindMail}
	require.Equal(t, want, decide(slow, slower))
	require.Equal(t, want, decide(slower, slow))
}

func TestAddressWaits(t *testing.T) {
	t.Parallel()
	th, c := newThrottle(t)
	begin, account := c.now, 0
	next := func() throttle.Decision {
		account++
		return take(t, th, throttle.Attempt{Account: fmt.Sprint("user", account), Addr: addr(1)})
	}
	for range 50 {
		require.True(t, next().Allowed)
	}
	for i := 50; i < 65; i++ {
		want := min(time.Second<<(i-50), 15*time.Minute)
		require.Equal(t, throttle.Decision{RetryAfter: want, By: throttle.KindAddress}, next(), i)
		c.add(want)
		require.True(t, next().Allowed)
	}
	require.True(t, take(t, th, throttle.Attempt{Account: "user1", Addr: addr(2)}).Allowed, "another address")
	require.False(t, next().Allowed)
	c.now = begin.Add(24 * time.Hour)
	for range 50 {
		require.True(t, next().Allowed)
	}
	require.False(t, next().Allowed)
}

// 10,000 guesses at one account from 500 addresses, in a burst and over days and half a year: at most 100 are let
// through, and the owner gets in each of 100 times from the browser that is known, from an address that the attacker
// uses too.
func TestOwnerIsNotLockedOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		every   time.Duration
		through int
	}{
		{"burst", 0, 5},
		{"two days", 17280 * time.Millisecond, 58}, // five at once, seven in the first hour, one an hour after that
		{"half a year", 26 * time.Minute, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			th, clock := newThrottle(t)
			owner := throttle.Attempt{Account: "jan", Addr: addr(7), Browser: th.BrowserToken("jan")}
			through, in := 0, 0
			for i := range 10_000 {
				d := take(t, th, throttle.Attempt{Account: "jan", Addr: addr(i % 500)})
				require.False(t, d.Known)
				if d.Allowed {
					through++
				}
				if i%100 == 0 {
					if take(t, th, owner).Allowed {
						in++
					}
					require.NoError(t, th.Success(t.Context(), owner))
				}
				clock.add(c.every)
			}
			require.LessOrEqual(t, through, 100)
			require.Equal(t, c.through, through)
			require.Equal(t, 100, in, "the owner")
			d := take(t, th, throttle.Attempt{Account: "jan", Addr: addr(9999)})
			require.Equal(t, through == 100, d.Closed, "the owner's success must not have opened the attacker's lane")
		})
	}
}

// The same with all guesses under way at once.
func TestSimultaneousGuesses(t *testing.T) {
	t.Parallel()
	th, _ := newThrottle(t)
	owner := throttle.Attempt{Account: "jan", Addr: addr(7), Browser: th.BrowserToken("jan")}
	var through, in atomic.Int32
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			for range 20 {
				if d, err := th.Take(t.Context(), throttle.Attempt{Account: "jan", Addr: addr(i)}); err != nil {
					t.Error(err)
				} else if d.Allowed {
					through.Add(1)
				}
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			d, err := th.Take(t.Context(), owner)
			if err != nil || th.Success(t.Context(), owner) != nil {
				t.Error(err)
			}
			if d.Allowed && d.Known {
				in.Add(1)
			}
		}
	})
	wg.Wait()
	require.EqualValues(t, 5, through.Load())
	require.EqualValues(t, 100, in.Load())
}

// A name that does not exist is counted like one that does: the package knows no difference. But names do not
// share a counter, and a name cannot be chosen so that it meets another kind of key.
func TestAccountsAreApart(t *testing.T) {
	t.Parallel()
	th, _ := newThrottle(t)
	for range 5 {
		require.True(t, take(t, th, throttle.Attempt{Account: "nobody", Addr: addr(1)}).Allowed)
	}
	require.False(t, take(t, th, throttle.Attempt{Account: "nobody", Addr: addr(2)}).Allowed)
	for _, name := range []string{"", "Nobody", "nobody ", "203.0.0.1/32", strings.Repeat("x", 1<<20)} {
		require.True(t, take(t, th, throttle.Attempt{Account: name, Addr: addr(3)}).Allowed)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	network := func(s string) netip.Prefix { return portalsec.Origin{Addr: netip.MustParseAddr(s)}.Prefix() }
	for name, c := range map[string]struct {
		a, b   netip.Prefix
		shared bool
	}{
		"same IPv4":         {network("203.0.113.7"), network("203.0.113.7"), true},
		"IPv4 in IPv6":      {network("203.0.113.7"), network("::ffff:203.0.113.7"), true},
		"other IPv4":        {network("203.0.113.7"), network("203.0.113.8"), false},
		"same IPv6 /64":     {network("2001:db8::1"), network("2001:db8::ffff:2"), true},
		"not masked":        {netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("2001:db8::2/64"), true},
		"other IPv6 /64":    {network("2001:db8::1"), network("2001:db8:0:1::1"), false},
		"both unknown":      {netip.Prefix{}, netip.Prefix{}, true},
		"unknown and known": {netip.Prefix{}, network("0.0.0.0"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th, _ := newThrottle(t)
			for i := range 50 {
				require.True(t, take(t, th, throttle.Attempt{Account: fmt.Sprint(i), Addr: c.a}).Allowed)
			}
			d := take(t, th, throttle.Attempt{Account: "one more", Addr: c.b})
			require.Equal(t, !c.shared, d.Allowed)
		})
	}
}

func TestSuccess(t *testing.T) {
	t.Parallel()
	th, _ := newThrottle(t)
	mine := throttle.Attempt{Account: "mine", Addr: addr(1)}
	theirs := throttle.Attempt{Account: "theirs", Addr: addr(1)}
	// An attacker who signs in to an account of their own between guesses gains nothing: not at the other
	// account, and not for the address.
	for range 5 {
		require.True(t, take(t, th, theirs).Allowed)
		require.True(t, take(t, th, mine).Allowed)
		require.NoError(t, th.Success(t.Context(), mine))
	}
	require.Equal(t, throttle.KindAccount, take(t, th, theirs).By)
	for i := range 45 { // 5 of the address's 50 are used up
		require.True(t, take(t, th, throttle.Attempt{Account: fmt.Sprint(i), Addr: addr(1)}).Allowed, i)
	}
	require.Equal(t, throttle.KindAddress, take(t, th, mine).By)
}

// A busy office behind one address: who signs in rightly never slows the others.
func TestSuccessesDoNotFillTheAddress(t *testing.T) {
	t.Parallel()
	th, _ := newThrottle(t)
	for i := range 500 {
		a := throttle.Attempt{Account: fmt.Sprint(i), Addr: addr(1)}
		require.True(t, take(t, th, a).Allowed)
		require.NoError(t, th.Success(t.Context(), a))
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"unknown browser": false, "known browser": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th, c := newThrottle(t)
			a := throttle.Attempt{Account: "jan", Addr: addr(1)}
			if known {
				a.Browser = th.BrowserToken("jan")
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // the client has gone, which is why the password was not checked
			for range 200 {
				require.True(t, take(t, th, a).Allowed)
				require.NoError(t, th.Release(ctx, a))
			}
			for range 5 {
				require.True(t, take(t, th, a).Allowed)
			}
			require.False(t, take(t, th, a).Allowed)
			c.add(30 * time.Second)
			require.True(t, take(t, th, a).Allowed)
			require.NoError(t, th.Success(ctx, a))
			require.True(t, take(t, th, a).Allowed)
		})
	}
}

// Whoever invents a browser with each guess stays in the account's lane.
func TestForgedBrowsers(t *testing.T) {
	t.Parallel()
	th, _ := newThrottle(t)
	stranger, err := throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: []byte("another key of enough bytes")})
	require.NoError(t, err)
	good := th.BrowserToken("jan")
	require.Len(t, good, 64)
	require.NotEqual(t, good, th.BrowserToken("jan"))
	for name, token := range map[string]string{
		"none":             "",
		"other account":    th.BrowserToken("piet"),
		"other key":        stranger.BrowserToken("jan"),
		"cut":              good[:63],
		"longer":           good + "A",
		"padded":           good + "==",
		"line end":         good[:60] + "\n" + good[61:],
		"changed ID":       flip(good, 0),
		"changed tag":      flip(good, 63),
		"other characters": strings.Repeat("!", 64),
		"zeros":            strings.Repeat("A", 64),
		"a megabyte":       strings.Repeat("A", 1<<20),
		"ID without tag":   good[:21],
		"hexadecimal":      strings.Repeat("0f", 32),
	} {
		require.False(t, take(t, th, throttle.Attempt{Account: name, Browser: token}).Known, name)
	}
	for i := range 5 {
		require.True(t, take(t, th, throttle.Attempt{Account: "jan", Addr: addr(i), Browser: th.BrowserToken(fmt.Sprint(i))}).Allowed)
	}
	d := take(t, th, throttle.Attempt{Account: "jan", Addr: addr(9), Browser: th.BrowserToken("mallory")})
	require.Equal(t, throttle.KindAccount, d.By)
	require.True(t, take(t, th, throttle.Attempt{Account: "jan", Addr: addr(9), Browser: good}).Known)
}

// flip gives the token with another character in one place.
func flip(token string, i int) string {
	c := byte('A')
	if token[i] == c {
		c = 'B'
	}
	return token[:i] + string(c) + token[i+1:]
}

// Each known browser counts for itself, and one that is closed leaves the others open.
func TestBrowsersAreApart(t *testing.T) {
	t.Parallel()
	th, c := newThrottle(t)
	lost := throttle.Attempt{Account: "jan", Browser: th.BrowserToken("jan")}
	kept := throttle.Attempt{Account: "jan", Browser: th.BrowserToken("jan")}
	for range 100 {
		require.True(t, take(t, th, lost).Allowed)
		c.add(time.Hour)
	}
	require.True(t, take(t, th, lost).Closed)
	require.True(t, take(t, th, kept).Allowed)
	require.NoError(t, th.Success(t.Context(), kept))
	require.True(t, take(t, th, lost).Closed)
	require.True(t, take(t, th, throttle.Attempt{Account: "jan"}).Allowed)
}

func TestPrune(t *testing.T) {
	t.Parallel()
	th, c := newThrottle(t)
	prune := func(want int64) {
		t.Helper()
		n, err := th.Prune(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	for range 100 {
		require.True(t, take(t, th, throttle.Attempt{Account: "closed", Addr: addr(1)}).Allowed)
		c.add(time.Hour)
	}
	take(t, th, throttle.Attempt{Account: "open", Addr: addr(2)})
	take(t, th, throttle.Attempt{Account: "open", Browser: th.BrowserToken("open")})
	prune(0)
	c.add(46 * time.Hour)
	prune(0) // the first address was last seen 47 hours ago: longer than its window, and less than twice that
	c.add(90 * time.Minute)
	prune(1) // the first address
	c.add(30*time.Minute + time.Microsecond)
	prune(1) // the second
	c.add(88 * 24 * time.Hour)
	prune(2) // the account and the browser
	require.True(t, take(t, th, throttle.Attempt{Account: "closed", Addr: addr(3)}).Closed)
}

// lanes is a store that sees the lanes of each attempt.
type lanes struct {
	throttle.Store
	see func([]throttle.Lane)
}

func (s lanes) TakeAttempt(ctx context.Context, ls []throttle.Lane, now time.Time) (throttle.Decision, error) {
	s.see(ls)
	return s.Store.TakeAttempt(ctx, ls, now)
}

// A store that locks lanes one by one must get them in one order from everybody: else two attempts wait for each other.
func TestLanesAreInOrder(t *testing.T) {
	t.Parallel()
	kinds := map[throttle.Kind]int{}
	th, err := throttle.New(throttle.Config{Key: key, Store: lanes{throttle.NewMemory(), func(ls []throttle.Lane) {
		require.Len(t, ls, 2)
		require.Negative(t, bytes.Compare(ls[0].Key[:], ls[1].Key[:]))
		kinds[ls[0].Kind]++
	}}})
	require.NoError(t, err)
	for i := range 50 {
		take(t, th, throttle.Attempt{Account: fmt.Sprint(i), Addr: addr(i)})
	}
	require.Len(t, kinds, 2, "either kind comes first at times")
}

// failing is a store that does not answer.
type failing struct{ throttle.Store }

var errDown = errors.New("the database is down")

func (failing) TakeAttempt(context.Context, []throttle.Lane, time.Time) (throttle.Decision, error) {
	return throttle.Decision{Allowed: true}, errDown
}
func (failing) SettleAttempt(context.Context, []throttle.Key, []throttle.Key) error { return errDown }
func (failing) ResetAccount(context.Context, throttle.Key) error                    { return errDown }
func (failing) PruneAttempts(context.Context, throttle.Kind, time.Time, int) (int64, error) {
	return 0, errDown
}

func TestStoreFails(t *testing.T) {
	t.Parallel()
	th, err := throttle.New(throttle.Config{Store: failing{}, Key: key})
	require.NoError(t, err)
	a := throttle.Attempt{Account: "jan"}
	d, err := th.Take(t.Context(), a)
	require.ErrorIs(t, err, errDown)
	require.False(t, d.Allowed, "an error must allow nothing, whatever the store says beside it")
	require.ErrorIs(t, th.Success(t.Context(), a), errDown)
	require.ErrorIs(t, th.Release(t.Context(), a), errDown)
	require.ErrorIs(t, th.Reset(t.Context(), "jan"), errDown)
	_, err = th.Prune(t.Context())
	require.ErrorIs(t, err, errDown)
}

// No token that we did not make opens a lane of its own.
func FuzzBrowserToken(f *testing.F) {
	th, err := throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: key})
	require.NoError(f, err)
	f.Add("jan", th.BrowserToken("jan"))
	f.Add("", "")
	f.Fuzz(func(t *testing.T, account, token string) {
		made := th.BrowserToken(account)
		require.True(t, take(t, th, throttle.Attempt{Account: account, Browser: made}).Known)
		require.False(t, take(t, th, throttle.Attempt{Account: account + "x", Browser: token}).Known)
		require.NoError(t, th.Reset(t.Context(), account+"x"))
	})
}

func BenchmarkTake(b *testing.B) {
	th, _ := newThrottle(b)
	a := throttle.Attempt{Account: "jan.jansen@example.com", Addr: addr(1)}
	known := a
	known.Browser = th.BrowserToken(a.Account)
	for name, a := range map[string]throttle.Attempt{"unknown browser": a, "known browser": known} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d, err := th.Take(b.Context(), a); err != nil || !d.Allowed {
					b.Fatal(d, err)
				}
				if err := th.Success(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
