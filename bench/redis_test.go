// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/portalsec/portalsec/adapters/redisstore"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// redisChecks gives the session checks of both on one Redis, through one client. Without a Redis it skips, or fails when
// PORTALSEC_TEST_REDIS names one.
func redisChecks(tb testing.TB) (mine, theirs check) {
	tb.Helper()
	url, must := os.LookupEnv("PORTALSEC_TEST_REDIS")
	if !must {
		url = "redis://127.0.0.1:6379/15"
	}
	o, err := redisstore.Options(url)
	require.NoError(tb, err)
	c := redis.NewClient(o)
	tb.Cleanup(func() { _ = c.Close() })
	if err := c.Ping(tb.Context()).Err(); err != nil {
		if must {
			tb.Fatalf("PORTALSEC_TEST_REDIS: %v", err)
		}
		tb.Skip("no Redis at redis://127.0.0.1:6379: set PORTALSEC_TEST_REDIS to the URL of one")
	}
	prefix := "bench:" + rand.Text()
	tb.Cleanup(func() {
		ctx := context.Background()
		for i := c.Scan(ctx, 0, prefix+"*", 1000).Iterator(); i.Next(ctx); {
			require.NoError(tb, c.Del(ctx, i.Val()).Err())
		}
	})
	db, err := redisstore.New(tb.Context(), c, redisstore.Config{Prefix: prefix})
	require.NoError(tb, err)
	return ours(tb, db.Sessions()), scss(tb, goredisstore.NewWithPrefix(c, prefix+":scs:"))
}

// What is measured must let in who is signed in, and nobody else.
func TestRedisSessionChecks(t *testing.T) {
	t.Parallel()
	mine, theirs := redisChecks(t)
	for name, c := range map[string]check{"portalsec": mine, "scs": theirs} {
		require.Equal(t, http.StatusOK, c.status(c.r), name)
		require.Equal(t, http.StatusUnauthorized, c.status(httptest.NewRequest("GET", "/", nil)), name)
	}
}

// BenchmarkRedisSession measures how long a portal takes to know who asks when Redis keeps its sessions. Most of it is the
// way there and back.
func BenchmarkRedisSession(b *testing.B) {
	mine, theirs := redisChecks(b)
	for _, c := range []struct {
		name string
		check
	}{{"portalsec", mine}, {"scs", theirs}} {
		b.Run(c.name, c.run)
		b.Run(c.name+", parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(8) // what waits for the network leaves the processor to others
			b.RunParallel(func(pb *testing.PB) {
				w := &sink{h: http.Header{}}
				for pb.Next() {
					clear(w.h)
					c.h.ServeHTTP(w, c.r)
				}
			})
		})
	}
}
