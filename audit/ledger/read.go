// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/portalsec/portalsec/audit"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// Query chooses entries. What is left empty chooses all, except the tenant.
type Query struct {
	// Tenant chooses the events of one organisation.
	Tenant string
	// AllTenants chooses the events of all organisations and those of none. A query must have either this or
	// Tenant, so that a forgotten tenant shows nothing.
	AllTenants bool
	// NoTenant adds to those of Tenant the events that concern no organisation, such as refused addresses. They are
	// for who runs the portal.
	NoTenant bool
	// Kinds chooses events of any of these kinds.
	Kinds []audit.Kind
	// Actor chooses what one account did, by itself or through a member of staff who acted for it.
	Actor string
	// Before chooses entries with a lower index; 0 begins with the newest. The next page begins before the
	// last entry of this one.
	Before uint64
	// Limit is the most entries to give: 100 when zero, at most 1,000.
	Limit int
}

func (q *Query) check() error {
	switch {
	case q.Tenant == "" && !q.AllTenants:
		return errors.New("ledger: Query.Tenant is required unless AllTenants is set")
	case q.Tenant != "" && q.AllTenants:
		return errors.New("ledger: Query.Tenant and Query.AllTenants exclude each other")
	case q.Limit < 0 || q.Limit > maxLimit:
		return fmt.Errorf("ledger: Query.Limit %d is not between 0 and %d", q.Limit, maxLimit)
	case q.Limit == 0:
		q.Limit = defaultLimit
	}
	return nil
}

func (q *Query) wants(e *audit.Event) bool {
	return (q.AllTenants || e.Tenant == q.Tenant || q.NoTenant && e.Tenant == "") &&
		(len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind)) &&
		(q.Actor == "" || string(e.Actor) == q.Actor || string(e.OnBehalfOf) == q.Actor)
}

// Read gives the entries that q chooses, newest first; none is no error. It checks each line that it passes
// against the one after it, the newest against what this Log wrote, and returns a *[BrokenError] for the first
// that was changed.
func (l *Log) Read(ctx context.Context, q Query) ([]Entry, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	if q.Before == 1 {
		return nil, nil // there is nothing before the first entry
	}
	l.mu.Lock()
	b := backward{r: l.file, index: l.last, hash: l.head, anchored: true, end: l.size}
	closed := l.closed
	// The nearest mark at or above the first entry wanted.
	if q.Before > 0 && q.Before <= l.last {
		if k := (q.Before - 1 + markEvery - 1) / markEvery; k > 0 && k <= uint64(len(l.marks)) {
			m := l.marks[k-1]
			b.index, b.hash, b.end = k*markEvery, m.head, m.offset
		}
	}
	l.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	return b.collect(ctx, q)
}

// Read gives the entries that q chooses from the log in dir, newest first, without holding the log. A last line
// that is being written is left out. It checks each line against the one after it; use [Verify] to check the
// whole log.
func Read(ctx context.Context, dir string, q Query) ([]Entry, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	if q.Before == 1 {
		return nil, nil // there is nothing before the first entry
	}
	f, size, err := openFile(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := newScanner(io.NewSectionReader(f, 0, size)).start(); err != nil {
		if err == errTorn {
			return nil, nil
		}
		return nil, err
	}
	tail := make([]byte, min(size, maxLine+1))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	whole := bytes.LastIndexByte(tail, '\n') + 1
	if whole == 0 {
		return nil, errors.New("ledger: the last line is too long")
	}
	b := backward{r: f, end: size - int64(len(tail)-whole)}
	return b.collect(ctx, q)
}

// openFile opens a log's file for reading and tells its present size.
func openFile(dir string) (*os.File, int64, error) {
	path := filepath.Join(dir, fileName)
	// Asked before opening, because opening a pipe would wait for its other end.
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, fmt.Errorf("ledger: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("ledger: %s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("ledger: %w", err)
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("ledger: %w", err)
	}
	return f, info.Size(), nil
}

// backward goes through a log from an entry's end to its start.
type backward struct {
	r   io.ReaderAt
	end int64 // of the entry to read next
	// index and hash are those that the entry must have, once one is known.
	index    uint64
	hash     [32]byte
	anchored bool
	buf      []byte // the bytes before end
}

func (b *backward) collect(ctx context.Context, q Query) ([]Entry, error) {
	var found []Entry
	for n := 0; len(found) < q.Limit; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return nil, fmt.Errorf("ledger: %w", context.Cause(ctx))
		}
		l, err := b.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if q.Before > 0 && l.index >= q.Before {
			continue
		}
		e, err := l.decode()
		if err != nil {
			return nil, err
		}
		if q.wants(&e.Event) {
			found = append(found, e)
		}
	}
	return found, nil
}

// next reads the entry that ends at b.end. It returns io.EOF before the first one.
func (b *backward) next() (line, error) {
	if b.end <= int64(len(header)) {
		if b.anchored && (b.index != 0 || b.hash != genesis) {
			return line{}, &BrokenError{Entry: b.index, Problem: "it is missing"}
		}
		return line{}, io.EOF
	}
	raw, err := b.line()
	if err != nil {
		return line{}, err
	}
	l, problem := parseLine(raw[:len(raw)-1])
	switch {
	case problem == "" && b.anchored && l.index != b.index:
		problem = "another entry stands in its place"
	case problem == "" && b.anchored && l.hash != b.hash:
		problem = "the entry after it is linked to another one"
	case problem == "" && l.index == 0:
		problem = "entries are numbered from 1"
	}
	if problem != "" {
		return line{}, b.broken(problem)
	}
	b.index, b.hash, b.anchored = l.index-1, l.prev, true
	b.end -= int64(len(raw))
	b.buf = b.buf[:len(b.buf)-len(raw)]
	return l, nil
}

// broken names the entry to read next, if its number is known.
func (b *backward) broken(problem string) error {
	if !b.anchored {
		return errors.New("ledger: newest entry: " + problem)
	}
	return &BrokenError{Entry: b.index, Problem: problem}
}

// line gives the bytes of the line that ends at b.end, with its line feed.
func (b *backward) line() ([]byte, error) {
	for {
		if n := len(b.buf); n > 0 {
			// The first line is never reached, so a line feed stands before every line.
			if i := bytes.LastIndexByte(b.buf[:n-1], '\n'); i >= 0 {
				return b.buf[i+1:], nil
			}
		}
		if len(b.buf) > maxLine {
			return nil, b.broken("the line is too long")
		}
		size := min(b.end, int64(len(b.buf)+maxLine))
		if size == int64(len(b.buf)) {
			return nil, b.broken(garbled)
		}
		buf := make([]byte, size)
		if _, err := b.r.ReadAt(buf, b.end-size); err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		b.buf = buf
	}
}
