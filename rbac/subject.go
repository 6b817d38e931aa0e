// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/portalsec/portalsec"
)

// subject is what a principal holds in a tenant. It does not change.
type subject struct {
	subjectKey
	version uint64     // of the store, when it was read
	roles   []string   // those that the principal brought, in that mode
	active  []held     // the assignments that hold now
	scopes  []scopeSet // the longest scope first
	next    time.Time  // when an assignment begins or ends; zero for never
}

// held is an assignment that holds now.
type held struct {
	scope string
	role  int
	until time.Time
}

// scopeSet is the effective set in a scope and all below it that has none of its own.
type scopeSet struct {
	scope string
	set   set
}

// noSet allows nothing.
var noSet set

// at gives the set for a scope. The scopes that cover it are prefixes of each other, so the longest counts.
func (s *subject) at(scope string) *set {
	for i := range s.scopes {
		if covers(s.scopes[i].scope, scope) {
			return &s.scopes[i].set
		}
	}
	return &noSet
}

func (s *subject) current(now time.Time) bool { return s.next.IsZero() || now.Before(s.next) }

// subject compiles what assignments give at a time. A role that the policy does not have gives nothing.
func (p *Policy) subject(key subjectKey, assignments []Assignment, now time.Time) *subject {
	s := &subject{subjectKey: key}
	soonest := func(t time.Time) {
		if t.After(now) && (s.next.IsZero() || t.Before(s.next)) {
			s.next = t
		}
	}
	for _, a := range assignments {
		role, ok := p.number[a.Role]
		if !ok {
			continue
		}
		soonest(a.From)
		soonest(a.Until)
		if !a.active(now) {
			continue
		}
		s.active = append(s.active, held{a.Scope, role, a.Until})
		if !slices.ContainsFunc(s.scopes, func(c scopeSet) bool { return c.scope == a.Scope }) {
			s.scopes = append(s.scopes, scopeSet{scope: a.Scope})
		}
	}
	slices.SortFunc(s.scopes, func(a, b scopeSet) int { return len(b.scope) - len(a.scope) })
	for i := range s.scopes {
		all := newRules(p.permissions())
		for _, h := range s.active {
			if covers(h.scope, s.scopes[i].scope) {
				all.union(p.roles[h.role].rules)
			}
		}
		s.scopes[i].set = all.compile()
	}
	return s
}

// subject gives what the principal holds: that which the visit began with, else that which the store has now.
func (e *Engine) subject(ctx context.Context, v *visit, p *portalsec.Principal) (*subject, error) {
	now := e.clock.Now()
	key := subjectKey{p.Tenant, p.ID}
	if v != nil {
		if s := v.subject.Load(); s != nil && s.subjectKey == key && s.current(now) &&
			(e.store != nil || slices.Equal(s.roles, p.Roles)) {
			return s, nil
		}
	}
	s, err := e.load(ctx, key, p.Roles, now)
	if err == nil && v != nil {
		v.subject.Store(s)
	}
	return s, err
}

func (e *Engine) load(ctx context.Context, key subjectKey, roles []string, now time.Time) (*subject, error) {
	if e.store == nil {
		assignments := make([]Assignment, len(roles))
		for i, r := range roles {
			assignments[i] = Assignment{Role: r, Scope: key.tenant}
		}
		s := e.policy.subject(key, assignments, now)
		s.roles = roles
		return s, nil
	}
	// The version is read first: a change between the two reads makes the set newer than its version says, and
	// the next request reads it again.
	version, err := e.store.Version(ctx)
	if err != nil {
		return nil, fmt.Errorf("rbac: version of the assignments: %w", err)
	}
	if s := e.cache.get(key); s != nil && s.version == version && s.current(now) {
		return s, nil
	}
	assignments, err := e.list(ctx, key.tenant, key.subject)
	if err != nil {
		return nil, err
	}
	s := e.policy.subject(key, assignments, now)
	s.version = version
	e.cache.put(s)
	return s, nil
}

// errStore says that a store gave what it was not asked for.
var errStore = errors.New("rbac: the store gave an assignment of somebody else or outside the tenant")

// list reads assignments and trusts nothing about them that matters.
func (e *Engine) list(ctx context.Context, tenant, id string) ([]Assignment, error) {
	assignments, err := e.store.List(ctx, tenant, id)
	if err != nil {
		return nil, fmt.Errorf("rbac: assignments: %w", err)
	}
	for _, a := range assignments {
		if a.Tenant != tenant || a.Subject != id || !covers(tenant, a.Scope) {
			return nil, errStore
		}
	}
	return assignments, nil
}

// maxSubjects bounds the cache: at some kilobytes each, it stays below a hundred megabytes.
const maxSubjects = 10_000

// cache keeps subjects. Whether one is still true is told by the version of the store alone, so any entry may
// be dropped at any time.
type cache struct {
	mu       sync.RWMutex
	subjects map[subjectKey]*subject
}

func (c *cache) get(key subjectKey) *subject {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.subjects[key]
}

func (c *cache) put(s *subject) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.subjects[s.subjectKey]; !ok && len(c.subjects) >= maxSubjects {
		for key := range c.subjects { // the order of a map is random, which is good enough here
			delete(c.subjects, key)
			break
		}
	}
	c.subjects[s.subjectKey] = s
}
