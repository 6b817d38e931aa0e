// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/adapters/redisstore"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := redisstore.Options("rediss://user:secret@redis.example:6380/3?read_timeout=3s")
	require.NoError(t, err)
	require.Equal(t, "redis.example:6380", o.Addr)
	require.Equal(t, 3, o.DB)
	require.NotNil(t, o.TLSConfig)
	require.Equal(t, 3*time.Second, o.ReadTimeout)
	require.Equal(t, time.Second, o.DialTimeout)
	require.Equal(t, time.Second, o.PoolTimeout)

	_, err = redisstore.Options("rediss://user:secret@redis.example:port%zz/3")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

func TestNewRefusesClients(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]*redis.Options{
		"ContextTimeoutEnabled": {MaxRetries: -1},
		"MaxRetries":            {ContextTimeoutEnabled: true},
	} {
		c := redis.NewClient(o)
		_, err := redisstore.New(t.Context(), c, redisstore.Config{})
		require.ErrorContains(t, err, want)
		require.NoError(t, c.Close())
	}
}

// fit is what a server must be, as it says so itself.
var fit = map[string]string{
	"redis_version": "7.0.0", "cluster_enabled": "0", "role": "master", "maxmemory_policy": "noeviction", "aof_enabled": "0",
}

func TestNewChecksServer(t *testing.T) {
	t.Parallel()
	with := func(name, value string) map[string]string {
		info := map[string]string{name: value}
		for k, v := range fit {
			if k != name {
				info[k] = v
			}
		}
		return info
	}
	for _, tc := range []struct {
		name   string
		info   map[string]string
		save   string
		config redisstore.Config
		want   string
		is     error
	}{
		{name: "fit", info: fit},
		{name: "later", info: with("redis_version", "10.2.1")},
		{name: "old", info: with("redis_version", "6.2.14"), want: `"6.2.14"`},
		{name: "no version", info: with("redis_version", ""), want: "version"},
		{name: "cluster", info: with("cluster_enabled", "1"), want: "Redis Cluster"},
		{name: "replica", info: with("role", "slave"), want: "replica"},
		{name: "evicts", info: with("maxmemory_policy", "volatile-lru"), is: redisstore.ErrEviction},
		{name: "does not tell what it evicts", info: with("maxmemory_policy", ""), is: redisstore.ErrEviction},
		{name: "evicts, allowed", info: with("maxmemory_policy", "allkeys-lru"), config: redisstore.Config{InsecureAllowEviction: true}},
		{name: "snapshots", info: fit, save: "3600 1 300 100", is: redisstore.ErrSnapshots},
		{name: "snapshots, allowed", info: fit, save: "3600 1", config: redisstore.Config{InsecureAllowSnapshots: true}},
		{name: "snapshots beside the append-only file", info: with("aof_enabled", "1"), save: "3600 1"},
		{name: "does not tell what it saves", info: fit, save: "NOPERM", is: redisstore.ErrSnapshots},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := client(t, "redis://"+pretend(t, tc.info, tc.save)+"?protocol=2")
			db, err := redisstore.New(t.Context(), c, tc.config)
			switch {
			case tc.is != nil:
				require.ErrorIs(t, err, tc.is)
			case tc.want != "":
				require.ErrorContains(t, err, tc.want)
			default:
				require.NoError(t, err)
				require.NotNil(t, db)
			}
		})
	}
}

// pretend gives the address of a server that only tells what it is.
func pretend(t *testing.T, info map[string]string, save string) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			command, err := readCommand(r)
			if err != nil {
				return
			}
			switch strings.ToLower(command[0]) {
			case "info":
				var text strings.Builder
				for k, v := range info {
					fmt.Fprintf(&text, "%s:%s\r\n", k, v)
				}
				fmt.Fprintf(c, "$%d\r\n%s\r\n", text.Len(), text.String())
			case "config":
				if save == "NOPERM" {
					fmt.Fprint(c, "-NOPERM this user has no permissions to run the 'config|get' command\r\n")
				} else {
					fmt.Fprintf(c, "*2\r\n$4\r\nsave\r\n$%d\r\n%s\r\n", len(save), save)
				}
			default:
				fmt.Fprint(c, "-ERR unknown command\r\n")
			}
		}
	})
}

