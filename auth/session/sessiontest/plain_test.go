// SPDX-License-Identifier: Apache-2.0

package sessiontest_test

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portalsec/portalsec/auth/session"
)

// plain is the simplest store that keeps the contract: one list under one lock. With a fault it does not.
type plain struct {
	fault string

	mu       sync.Mutex
	list     []*session.Record
	versions map[[2]string]int64
}

func newPlain(fault string) *plain { return &plain{fault: fault, versions: map[[2]string]int64{}} }

// enter begins an act. The caller leaves, also after an error.
func (s *plain) enter(ctx context.Context) (leave func(), err error) {
	s.mu.Lock()
	if s.fault == "the context is ignored" {
		return s.mu.Unlock, nil
	}
	return s.mu.Unlock, ctx.Err()
}

// gap lets others in, as a round trip to a server does.
func (s *plain) gap(fault string) {
	if s.fault == fault {
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
		s.mu.Lock()
	}
}

func (s *plain) same(a, b string) bool {
	switch s.fault {
	case "names are compared without case":
		return strings.EqualFold(a, b)
	case "names are compared without their end":
		return strings.TrimRight(a, " ") == strings.TrimRight(b, " ")
	}
	return a == b
}

func (s *plain) owns(r *session.Record, tenant, user string) bool {
	if s.fault == "tenant and user run into one another" {
		return r.Tenant+":"+r.User == tenant+":"+user
	}
	return s.same(r.Tenant, tenant) && s.same(r.User, user)
}

func (s *plain) find(token session.Hash) *session.Record {
	for _, r := range s.list {
		if r.Token == token || s.fault == "the token is compared by its beginning" && len(s.list) > 0 {
			return r
		}
	}
	return nil
}

// upsert writes a record that was read before, whether it is there still or not.
func (s *plain) upsert(r session.Record) {
	if at := slices.IndexFunc(s.list, func(o *session.Record) bool { return o.ID == r.ID }); at >= 0 {
		s.list[at] = &r
	} else {
		s.list = append(s.list, &r)
	}
}

func (s *plain) removeIf(match func(*session.Record) bool) int {
	before := len(s.list)
	s.list = slices.DeleteFunc(s.list, match)
	return before - len(s.list)
}

func (s *plain) give(r *session.Record) session.Record {
	out := *r
	if s.fault != "factors are shared" {
		out.Factors = slices.Clone(r.Factors)
	}
	return out
}

func (s *plain) version(tenant, user string) int64 {
	return max(1, s.versions[[2]string{tenant, user}])
}

func (s *plain) CreateSession(ctx context.Context, r session.Record, version int64) error {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return err
	}
	if s.version(r.Tenant, r.User) != version && s.fault != "create ignores the version" {
		return session.ErrNoSession
	}
	s.gap("create looks at the version first")
	r = s.give(&r)
	if s.fault == "times are in whole milliseconds" {
		r.Created = r.Created.Truncate(time.Millisecond)
	}
	s.list = append(s.list, &r)
	return nil
}

func (s *plain) UserVersion(ctx context.Context, tenant, user string) (int64, error) {
	leave, err := s.enter(ctx)
	defer leave()
	if s.fault == "unknown users get a version each time" && err == nil {
		s.versions[[2]string{tenant, user}] = s.version(tenant, user) + 1
	}
	return s.version(tenant, user), err
}

func (s *plain) TouchSession(ctx context.Context, token session.Hash, t session.Touch) (session.Record, error) {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return session.Record{}, err
	}
	r := s.find(token)
	if r == nil ||
		!r.Expires.After(t.Now) && s.fault != "touch knows no end" ||
		!r.LastSeen.After(t.AliveAfter) && s.fault != "touch knows no idle end" {
		return session.Record{}, session.ErrNoSession
	}
	read := s.give(r)
	due := r.LastSeen.Before(t.WriteBefore) && (r.LastSeen.Before(t.Now) || s.fault == "touch sets LastSeen back") ||
		s.fault == "touch always writes"
	if !due {
		return read, nil
	}
	s.gap("touch decides on what it read")
	s.gap("touch writes back what it read")
	read.LastSeen = t.Now
	if s.fault == "touch writes back what it read" {
		s.upsert(read)
	}
	r.LastSeen = t.Now
	return s.give(&read), nil
}

