// SPDX-License-Identifier: Apache-2.0

package throttle_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/stretchr/testify/require"
)

func takeMail(t testing.TB, th *throttle.Throttle, a throttle.Attempt) throttle.Decision {
	t.Helper()
	d, err := th.TakeMail(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, d.Allowed, d.RetryAfter == 0)
	require.Equal(t, d.Allowed, d.By == "")
	require.False(t, d.Closed)
	require.False(t, d.Known)
	return d
}

func TestMailWaits(t *testing.T) {
	t.Parallel()
	th, c := newThrottle(t)
	begin, client := c.now, 0
	next := func() throttle.Decision {
		client++
		return takeMail(t, th, throttle.Attempt{Account: "jan", Addr: addr(client), Browser: th.BrowserToken("jan")})
	}
	for range 3 {
		require.True(t, next().Allowed)
	}
	for i := 3; i < 14; i++ {
		want := min(time.Minute<<(i-3), time.Hour)
		require.Equal(t, throttle.Decision{RetryAfter: want, By: throttle.KindMail}, next(), i)
		c.add(want)
		require.True(t, next().Allowed, i)
	}
	c.now = begin.Add(24*time.Hour - time.Microsecond)
	require.True(t, next().Allowed)
	require.False(t, next().Allowed)
	c.now = begin.Add(24 * time.Hour)
	for range 3 {
		require.True(t, next().Allowed, "the window is over")
	}
	require.False(t, next().Allowed)
}

func TestMailAddressWaits(t *testing.T) {
	t.Parallel()
	th, c := newThrottle(t)
	name := 0
	next := func(from netip.Prefix) throttle.Decision {
		name++
		return takeMail(t, th, throttle.Attempt{Account: fmt.Sprint("user", name), Addr: from})
	}
	for range 20 {
		require.True(t, next(addr(1)).Allowed)
	}
	for i := 20; i < 35; i++ {
		want := min(time.Second<<(i-20), 15*time.Minute)
		require.Equal(t, throttle.Decision{RetryAfter: want, By: throttle.KindMailAddress}, next(addr(1)), i)
		c.add(want)
		require.True(t, next(addr(1)).Allowed)
	}
	require.True(t, next(addr(2)).Allowed, "another network")
	for range 20 {
		require.True(t, next(netip.Prefix{}).Allowed)
	}
	require.False(t, next(netip.Prefix{}).Allowed, "all unknown networks share a lane")
}

// Mails and guesses are counted apart: neither stops the other, and no reset or success of a password sends more mail.
func TestMailIsApart(t *testing.T) {
	t.Parallel()
	th, _ := newThrottle(t)
	a := throttle.Attempt{Account: "jan", Addr: addr(1)}
	for range 5 {
		require.True(t, take(t, th, a).Allowed)
	}
	require.False(t, take(t, th, a).Allowed)
	for range 3 {
		require.True(t, takeMail(t, th, a).Allowed)
	}
	require.False(t, takeMail(t, th, a).Allowed)
	require.NoError(t, th.Reset(t.Context(), "jan"))
	require.True(t, take(t, th, a).Allowed)
	require.NoError(t, th.Success(t.Context(), a))
	require.False(t, takeMail(t, th, a).Allowed)
	require.True(t, takeMail(t, th, throttle.Attempt{Account: "piet", Addr: addr(1)}).Allowed)

	for i := range 50 {
		require.True(t, take(t, th, throttle.Attempt{Account: fmt.Sprint("user", i), Addr: addr(2)}).Allowed)
	}
	require.False(t, take(t, th, throttle.Attempt{Account: "piet", Addr: addr(2)}).Allowed)
	require.True(t, takeMail(t, th, throttle.Attempt{Account: "piet", Addr: addr(2)}).Allowed, "guesses fill no mail lane")
}

func TestPruneMail(t *testing.T) {
	t.Parallel()
	th, c := newThrottle(t)
	prune := func(want int64) {
		t.Helper()
		n, err := th.Prune(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	takeMail(t, th, throttle.Attempt{Account: "jan", Addr: addr(1)})
	c.add(48*time.Hour - time.Microsecond)
	prune(0)
	c.add(2 * time.Microsecond)
	prune(2)
}
