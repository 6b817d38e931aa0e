// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Memory is a [Store] in memory, for tests and for portals of one process that may forget all sessions when
// it ends. DeleteTenant and PruneSessions look at every session there is; all else finds what it needs.
type Memory struct {
	// Sessions are spread by their token, so that requests on several processors seldom wait for each other.
	shards [shards]shard

	// users is read under the lock of any shard and changed under those of all.
	users map[owner]*user
}

const shards = 16

type shard struct {
	sync.RWMutex
	sessions map[Hash]*entry // changed under the locks of all shards

	_ [96]byte // a cache line of its own, or two
}

// entry is a session. Its record is replaced and never changed, under the lock of the shard that its token is in.
type entry struct{ rec *Record }

type owner struct{ tenant, user string }

type user struct {
	version int64 // one less than what is told, so that a user who is not there has 1
	// own are the user's sessions, acting those in which the user acts as somebody else, both by their ID.
	own, acting map[string]*entry
}

var _ Store = (*Memory)(nil)

var errNotUnique = errors.New("session: memory: a session with this token or ID is there already")

// NewMemory gives an empty store.
func NewMemory() *Memory {
	m := &Memory{users: map[owner]*user{}}
	for i := range m.shards {
		m.shards[i].sessions = map[Hash]*entry{}
	}
	return m
}

func (m *Memory) shard(token *Hash) *shard { return &m.shards[token[0]%shards] }

// lock takes the locks of all shards, always in the same order, and gives the function that frees them.
func (m *Memory) lock() (unlock func()) {
	for i := range m.shards {
		m.shards[i].Lock()
	}
	return func() {
		for i := range m.shards {
			m.shards[i].Unlock()
		}
	}
}

// CreateSession is that of [Store].
func (m *Memory) CreateSession(ctx context.Context, s Record, version int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer m.lock()()
	if m.version(s.Tenant, s.User) != version {
		return ErrNoSession
	}
	sessions := m.shard(&s.Token).sessions
	if sessions[s.Token] != nil {
		return errNotUnique
	}
	u := m.user(s.Tenant, s.User)
	if u.own[s.ID] != nil {
		return errNotUnique
	}
	s.Factors = slices.Clone(s.Factors)
	e := &entry{&s}
	sessions[s.Token] = e
	u.own[s.ID] = e
	if s.Impersonator != "" {
		m.user(s.Tenant, s.Impersonator).acting[s.ID] = e
	}
	return nil
}

// UserVersion is that of [Store].
func (m *Memory) UserVersion(ctx context.Context, tenant, user string) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.shards[0].RLock()
	defer m.shards[0].RUnlock()
	return m.version(tenant, user), nil
}

// TouchSession is that of [Store].
func (m *Memory) TouchSession(ctx context.Context, token Hash, t Touch) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	sh := m.shard(&token)
	sh.RLock()
	var rec *Record
	if e := sh.sessions[token]; e != nil {
		rec = e.rec
	}
	sh.RUnlock()
	if rec == nil || !t.alive(rec) {
		return Record{}, ErrNoSession
	}
	if t.writes(rec) {
		if rec = sh.touch(token, t); rec == nil {
			return Record{}, ErrNoSession
		}
	}
	s := *rec
	s.Factors = slices.Clone(s.Factors)
	return s, nil
}

// touch is what TouchSession does when there is something to write. It gives nil for ErrNoSession.
func (sh *shard) touch(token Hash, t Touch) *Record {
	sh.Lock()
	defer sh.Unlock()
	e := sh.sessions[token]
	if e == nil || !t.alive(e.rec) {
		return nil
	}
	if t.writes(e.rec) {
		next := *e.rec
		next.LastSeen = t.Now
		e.rec = &next
	}
	return e.rec
}

func (t *Touch) alive(s *Record) bool {
	return s.Expires.After(t.Now) && s.LastSeen.After(t.AliveAfter)
}

func (t *Touch) writes(s *Record) bool {
	return s.LastSeen.Before(t.WriteBefore) && s.LastSeen.Before(t.Now)
}

