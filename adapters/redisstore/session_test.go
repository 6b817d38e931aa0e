// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/portalsec/portalsec/adapters/redisstore"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// use is the touch of a request at now.
var use = session.Touch{Now: now, AliveAfter: now.Add(-time.Hour), WriteBefore: now.Add(-time.Minute)}

// create adds a session of a user of acme, in which somebody called staff acts as the user.
func create(t *testing.T, s session.Store, user, id string) session.Record {
	t.Helper()
	r := record(user, id)
	r.Token = sha256.Sum256([]byte(id))
	v, err := s.UserVersion(t.Context(), r.Tenant, r.User)
	require.NoError(t, err)
	require.NoError(t, s.CreateSession(t.Context(), r, v))
	return r
}

func requireDead(t *testing.T, s session.Store, token session.Hash) {
	t.Helper()
	_, err := s.TouchSession(t.Context(), token, use)
	require.ErrorIs(t, err, session.ErrNoSession)
}

func requireAlive(t *testing.T, s session.Store, r session.Record) {
	t.Helper()
	got, err := s.TouchSession(t.Context(), r.Token, use)
	require.NoError(t, err)
	require.Equal(t, r, got)
}

// A later version of this package may have written a session. It must not be let through, nor survive its end.
func TestUnknownSessionVersions(t *testing.T) {
	t.Parallel()
	db, c, prefix := open(t)
	s, ctx := db.Sessions(), t.Context()
	later := func(id string) session.Record {
		r := create(t, s, "ann", id)
		require.NoError(t, c.SetRange(ctx, prefix+":session:"+string(r.Token[:]), 0, "\x02").Err())
		return r
	}
	r := later("a")
	requireDead(t, s, r.Token)
	next := r
	next.Token = session.Hash{9}
	require.ErrorIs(t, s.RotateSession(ctx, r.Token, next), session.ErrNoSession)
	_, err := s.SetSessionData(ctx, r.Token, r.Data, nil)
	require.ErrorIs(t, err, session.ErrNoSession)
	list, err := s.ListSessions(ctx, "acme", "ann")
	require.NoError(t, err)
	require.Empty(t, list)
	require.Equal(t, int64(1), c.Exists(ctx, prefix+":session:"+string(r.Token[:])).Val(), "reading removes nothing")

	for name, end := range map[string]func() (int, error){
		"delete": func() (int, error) {
			ok, err := s.DeleteSession(ctx, "acme", "ann", "a")
			return map[bool]int{true: 1}[ok], err
		},
		"bump":          func() (int, error) { return s.BumpUser(ctx, "acme", "ann", "") },
		"bump of staff": func() (int, error) { return s.BumpUser(ctx, "acme", "staff", "") },
		"tenant":        func() (int, error) { return s.DeleteTenant(ctx, "acme") },
		"prune": func() (int, error) {
			n, err := s.PruneSessions(ctx, now.Add(2*time.Hour), now)
			return int(n), err
		},
	} {
		n, err := end()
		require.NoError(t, err, name)
		require.Equal(t, 1, n, name)
		require.Zero(t, c.Exists(ctx, prefix+":session:"+string(r.Token[:])).Val(), name)
		r = later("a")
	}
}

// Nobody is let through with a part of a record.
func TestDamagedSession(t *testing.T) {
	t.Parallel()
	db, c, prefix := open(t)
	s := db.Sessions()
	r := create(t, s, "ann", "a")
	key := prefix + ":session:" + string(r.Token[:])
	whole := c.Get(t.Context(), key).Val()
	for n := range len(whole) - len(r.Data) {
		require.NoError(t, c.Set(t.Context(), key, whole[:n], redis.KeepTTL).Err())
		_, err := s.TouchSession(t.Context(), r.Token, use)
		require.Error(t, err, n)
	}
}

