// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Memory is a [Store] in memory, for tests, and for portals that may forget their letters when they stop.
type Memory struct {
	mu   sync.Mutex
	rows map[string]*row
}

type row struct {
	Record
	lease string
	until time.Time
}

func (r *row) leasedAt(now time.Time) bool { return r.lease != "" && r.until.After(now) }

var _ Store = (*Memory)(nil)

// NewMemory gives an empty store.
func NewMemory() *Memory { return &Memory{rows: make(map[string]*row)} }

// enter locks the store unless ctx has ended.
func (m *Memory) enter(ctx context.Context) (leave func(), err error) {
	m.mu.Lock()
	return m.mu.Unlock, ctx.Err()
}

// AddLetter implements [Store].
func (m *Memory) AddLetter(ctx context.Context, r Record) error {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return err
	}
	if m.rows[r.ID] != nil {
		return errors.New("outbox: the letter's ID is taken")
	}
	r.Sealed = bytes.Clone(r.Sealed)
	m.rows[r.ID] = &row{Record: r}
	return nil
}

// ClaimLetter implements [Store].
func (m *Memory) ClaimLetter(ctx context.Context, lease string, now, until time.Time) (Record, bool, error) {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return Record{}, false, err
	}
	var first *row
	for _, r := range m.rows {
		if !r.Failed.IsZero() || r.Due.After(now) || r.leasedAt(now) {
			continue
		}
		if first == nil || cmp.Or(r.Due.Compare(first.Due), cmp.Compare(r.ID, first.ID)) < 0 {
			first = r
		}
	}
	if first == nil {
		return Record{}, false, nil
	}
	first.lease, first.until = lease, until
	first.Tries++
	r := first.Record
	r.Sealed = bytes.Clone(r.Sealed)
	return r, true, nil
}

// FinishLetter implements [Store].
func (m *Memory) FinishLetter(ctx context.Context, id, lease string) (bool, error) {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return false, err
	}
	if r := m.rows[id]; r == nil || r.lease != lease {
		return false, nil
	}
	delete(m.rows, id)
	return true, nil
}

// ReturnLetter implements [Store].
func (m *Memory) ReturnLetter(ctx context.Context, id, lease string, ret Return) (bool, error) {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return false, err
	}
	r := m.rows[id]
	if r == nil || r.lease != lease {
		return false, nil
	}
	r.lease, r.until = "", time.Time{}
	r.Due, r.Tried, r.Reason, r.Failed = ret.Due, ret.Tried, ret.Reason, ret.Failed
	return true, nil
}

// ReviveLetter implements [Store].
func (m *Memory) ReviveLetter(ctx context.Context, id string, now, expires time.Time) (bool, error) {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return false, err
	}
	r := m.rows[id]
	if r == nil || r.leasedAt(now) {
		return false, nil
	}
	r.Due, r.Expires, r.Tries, r.Failed = now, expires, 0, time.Time{}
	return true, nil
}

// DropLetter implements [Store].
func (m *Memory) DropLetter(ctx context.Context, id string, now time.Time) (bool, error) {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return false, err
	}
	if r := m.rows[id]; r == nil || r.leasedAt(now) {
		return false, nil
	}
	delete(m.rows, id)
	return true, nil
}

// FailedLetters implements [Store].
func (m *Memory) FailedLetters(ctx context.Context, limit int) ([]Record, error) {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return nil, err
	}
	var list []Record
	for _, r := range m.rows {
		if !r.Failed.IsZero() {
			failed := r.Record
			failed.Sealed = nil
			list = append(list, failed)
		}
	}
	slices.SortFunc(list, func(a, b Record) int { return cmp.Or(b.Failed.Compare(a.Failed), cmp.Compare(a.ID, b.ID)) })
	return list[:min(limit, len(list))], nil
}

// CountLetters implements [Store].
func (m *Memory) CountLetters(ctx context.Context) (Counts, error) {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return Counts{}, err
	}
	var c Counts
	var last *row
	for _, r := range m.rows {
		if r.Failed.IsZero() {
			c.Waiting++
			if !r.Tried.IsZero() {
				c.Retrying++
			}
			if c.Oldest.IsZero() || r.Created.Before(c.Oldest) {
				c.Oldest = r.Created
			}
		} else {
			c.Failed++
		}
		if !r.Tried.IsZero() && (last == nil || cmp.Or(last.Tried.Compare(r.Tried), cmp.Compare(last.ID, r.ID)) < 0) {
			last = r
		}
	}
	if last != nil {
		c.Reason = last.Reason
	}
	return c, nil
}

// PruneLetters implements [Store].
func (m *Memory) PruneLetters(ctx context.Context, before time.Time) (int64, error) {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return 0, err
	}
	var n int64
	for id, r := range m.rows {
		if !r.Failed.IsZero() && r.Failed.Before(before) {
			delete(m.rows, id)
			n++
		}
	}
	return n, nil
}
