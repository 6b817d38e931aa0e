// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/portalsec/portalsec/auth/session"
	"github.com/redis/go-redis/v9"
)

const (
	// keepAfter is how long a session that is over is kept, should nobody prune it. It makes up for clocks that differ.
	keepAfter = 24 * time.Hour
	// pruneBatch is how many entries of an index one script looks at, since Redis does nothing else meanwhile.
	pruneBatch = 500
)

// Sessions is a [session.Store].
//
// An act that returns an error did nothing, or all of it: when the answer was lost nobody can tell. PruneSessions goes in
// steps, of which those before the failure stay done.
type Sessions struct {
	db *DB
}

var _ session.Store = (*Sessions)(nil)

// Sessions gives the sessions of package auth/session.
func (db *DB) Sessions() *Sessions { return &Sessions{db} }

// CreateSession implements [session.Store].
func (s *Sessions) CreateSession(ctx context.Context, r session.Record, version int64) error {
	// A span, because the server's clock need not be that of the caller.
	keep := max(r.Expires.Sub(r.Created), 0) + keepAfter
	n, err := s.db.number(ctx, scriptCreate, r.Tenant, r.User, r.Impersonator, r.ID, r.Token[:],
		strconv.FormatInt(version, 10), encodeRecord(r), keep.Milliseconds())
	switch {
	case err != nil:
		return fmt.Errorf("redisstore: create session: %w", err)
	case n == 0:
		return session.ErrNoSession
	}
	return nil
}

// UserVersion implements [session.Store].
func (s *Sessions) UserVersion(ctx context.Context, tenant, user string) (int64, error) {
	answer, err := s.db.run(ctx, scriptVersion, tenant, user)
	if err != nil {
		return 0, fmt.Errorf("redisstore: version of sessions: %w", err)
	}
	text, _ := answer.(string)
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("redisstore: version of sessions: %w", errAnswer)
	}
	return version, nil
}

// TouchSession implements [session.Store].
func (s *Sessions) TouchSession(ctx context.Context, token session.Hash, t session.Touch) (session.Record, error) {
	answer, err := s.db.run(ctx, scriptTouch, token[:], encodeTime(t.Now), encodeTime(t.AliveAfter), encodeTime(t.WriteBefore))
	switch {
	case errors.Is(err, redis.Nil):
		return session.Record{}, session.ErrNoSession
	case err != nil:
		return session.Record{}, fmt.Errorf("redisstore: touch session: %w", err)
	}
	text, ok := answer.(string)
	if !ok {
		return session.Record{}, fmt.Errorf("redisstore: touch session: %w", errAnswer)
	}
	r, err := decodeRecord(token, text)
	if err != nil {
		return session.Record{}, fmt.Errorf("redisstore: read session: %w", err)
	}
	return r, nil
}

// RotateSession implements [session.Store].
func (s *Sessions) RotateSession(ctx context.Context, old session.Hash, next session.Record) error {
	n, err := s.db.number(ctx, scriptRotate, old[:], next.Token[:], encodeTime(next.LastSeen), encodeProofs(next))
	switch {
	case err != nil:
		return fmt.Errorf("redisstore: rotate session: %w", err)
	case n == 0:
		return session.ErrNoSession
	}
	return nil
}

// SetSessionData implements [session.Store].
func (s *Sessions) SetSessionData(ctx context.Context, token session.Hash, old, data []byte) (won bool, err error) {
	// The driver takes no nil.
	n, err := s.db.number(ctx, scriptData, token[:], string(old), string(data))
	switch {
	case err != nil:
		return false, fmt.Errorf("redisstore: set session's data: %w", err)
	case n < 0:
		return false, session.ErrNoSession
	}
	return n == 1, nil
}

// DeleteSession implements [session.Store].
func (s *Sessions) DeleteSession(ctx context.Context, tenant, user, id string) (bool, error) {
	n, err := s.db.number(ctx, scriptDelete, tenant, user, id)
	if err != nil {
		return false, fmt.Errorf("redisstore: delete session: %w", err)
	}
	return n > 0, nil
}

// BumpUser implements [session.Store].
func (s *Sessions) BumpUser(ctx context.Context, tenant, user, except string) (int, error) {
	n, err := s.db.number(ctx, scriptBump, tenant, user, except)
	if err != nil {
		return 0, fmt.Errorf("redisstore: delete user's sessions: %w", err)
	}
	return int(n), nil
}

// DeleteTenant implements [session.Store]. All sessions end in one act; what is left of them is removed in steps
// afterwards.
func (s *Sessions) DeleteTenant(ctx context.Context, tenant string) (int, error) {
	name := rand.Text()
	n, err := s.db.number(ctx, scriptDeleteTenant, tenant, name)
	if err != nil {
		return 0, fmt.Errorf("redisstore: delete tenant's sessions: %w", err)
	}
	for looked := n; looked > 0; {
		// Should it fail, the sessions are over nevertheless, and PruneSessions or Redis removes their rests.
		if looked, err = s.db.number(ctx, scriptClear, name, pruneBatch); err != nil {
			break
		}
	}
	return int(n), nil
}

// ListSessions implements [session.Store]. It passes over sessions of another version of this package.
func (s *Sessions) ListSessions(ctx context.Context, tenant, user string) ([]session.Record, error) {
	answer, err := s.db.run(ctx, scriptList, tenant, user)
	if err != nil {
		return nil, fmt.Errorf("redisstore: list sessions: %w", err)
	}
	texts, err := toTexts(answer)
	if err != nil || len(texts)%2 != 0 {
		return nil, fmt.Errorf("redisstore: list sessions: %w", errAnswer)
	}
	var list []session.Record
	for i := 0; i < len(texts); i += 2 {
		var token session.Hash
		if copy(token[:], texts[i]) != len(token) {
			return nil, fmt.Errorf("redisstore: list sessions: %w", errDamaged)
		}
		r, err := decodeRecord(token, texts[i+1])
		if err != nil {
			return nil, fmt.Errorf("redisstore: list sessions: %w", err)
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b session.Record) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// PruneSessions implements [session.Store]. Redis drops what is over by itself a day after its Expires; what was only
// idle it keeps until then.
func (s *Sessions) PruneSessions(ctx context.Context, expired, idle time.Time) (int64, error) {
	var all int64
	for {
		answer, err := s.db.run(ctx, scriptPrune, encodeTime(expired), encodeTime(idle), pruneBatch)
		if err == nil {
			var n []int64
			if n, err = toNumbers(answer, 2); err == nil {
				all += n[1]
				if n[0] == 0 {
					return all, nil
				}
				continue
			}
		}
		return all, fmt.Errorf("redisstore: prune sessions: %w", err)
	}
}

// toTexts gives an answer that is a list of texts.
func toTexts(answer any) ([]string, error) {
	list, ok := answer.([]any)
	texts := make([]string, len(list))
	for i := range list {
		t, isText := list[i].(string)
		ok = ok && isText
		texts[i] = t
	}
	if !ok {
		return nil, errAnswer
	}
	return texts, nil
}

// toNumbers gives an answer that is a list of so many numbers.
func toNumbers(answer any, want int) ([]int64, error) {
	list, ok := answer.([]any)
	ok = ok && len(list) == want
	numbers := make([]int64, len(list))
	for i := range list {
		n, isNumber := list[i].(int64)
		ok = ok && isNumber
		numbers[i] = n
	}
	if !ok {
		return nil, errAnswer
	}
	return numbers, nil
}