// RotateSession is that of [Store].
func (m *Memory) RotateSession(ctx context.Context, old Hash, next Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer m.lock()()
	from, to := m.shard(&old).sessions, m.shard(&next.Token).sessions
	e := from[old]
	switch {
	case e == nil:
		return ErrNoSession
	case to[next.Token] != nil:
		return errNotUnique
	}
	s := *e.rec
	s.Token, s.Stamp, s.AuthTime, s.LastSeen = next.Token, next.Stamp, next.AuthTime, next.LastSeen
	s.Factors = slices.Clone(next.Factors)
	e.rec = &s
	delete(from, old)
	to[s.Token] = e
	return nil
}

// SetSessionData is that of [Store].
func (m *Memory) SetSessionData(ctx context.Context, token Hash, old, data []byte) (won bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	sh := m.shard(&token)
	sh.Lock()
	defer sh.Unlock()
	e := sh.sessions[token]
	if e == nil {
		return false, ErrNoSession
	}
	if !bytes.Equal(e.rec.Data, old) {
		return false, nil
	}
	next := *e.rec
	next.Data = data
	if len(data) == 0 {
		next.Data = nil
	}
	e.rec = &next
	return true, nil
}

// DeleteSession is that of [Store].
func (m *Memory) DeleteSession(ctx context.Context, tenant, user, id string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	defer m.lock()()
	u := m.users[owner{tenant, user}]
	if u == nil || u.own[id] == nil {
		return false, nil
	}
	m.remove(u.own[id])
	return true, nil
}

// BumpUser is that of [Store].
func (m *Memory) BumpUser(ctx context.Context, tenant, user, except string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	defer m.lock()()
	u := m.user(tenant, user)
	u.version++
	n := 0
	for _, sessions := range []map[string]*entry{u.own, u.acting} {
		for id, e := range sessions {
			if id != except {
				m.remove(e) // from this map too, which a range allows
				n++
			}
		}
	}
	return n, nil
}

// DeleteTenant is that of [Store].
func (m *Memory) DeleteTenant(ctx context.Context, tenant string) (int, error) {
	return m.removeIf(ctx, func(s *Record) bool { return s.Tenant == tenant })
}

// ListSessions is that of [Store].
func (m *Memory) ListSessions(ctx context.Context, tenant, user string) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list := m.list(owner{tenant, user})
	for i := range list {
		list[i].Factors = slices.Clone(list[i].Factors)
	}
	slices.SortFunc(list, func(a, b Record) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

func (m *Memory) list(of owner) (list []Record) {
	for i := range m.shards {
		m.shards[i].RLock()
		defer m.shards[i].RUnlock()
	}
	if u := m.users[of]; u != nil {
		for _, e := range u.own {
			list = append(list, *e.rec)
		}
	}
	return list
}

// PruneSessions is that of [Store].
func (m *Memory) PruneSessions(ctx context.Context, expired, idle time.Time) (int64, error) {
	n, err := m.removeIf(ctx, func(s *Record) bool { return s.Expires.Before(expired) || s.LastSeen.Before(idle) })
	return int64(n), err
}

func (m *Memory) removeIf(ctx context.Context, match func(*Record) bool) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	defer m.lock()()
	for i := range m.shards {
		for _, e := range m.shards[i].sessions {
			if match(e.rec) {
				m.remove(e)
				n++
			}
		}
	}
	return n, nil
}

// The rest is called under the locks of all shards, but version, which needs that of one.

func (m *Memory) remove(e *entry) {
	s := e.rec
	delete(m.shard(&s.Token).sessions, s.Token)
	m.forget(owner{s.Tenant, s.User}, s.ID, func(u *user) map[string]*entry { return u.own })
	if s.Impersonator != "" {
		m.forget(owner{s.Tenant, s.Impersonator}, s.ID, func(u *user) map[string]*entry { return u.acting })
	}
}

// forget removes a session from a user, and the user when nothing is left to know.
func (m *Memory) forget(of owner, id string, sessions func(*user) map[string]*entry) {
	u := m.users[of]
	delete(sessions(u), id)
	if len(u.own)+len(u.acting) == 0 && u.version == 0 {
		delete(m.users, of)
	}
}

// user gives a user to be changed.
func (m *Memory) user(tenant, name string) *user {
	u := m.users[owner{tenant, name}]
	if u == nil {
		u = &user{own: map[string]*entry{}, acting: map[string]*entry{}}
		m.users[owner{tenant, name}] = u
	}
	return u
}

func (m *Memory) version(tenant, user string) int64 {
	if u := m.users[owner{tenant, user}]; u != nil {
		return u.version + 1
	}
	return 1
}
