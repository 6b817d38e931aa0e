// SPDX-License-Identifier: Apache-2.0

package mfa

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/portalsec/portalsec"
)

// Memory is a [Store] in memory, for tests and for trying things out: it forgets everything when the process
// ends.
type Memory struct {
	mu       sync.Mutex
	pending  map[owner]Pending
	factors  map[owner][]Factor
	owners   map[string]owner // by factor ID
	tries    map[owner]tries
	policies map[string]Policy
}

var _ Store = (*Memory)(nil)

type owner struct{ tenant, user string }

type tries struct {
	count     int
	notBefore time.Time
}

// NewMemory gives an empty store.
func NewMemory() *Memory {
	return &Memory{
		pending:  make(map[owner]Pending),
		factors:  make(map[owner][]Factor),
		owners:   make(map[string]owner),
		tries:    make(map[owner]tries),
		policies: make(map[string]Policy),
	}
}

// PutPending implements [Store].
func (s *Memory) PutPending(_ context.Context, p Pending) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Secret = slices.Clone(p.Secret)
	s.pending[owner{p.Tenant, p.User}] = p
	return nil
}

// Pending implements [Store].
func (s *Memory) Pending(_ context.Context, tenant, user string, now time.Time) (Pending, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.pending[owner{tenant, user}]
	if !ok || !now.Before(p.Expires) {
		return Pending{}, ErrNotFound
	}
	p.Secret = slices.Clone(p.Secret)
	return p, nil
}

// Enrol implements [Store].
func (s *Memory) Enrol(_ context.Context, totp, recovery Factor, replaces string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := owner{totp.Tenant, totp.User}
	if p, ok := s.pending[o]; !ok || p.ID != totp.ID || !totp.Created.Before(p.Expires) {
		return false, nil
	}
	if presentTOTP(s.factors[o]) != replaces {
		return false, nil
	}
	delete(s.pending, o)
	s.drop(o, func(f Factor) bool { return f.Kind == totp.Kind || f.Kind == recovery.Kind })
	for _, f := range []Factor{totp, recovery} {
		s.factors[o] = append(s.factors[o], cloneFactor(f))
		s.owners[f.ID] = o
	}
	return true, nil
}

// Factors implements [Store].
func (s *Memory) Factors(_ context.Context, tenant, user string) ([]Factor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var fs []Factor
	for _, f := range s.factors[owner{tenant, user}] {
		fs = append(fs, cloneFactor(f))
	}
	slices.SortStableFunc(fs, func(a, b Factor) int { return a.Created.Compare(b.Created) })
	return fs, nil
}

// AdvanceTOTP implements [Store].
func (s *Memory) AdvanceTOTP(_ context.Context, factor string, step int64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.find(factor)
	if f == nil || f.Kind != portalsec.FactorTOTP || f.Step >= step {
		return false, nil
	}
	f.Step = step
	return true, nil
}

// ConsumeCode implements [Store].
func (s *Memory) ConsumeCode(_ context.Context, factor string, hash []byte, at time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.find(factor)
	if f == nil {
		return false, nil
	}
	for i, c := range f.Codes {
		if c.Used.IsZero() && bytes.Equal(c.Hash, hash) {
			f.Codes[i].Used = at.UTC()
			return true, nil
		}
	}
	return false, nil
}

// Remove implements [Store].
func (s *Memory) Remove(_ context.Context, tenant, user, factor string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := owner{tenant, user}
	if s.owners[factor] != o || s.find(factor) == nil {
		return false, nil
	}
	s.drop(o, func(f Factor) bool { return f.ID == factor })
	if !slices.ContainsFunc(s.factors[o], func(f Factor) bool { return f.Kind != portalsec.FactorRecovery }) {
		s.drop(o, func(Factor) bool { return true })
	}
	return true, nil
}

// TakeTry implements [Store].
func (s *Memory) TakeTry(_ context.Context, tenant, user string, now time.Time, wait func(int) time.Duration) (bool, time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tries[owner{tenant, user}]
	if now.Before(t.notBefore) {
		return false, t.notBefore.Sub(now), nil
	}
	t.count++
	t.notBefore = now.Add(wait(t.count))
	s.tries[owner{tenant, user}] = t
	return true, 0, nil
}

// ClearTries implements [Store].
func (s *Memory) ClearTries(_ context.Context, tenant, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tries, owner{tenant, user})
	return nil
}

// Policy implements [Store].
func (s *Memory) Policy(_ context.Context, tenant string) (Policy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.policies[tenant]
	if !ok {
		return Policy{}, ErrNotFound
	}
	p.Roles = slices.Clone(p.Roles)
	return p, nil
}

// PutPolicy implements [Store].
func (s *Memory) PutPolicy(_ context.Context, tenant string, p Policy) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Roles = slices.Clone(p.Roles)
	s.policies[tenant] = p
	return nil
}

func (s *Memory) find(factor string) *Factor {
	fs := s.factors[s.owners[factor]]
	for i := range fs {
		if fs[i].ID == factor {
			return &fs[i]
		}
	}
	return nil
}

func (s *Memory) drop(o owner, which func(Factor) bool) {
	s.factors[o] = slices.DeleteFunc(s.factors[o], func(f Factor) bool {
		if !which(f) {
			return false
		}
		delete(s.owners, f.ID)
		return true
	})
}

func cloneFactor(f Factor) Factor {
	f.Secret = slices.Clone(f.Secret)
	f.Codes = slices.Clone(f.Codes)
	for i := range f.Codes {
		f.Codes[i].Hash = slices.Clone(f.Codes[i].Hash)
	}
	return f
}