// A session that the act which ends it would not find must be over, whichever index was lost.
func TestLostIndexEndsSessions(t *testing.T) {
	t.Parallel()
	db, c, prefix := open(t)
	s := db.Sessions()
	for _, index := range []string{":user:4:acme:ann", ":staff:4:acme:staff", ":tenant:acme"} {
		r := create(t, s, "ann", "in"+index)
		requireAlive(t, s, r)
		require.Equal(t, int64(1), c.Del(t.Context(), prefix+index).Val(), index)
		requireDead(t, s, r.Token)
		next := r
		next.Token = session.Hash{9}
		require.ErrorIs(t, s.RotateSession(t.Context(), r.Token, next), session.ErrNoSession)
	}
}

// After its data was lost a server gives no version that it gave before: a login that was under way starts nothing.
func TestVersionsAfterLoss(t *testing.T) {
	t.Parallel()
	db, c, prefix := open(t)
	s, ctx := db.Sessions(), t.Context()
	given := map[int64]bool{}
	version := func() int64 {
		v, err := s.UserVersion(ctx, "acme", "ann")
		require.NoError(t, err)
		return v
	}
	var last int64
	for range 20 {
		first := version()
		for range 50 {
			v := version()
			require.False(t, given[v])
			require.Greater(t, v, last)
			given[v], last = true, v
			_, err := s.BumpUser(ctx, "acme", "ann", "")
			require.NoError(t, err)
		}
		last = version()
		given[last] = true
		for _, k := range keys(t, c, prefix) {
			require.NoError(t, c.Del(ctx, k).Err())
		}
		for _, stale := range []int64{first, last} {
			require.ErrorIs(t, s.CreateSession(ctx, record("ann", "a"), stale), session.ErrNoSession)
		}
	}
}

// Token and ID are unique: a second session does not take the place of another.
func TestCreateTaken(t *testing.T) {
	t.Parallel()
	db, _, _ := open(t)
	s, ctx := db.Sessions(), t.Context()
	a, b := create(t, s, "ann", "a"), create(t, s, "bob", "b")
	v, err := s.UserVersion(ctx, "acme", "ann")
	require.NoError(t, err)
	sameToken, sameID := record("ann", "c"), record("ann", "b")
	sameToken.Token, sameID.Token = b.Token, session.Hash{9}
	require.Error(t, s.CreateSession(ctx, sameToken, v))
	require.Error(t, s.CreateSession(ctx, sameID, v))
	next := a
	next.Token = b.Token
	require.Error(t, s.RotateSession(ctx, a.Token, next))
	requireAlive(t, s, a)
	requireAlive(t, s, b)
	requireDead(t, s, session.Hash{9})
}

// Whatever the caller's clock says, Redis keeps a session for its whole life and drops it afterwards.
func TestKeysExpire(t *testing.T) {
	t.Parallel()
	db, c, prefix := open(t)
	s, ctx := db.Sessions(), t.Context()
	v, err := s.UserVersion(ctx, "acme", "ann")
	require.NoError(t, err)
	for i, at := range []time.Time{now, now.AddDate(-30, 0, 0), now.AddDate(30, 0, 0)} {
		r := record("ann", fmt.Sprint("s", i))
		r.Token = session.Hash{byte(i)}
		r.Created, r.AuthTime, r.LastSeen, r.Expires = at, at, at, at.Add(time.Hour)
		require.NoError(t, s.CreateSession(ctx, r, v))
		next := r
		next.Token = session.Hash{byte(i), 1}
		require.NoError(t, s.RotateSession(ctx, r.Token, next))
		won, err := s.SetSessionData(ctx, next.Token, r.Data, []byte("more"))
		require.NoError(t, err)
		require.True(t, won)
		_, err = s.TouchSession(ctx, next.Token, session.Touch{Now: at.Add(time.Minute), AliveAfter: at.Add(-time.Hour), WriteBefore: at.Add(time.Minute)})
		require.NoError(t, err)
	}
	all := keys(t, c, prefix)
	require.Len(t, all, 3*2+5+1)
	for _, k := range all {
		ttl := c.PTTL(ctx, k).Val()
		if k == prefix+":versions" {
			require.Equal(t, time.Duration(-1), ttl, "a version must not be forgotten apart from the others")
			continue
		}
		require.Greater(t, ttl, 24*time.Hour+59*time.Minute, k)
		require.LessOrEqual(t, ttl, 25*time.Hour, k)
	}
}

