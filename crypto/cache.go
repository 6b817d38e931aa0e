// SPDX-License-Identifier: Apache-2.0

package crypto

import "sync"

// cacheGeneration is the number of keys of one generation of the cache. It holds two, with the subkeys in use
// some 10 MB.
const cacheGeneration = 2048

// keyCache holds unwrapped keys, at most two generations of them: when the young one is full it becomes the
// old one and the old one goes. A key that is used meanwhile is carried over, so the cache forgets roughly
// what was not used for longest, and reading it needs no more than a shared lock.
type keyCache struct {
	mu         sync.RWMutex
	young, old generation
	dropped    uint64
}

type generation struct {
	ids    map[KeyID]*dataKey
	scopes map[Scope]*dataKey
}

// byID gives a key, or nil.
func (c *keyCache) byID(id KeyID) *dataKey {
	c.mu.RLock()
	d := c.young.ids[id]
	o := c.old.ids[id]
	c.mu.RUnlock()
	if d == nil && o != nil {
		c.carry(o)
		d = o
	}
	return d
}

// active gives the active key of a scope, or nil.
func (c *keyCache) active(s Scope) *dataKey {
	c.mu.RLock()
	d := c.young.scopes[s]
	o := c.old.scopes[s]
	c.mu.RUnlock()
	if d == nil && o != nil {
		c.carry(o)
		d = o
	}
	return d
}

// carry moves a key of the old generation to the young one, if it is still there.
func (c *keyCache) carry(d *dataKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.old.ids[d.id] == d {
		c.add(d, c.old.scopes[d.scope] == d)
	}
}

// mark gives what put needs to know that no key was dropped since.
func (c *keyCache) mark() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.dropped
}

// put adds a key that was read from the store after mark. If a key was dropped since then it may be that
// one, and it is not added.
func (c *keyCache) put(d *dataKey, mark uint64, active bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mark == c.dropped {
		c.add(d, active)
	}
}

func (c *keyCache) add(d *dataKey, active bool) {
	if len(c.young.ids) >= cacheGeneration {
		c.old, c.young = c.young, generation{}
	}
	if c.young.ids == nil {
		c.young = generation{ids: map[KeyID]*dataKey{}, scopes: map[Scope]*dataKey{}}
	}
	c.young.ids[d.id] = d
	if active {
		c.young.scopes[d.scope] = d
	}
}

// drop forgets all keys of a scope.
func (c *keyCache) drop(s Scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped++
	for _, g := range []generation{c.young, c.old} {
		delete(g.scopes, s)
		for id, d := range g.ids {
			if d.scope == s {
				delete(g.ids, id)
			}
		}
	}
}