func (s *plain) RotateSession(ctx context.Context, old session.Hash, next session.Record) error {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return err
	}
	r := s.find(old)
	if r == nil {
		return session.ErrNoSession
	}
	s.gap("rotate looks before it writes")
	if s.fault == "rotate leaves the old token" {
		left := s.give(r)
		s.list = append(s.list, &left)
	}
	set := s.give(r)
	set.Token, set.AuthTime, set.LastSeen = next.Token, next.AuthTime, next.LastSeen
	set.Factors = slices.Clone(next.Factors)
	if s.fault != "rotate forgets the stamp" {
		set.Stamp = next.Stamp
	}
	switch s.fault {
	case "rotate writes the whole record":
		set = next
	case "rotate writes back what it read":
		s.gap(s.fault)
		s.upsert(set)
		return nil
	case "rotate removes and adds":
		s.list = slices.DeleteFunc(s.list, func(o *session.Record) bool { return o == r })
		s.gap(s.fault)
		s.list = append(s.list, r)
	case "factors are shared":
		set.Factors = next.Factors
	}
	*r = set
	return nil
}

func (s *plain) SetSessionData(ctx context.Context, token session.Hash, old, data []byte) (bool, error) {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return false, err
	}
	r := s.find(token)
	if r == nil {
		if s.fault == "data counts as set without session" {
			return true, nil
		}
		return false, session.ErrNoSession
	}
	if !bytes.Equal(r.Data, old) && s.fault != "data is set whatever it was" {
		return false, nil
	}
	s.gap("data is compared first and set later")
	set := s.give(r)
	set.Data = bytes.Clone(data)
	if len(data) == 0 && s.fault != "empty data is not nil" {
		set.Data = nil
	}
	if s.fault == "data writes back what it read" {
		s.gap(s.fault)
		s.upsert(set)
		return true, nil
	}
	r.Data = set.Data
	return true, nil
}

func (s *plain) DeleteSession(ctx context.Context, tenant, user, id string) (bool, error) {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return false, err
	}
	n := s.removeIf(func(r *session.Record) bool {
		return s.same(r.ID, id) && (s.owns(r, tenant, user) || s.fault == "delete does not ask whose it is")
	})
	return n > 0, nil
}

func (s *plain) BumpUser(ctx context.Context, tenant, user, except string) (int, error) {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return 0, err
	}
	remove := func() int {
		if s.fault == "bump lists first and removes later" {
			var tokens []session.Hash
			for _, r := range s.list {
				if s.owns(r, tenant, user) && r.ID != except {
					tokens = append(tokens, r.Token)
				}
			}
			s.gap(s.fault)
			return s.removeIf(func(r *session.Record) bool { return slices.Contains(tokens, r.Token) })
		}
		return s.removeIf(func(r *session.Record) bool {
			acting := r.Impersonator == user && r.Tenant == tenant
			switch s.fault {
			case "bump forgets impersonations":
				acting = false
			case "bump ends impersonations everywhere":
				acting = r.Impersonator == user
			}
			return (s.owns(r, tenant, user) || acting) && (r.ID != except || s.fault == "bump spares nothing")
		})
	}
	if s.fault == "bump removes before it counts" {
		n := remove()
		s.gap(s.fault)
		s.versions[[2]string{tenant, user}] = s.version(tenant, user) + 1
		return n, nil
	}
	v := s.version(tenant, user)
	s.gap("bump counts what it read")
	n := remove()
	if n > 0 || s.fault != "bump without sessions counts nothing" {
		s.versions[[2]string{tenant, user}] = v + 1
	}
	return n, nil
}

func (s *plain) DeleteTenant(ctx context.Context, tenant string) (int, error) {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return 0, err
	}
	return s.removeIf(func(r *session.Record) bool {
		if s.fault == "tenants are compared by their start" {
			return strings.HasPrefix(r.Tenant, tenant)
		}
		return s.same(r.Tenant, tenant)
	}), nil
}

func (s *plain) ListSessions(ctx context.Context, tenant, user string) (list []session.Record, err error) {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return nil, err
	}
	for _, r := range s.list {
		if s.owns(r, tenant, user) {
			list = append(list, s.give(r))
		}
	}
	slices.SortFunc(list, func(a, b session.Record) int {
		if s.fault == "list is by ID" {
			return strings.Compare(a.ID, b.ID)
		}
		return a.Created.Compare(b.Created)
	})
	if s.fault == "list leaves out what is over" {
		list = slices.DeleteFunc(list, func(r session.Record) bool {
			return r.Expires.Sub(r.Created) < 25*time.Hour && r.Created.Before(r.LastSeen.Add(-time.Hour))
		})
	}
	return list, nil
}

func (s *plain) PruneSessions(ctx context.Context, expired, idle time.Time) (int64, error) {
	leave, err := s.enter(ctx)
	defer leave()
	if err != nil {
		return 0, err
	}
	if s.fault == "prune forgets the idle" {
		idle = time.Unix(math.MinInt32, 0)
	}
	return int64(s.removeIf(func(r *session.Record) bool { return r.Expires.Before(expired) || r.LastSeen.Before(idle) })), nil
}