// Nothing is left of sessions that have ended, in any way.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	db, c, prefix := open(t)
	s, ctx := db.Sessions(), t.Context()
	ends := []func(r session.Record) error{
		func(r session.Record) error { _, err := s.DeleteSession(ctx, r.Tenant, r.User, r.ID); return err },
		func(r session.Record) error { _, err := s.BumpUser(ctx, r.Tenant, r.User, ""); return err },
		func(r session.Record) error { _, err := s.BumpUser(ctx, r.Tenant, r.Impersonator, ""); return err },
		func(r session.Record) error { _, err := s.DeleteTenant(ctx, r.Tenant); return err },
		func(r session.Record) error { _, err := s.PruneSessions(ctx, r.Expires.Add(1000), now); return err },
		func(r session.Record) error { _, err := s.PruneSessions(ctx, now, r.LastSeen.Add(1000)); return err },
	}
	for i, end := range ends {
		r := create(t, s, "ann", strconv.Itoa(i))
		next := r
		next.Token, next.LastSeen = session.Hash{byte(i)}, now.Add(time.Second)
		require.NoError(t, s.RotateSession(ctx, r.Token, next))
		require.NoError(t, end(next))
		require.Equal(t, []string{prefix + ":versions"}, keys(t, c, prefix), i)
	}
}

// When Redis has dropped sessions by itself and nobody prunes, those that come take their entries away.
func TestIndexesDoNotGrow(t *testing.T) {
	t.Parallel()
	db, c, prefix := open(t)
	s, ctx := db.Sessions(), t.Context()
	past := float64(time.Now().Add(-time.Minute).UnixMilli())
	for i := range 100 {
		r := create(t, s, "ann", fmt.Sprint("s", i))
		// As if its time had come.
		require.Equal(t, int64(2), c.Del(ctx, prefix+":session:"+string(r.Token[:]), prefix+":id:"+r.ID).Val())
		for _, index := range []string{":user:4:acme:ann", ":staff:4:acme:staff", ":tenant:acme"} {
			require.NoError(t, c.ZAddXX(ctx, prefix+index, redis.Z{Score: past, Member: r.ID}).Err())
		}
	}
	for _, index := range []string{":user:4:acme:ann", ":staff:4:acme:staff", ":tenant:acme", ":ends", ":seen"} {
		require.LessOrEqual(t, c.ZCard(ctx, prefix+index).Val(), int64(2), index)
	}
}

// One script prunes no more than a batch; all of them prune everything.
func TestPruneManySessions(t *testing.T) {
	t.Parallel()
	db, _, _ := open(t)
	s := db.Sessions()
	const many = 1203
	for i := range many {
		create(t, s, fmt.Sprint("u", i%7), fmt.Sprint("s", i))
	}
	n, err := s.PruneSessions(t.Context(), now.Add(2*time.Hour), now)
	require.NoError(t, err)
	require.EqualValues(t, many, n)
}

// The sessions of a tenant end in one act, however many they are, and none is left.
func TestDeleteManyOfTenant(t *testing.T) {
	t.Parallel()
	db, c, prefix := open(t)
	s, ctx := db.Sessions(), t.Context()
	const many = 1203
	for i := range many {
		create(t, s, fmt.Sprint("u", i%7), fmt.Sprint("s", i))
	}
	n, err := s.DeleteTenant(ctx, "acme")
	require.NoError(t, err)
	require.Equal(t, many, n)
	require.Equal(t, []string{prefix + ":versions"}, keys(t, c, prefix))
	requireAlive(t, s, create(t, s, "u1", "again"))
}

// Portals that share a server do not see each other.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	one, c, _ := open(t)
	two, err := redisstore.New(t.Context(), c, redisstore.Config{Prefix: newPrefix(t, c)})
	require.NoError(t, err)
	r := create(t, one.Sessions(), "ann", "a")
	requireDead(t, two.Sessions(), r.Token)
	n, err := two.Sessions().BumpUser(t.Context(), "acme", "ann", "")
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = two.Sessions().DeleteTenant(t.Context(), "acme")
	require.NoError(t, err)
	require.Zero(t, n)
	requireAlive(t, one.Sessions(), r)
}