func readCommand(r *bufio.Reader) ([]string, error) {
	line := func(first byte) (int, error) {
		s, err := r.ReadString('\n')
		if err != nil || s[0] != first {
			return 0, fmt.Errorf("%q, %w", s, err)
		}
		return strconv.Atoi(strings.TrimSpace(s[1:]))
	}
	n, err := line('*')
	if err != nil {
		return nil, err
	}
	command := make([]string, n)
	for i := range command {
		if _, err := line('$'); err != nil {
			return nil, err
		}
		s, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		command[i] = strings.TrimSpace(s)
	}
	return command, nil
}

// listen gives the address of a server that serves each connection by f.
func listen(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c)
			}()
		}
	}()
	return l.Addr().String()
}

// acts are all acts of both stores.
func acts(s session.Store, a throttle.Store) map[string]func(context.Context) error {
	r := record("ann", "a")
	return map[string]func(context.Context) error{
		"CreateSession":  func(ctx context.Context) error { return s.CreateSession(ctx, r, 1) },
		"UserVersion":    func(ctx context.Context) error { _, err := s.UserVersion(ctx, "acme", "ann"); return err },
		"TouchSession":   func(ctx context.Context) error { _, err := s.TouchSession(ctx, r.Token, use); return err },
		"RotateSession":  func(ctx context.Context) error { return s.RotateSession(ctx, r.Token, r) },
		"SetSessionData": func(ctx context.Context) error { _, err := s.SetSessionData(ctx, r.Token, nil, nil); return err },
		"DeleteSession":  func(ctx context.Context) error { _, err := s.DeleteSession(ctx, "acme", "ann", "a"); return err },
		"BumpUser":       func(ctx context.Context) error { _, err := s.BumpUser(ctx, "acme", "ann", ""); return err },
		"DeleteTenant":   func(ctx context.Context) error { _, err := s.DeleteTenant(ctx, "acme"); return err },
		"ListSessions":   func(ctx context.Context) error { _, err := s.ListSessions(ctx, "acme", "ann"); return err },
		"PruneSessions":  func(ctx context.Context) error { _, err := s.PruneSessions(ctx, now, now); return err },
		"TakeAttempt": func(ctx context.Context) error {
			d, err := a.TakeAttempt(ctx, []throttle.Lane{lane(1, capped)}, now)
			if d.Allowed {
				return nil
			}
			return err
		},
		"SettleAttempt": func(ctx context.Context) error { return a.SettleAttempt(ctx, nil, nil) },
		"ResetAccount":  func(ctx context.Context) error { return a.ResetAccount(ctx, throttle.Key{}) },
		"PruneAttempts": func(ctx context.Context) error {
			_, err := a.PruneAttempts(ctx, throttle.KindAccount, now, 1)
			return err
		},
	}
}

