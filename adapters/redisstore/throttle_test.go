// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec/adapters/redisstore"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

var (
	capped   = throttle.Limit{Free: 1000, MaxWait: time.Hour, Cap: 10}
	windowed = throttle.Limit{Free: 1000, Window: 24 * time.Hour}
)

// lane gives the i-th lane of an account.
func lane(i int, l throttle.Limit) throttle.Lane {
	k := throttle.Key{0: 1}
	binary.BigEndian.PutUint32(k[1:], uint32(i))
	return throttle.Lane{Key: k, Kind: throttle.KindAccount, Account: k, Limit: l}
}

// address gives the i-th lane of an address, whose key follows those of all accounts.
func address(i int, l throttle.Limit) throttle.Lane {
	a := lane(i, l)
	a.Key[0], a.Kind, a.Account = 2, throttle.KindAddress, throttle.Key{}
	return a
}

// A crowd at one login name is decided, all of it, and in the number that the limit allows.
func TestContention(t *testing.T) {
	t.Parallel()
	_, c, prefix := open(t)
	o := *c.Options()
	o.PoolTimeout = patience // a crowd waits for its turn
	o.MaxRetries = -1        // the driver has made 0 of it, which means 3
	crowded := redis.NewClient(&o)
	t.Cleanup(func() { _ = crowded.Close() })
	db, err := redisstore.New(t.Context(), crowded, redisstore.Config{Prefix: prefix})
	require.NoError(t, err)
	const crowd = 1000
	for _, limit := range []int{10, 50} {
		var allowed atomic.Int32
		var wg sync.WaitGroup
		lanes := []throttle.Lane{lane(limit, throttle.Limit{Free: crowd, Cap: limit}), address(limit, windowed)}
		for range crowd {
			wg.Go(func() {
				d, err := db.Attempts().TakeAttempt(t.Context(), lanes, now)
				if err != nil {
					t.Error(err)
				}
				if d.Allowed {
					allowed.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, limit, allowed.Load())
	}
}

// A later version of this package may have written a counter: it must not count as none.
func TestUnknownCounterVersions(t *testing.T) {
	t.Parallel()
	db, c, prefix := open(t)
	a, ctx := db.Attempts(), t.Context()
	l := lane(1, capped)
	key := prefix + ":attempt:" + string(l.Key[:])
	later := func() {
		t.Helper()
		require.NoError(t, c.Del(ctx, key).Err())
		d, err := a.TakeAttempt(ctx, []throttle.Lane{l}, now)
		require.NoError(t, err)
		require.True(t, d.Allowed)
		require.NoError(t, c.SetRange(ctx, key, 0, "\x02").Err())
	}
	later()
	d, err := a.TakeAttempt(ctx, []throttle.Lane{l}, now)
	require.Error(t, err)
	require.Zero(t, d)
	require.NoError(t, a.SettleAttempt(ctx, nil, []throttle.Key{l.Key}))
	n, err := a.PruneAttempts(ctx, l.Kind, now.Add(time.Hour), math.MaxInt)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, int64(1), c.Exists(ctx, key).Val())

	require.NoError(t, a.ResetAccount(ctx, l.Account))
	require.Zero(t, c.Exists(ctx, key).Val())
	later()
	require.NoError(t, a.SettleAttempt(ctx, []throttle.Key{l.Key}, nil))
	require.Zero(t, c.Exists(ctx, key).Val())
}

// Nothing is left of counters that were removed, in any way.
func TestNothingIsLeftOfAttempts(t *testing.T) {
	t.Parallel()
	db, c, prefix := open(t)
	a, ctx := db.Attempts(), t.Context()
	l, addr := lane(1, capped), address(1, capped)
	for i, end := range []func() error{
		func() error { return a.SettleAttempt(ctx, []throttle.Key{l.Key, addr.Key}, nil) },
		func() error {
			if err := a.ResetAccount(ctx, l.Account); err != nil {
				return err
			}
			return a.SettleAttempt(ctx, []throttle.Key{addr.Key}, nil)
		},
		func() error {
			for _, k := range []throttle.Kind{l.Kind, addr.Kind} {
				if n, err := a.PruneAttempts(ctx, k, now.Add(time.Second), 10); err != nil || n != 1 {
					t.Errorf("PruneAttempts = %d, %v, want 1", n, err)
				}
			}
			return nil
		},
	} {
		_, err := a.TakeAttempt(ctx, []throttle.Lane{l, addr}, now)
		require.NoError(t, err)
		require.Len(t, keys(t, c, prefix), 5)
		require.NoError(t, end())
		require.Empty(t, keys(t, c, prefix), i)
	}
}

// A lane with a window starts anew after it, so Redis may drop its counter. It keeps all others.
func TestCountersExpire(t *testing.T) {
	t.Parallel()
	db, c, prefix := open(t)
	ctx := t.Context()
	l, addr := lane(1, capped), address(1, windowed)
	for range 2 { // the second time the counters are there
		_, err := db.Attempts().TakeAttempt(ctx, []throttle.Lane{l, addr}, now)
		require.NoError(t, err)
	}
	require.NoError(t, db.Attempts().SettleAttempt(ctx, nil, []throttle.Key{l.Key, addr.Key}))
	require.Equal(t, time.Duration(-1), c.PTTL(ctx, prefix+":attempt:"+string(l.Key[:])).Val())
	ttl := c.PTTL(ctx, prefix+":attempt:"+string(addr.Key[:])).Val()
	require.Greater(t, ttl, 47*time.Hour)
	require.LessOrEqual(t, ttl, 48*time.Hour)

	// Those that come take the entries away of those that Redis dropped.
	for i := range 100 {
		addr := address(i, windowed)
		_, err := db.Attempts().TakeAttempt(ctx, []throttle.Lane{addr}, now.Add(time.Duration(i)))
		require.NoError(t, err)
		require.NoError(t, c.Del(ctx, prefix+":attempt:"+string(addr.Key[:])).Err())
	}
	require.LessOrEqual(t, c.ZCard(ctx, prefix+":kind:address").Val(), int64(2))
}

// One script prunes no more than a batch; all of them prune everything but the closed lanes.
func TestPruneManyAttempts(t *testing.T) {
	t.Parallel()
	db, _, _ := open(t)
	a, ctx := db.Attempts(), t.Context()
	const many, closed = 1203, 601
	var lanes []throttle.Lane
	for i := range many {
		lanes = append(lanes, lane(i, throttle.Limit{Free: 1000}))
	}
	for part := range slices.Chunk(lanes, 300) {
		_, err := a.TakeAttempt(ctx, part, now)
		require.NoError(t, err)
	}
	for part := range slices.Chunk(lanes[:closed], 300) {
		_, err := a.TakeAttempt(ctx, part, now)
		require.NoError(t, err)
	}
	n, err := a.PruneAttempts(ctx, throttle.KindAccount, now.Add(time.Second), 2)
	require.NoError(t, err)
	require.EqualValues(t, many-closed, n)
	n, err = a.PruneAttempts(ctx, throttle.KindAccount, now.Add(time.Second), 3)
	require.NoError(t, err)
	require.EqualValues(t, closed, n)
}