// A server that takes connections and never answers holds nobody longer than the context, or the timeouts of Options.
func TestHangingServer(t *testing.T) {
	t.Parallel()
	hanging := client(t, "redis://"+listen(t, func(c net.Conn) {
		for b := make([]byte, 1024); ; {
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := redisstore.New(ctx, hanging, redisstore.Config{})
	require.Error(t, err)

	shared := startServer(t)
	c := client(t, shared.url())
	db, err := redisstore.New(t.Context(), c, redisstore.Config{})
	require.NoError(t, err)
	shared.stop()
	defer shared.resume()
	for name, act := range acts(db.Sessions(), db.Attempts()) {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			err := act(ctx)
			require.Error(t, err)
			require.NotErrorIs(t, err, session.ErrNoSession)
			require.Less(t, time.Since(began), time.Second)
		})
	}
	began := time.Now()
	require.Error(t, acts(db.Sessions(), db.Attempts())["TouchSession"](t.Context()))
	require.Less(t, time.Since(began), 5*time.Second)
}

// A full memory lets nobody in, but whoever is in can work and be thrown out.
func TestFullMemory(t *testing.T) {
	t.Parallel()
	own := startServer(t, "--maxmemory-policy", "noeviction")
	c := client(t, own.url())
	ctx := t.Context()
	db, err := redisstore.New(ctx, c, redisstore.Config{})
	require.NoError(t, err)
	s := db.Sessions()
	one, two := create(t, s, "ann", "a"), create(t, s, "ann", "b")
	require.NoError(t, c.ConfigSet(ctx, "maxmemory", "1").Err())

	v, err := db.Sessions().UserVersion(ctx, "acme", "ann")
	require.ErrorContains(t, err, "OOM")
	require.Zero(t, v)
	require.ErrorContains(t, s.CreateSession(ctx, record("ann", "c"), 1), "OOM")
	d, err := db.Attempts().TakeAttempt(ctx, []throttle.Lane{lane(1, capped)}, now)
	require.ErrorContains(t, err, "OOM")
	require.False(t, d.Allowed)

	requireAlive(t, s, one)
	later := session.Touch{Now: now.Add(time.Minute), AliveAfter: now.Add(-time.Hour), WriteBefore: now.Add(time.Minute)}
	_, err = s.TouchSession(ctx, one.Token, later)
	require.NoError(t, err)
	next := two
	next.Token = session.Hash{9}
	require.NoError(t, s.RotateSession(ctx, two.Token, next))
	n, err := s.BumpUser(ctx, "acme", "ann", "")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	requireDead(t, s, one.Token)
	requireDead(t, s, next.Token)
}

// A replica answers nothing, since it may not know yet what has ended. No more does a primary that has lost its own.
func TestNoAnswerFromReplicas(t *testing.T) {
	t.Parallel()
	primary, replica := startServer(t), startServer(t)
	p, c := client(t, primary.url()), client(t, replica.url())
	ctx := t.Context()
	db, err := redisstore.New(ctx, p, redisstore.Config{})
	require.NoError(t, err)
	deposed, err := redisstore.New(ctx, c, redisstore.Config{})
	require.NoError(t, err)
	r := create(t, db.Sessions(), "ann", "a")

	require.NoError(t, c.ReplicaOf(ctx, "127.0.0.1", strconv.Itoa(primary.port)).Err())
	require.Eventually(t, func() bool { return c.DBSize(ctx).Val() == p.DBSize(ctx).Val() }, 20*time.Second, 10*time.Millisecond)
	for name, act := range acts(deposed.Sessions(), deposed.Attempts()) {
		require.ErrorContains(t, act(ctx), "READONLY", name)
	}
	_, err = redisstore.New(ctx, c, redisstore.Config{})
	require.ErrorContains(t, err, "replica")

	requireAlive(t, db.Sessions(), r)
	require.NoError(t, p.ConfigSet(ctx, "min-replicas-to-write", "2").Err())
	for name, act := range acts(db.Sessions(), db.Attempts()) {
		require.ErrorContains(t, act(ctx), "NOREPLICAS", name)
	}
}

// The user that docs/redis.md tells to make may do all that is done, and nothing else.
func TestACL(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/redis.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "ACL SETUSER portal ")
	require.True(t, ok)
	rules, _, ok := strings.Cut(rest, "\n\n")
	require.True(t, ok)

	own := startServer(t)
	ctx := t.Context()
	admin := client(t, own.url())
	setUser := []any{"ACL", "SETUSER", "portal"}
	for _, rule := range strings.Fields(rules) {
		setUser = append(setUser, rule)
	}
	require.NoError(t, admin.Do(ctx, setUser...).Err())

	c := client(t, strings.Replace(own.url(), "//", "//portal:PASSWORD@", 1))
	db, err := redisstore.New(ctx, c, redisstore.Config{Prefix: "portal"})
	require.NoError(t, err)
	// All there is to do of each script: once with a session and a counter, once without.
	for range 2 {
		create(t, db.Sessions(), "ann", fmt.Sprint("s", admin.DBSize(ctx).Val()))
		for name, act := range acts(db.Sessions(), db.Attempts()) {
			if err := act(ctx); err != nil {
				require.ErrorIs(t, err, session.ErrNoSession, name)
			}
		}
	}
	for _, end := range []error{
		db.Sessions().RotateSession(ctx, create(t, db.Sessions(), "bob", "b").Token, record("bob", "b")),
		db.Attempts().SettleAttempt(ctx, []throttle.Key{lane(1, capped).Key}, nil),
	} {
		require.NoError(t, end)
	}
	_, err = db.Attempts().TakeAttempt(ctx, []throttle.Lane{address(1, windowed)}, now)
	require.NoError(t, err)
	_, err = db.Sessions().DeleteTenant(ctx, "acme")
	require.NoError(t, err)

	require.ErrorContains(t, c.Set(ctx, "other", "x", 0).Err(), "NOPERM")
	require.ErrorContains(t, c.FlushDB(ctx).Err(), "NOPERM")
	require.ErrorContains(t, c.ConfigSet(ctx, "save", "").Err(), "NOPERM")
}
