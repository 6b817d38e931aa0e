// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Report is what [Verify] found.
type Report struct {
	// Entries is how many entries are good, from the first on.
	Entries uint64
	// Head is the hash of the last good entry, or what entry 1 links to when there is none. Kept elsewhere, beside Entries, it shows later whether the log
	// still begins with the same entries.
	Head [32]byte
	// Problem tells what is wrong, and is empty when nothing is.
	Problem string
	// FirstBad is the number of the first bad entry when there is a problem; 0 is the file's first line, which
	// tells the format. What comes after it was not judged.
	FirstBad uint64
}

// OK tells whether no problem was found.
func (r Report) OK() bool { return r.Problem == "" }

// A writer finishes a line in less than unfinishedWait; what is unfinished for longer was left by a crash or
// cut by hand.
const (
	unfinishedWait = 300 * time.Millisecond
	unfinishedPoll = 10 * time.Millisecond
)

// Verify checks the log in dir from its first line to its last, with nothing but the file. It may run while a
// process writes the log: it judges what was there when it began. A finding is told in the report, also an
// unfinished last line, which [Open] would cut. An error means that the log could not be judged: there is none,
// it cannot be read, ctx ended, or it is of a later version ([ErrNewerFormat]).
func Verify(ctx context.Context, dir string) (Report, error) {
	f, size, err := openFile(dir)
	if err != nil {
		return Report{}, err
	}
	defer f.Close()
	return judge(ctx, f, size)
}

// judge verifies the first size bytes of f, and the rest of a line that they end in.
func judge(ctx context.Context, f io.ReaderAt, size int64) (Report, error) {
	s := newScanner(io.NewSectionReader(f, 0, size))
	return follow(ctx, f, s, s.start())
}

// follow verifies what s has still to read, unless err tells that it has come to an end.
func follow(ctx context.Context, f io.ReaderAt, s *scanner, err error) (Report, error) {
	r := Report{Entries: s.last, Head: s.head}
	for err == nil {
		if s.last%256 == 0 && ctx.Err() != nil {
			return Report{}, fmt.Errorf("ledger: %w", context.Cause(ctx))
		}
		var l line
		l, err = s.next()
		if err == errTorn {
			s, err = settle(ctx, f, s)
			continue
		}
		if err == nil {
			_, err = l.decode()
		}
		if err == nil {
			r.Entries, r.Head = l.index, l.hash
		}
	}
	var broken *BrokenError
	switch {
	case err == io.EOF:
	case err == errTorn && s.offset == 0:
		r.Problem = "the first line is unfinished"
	case err == errTorn:
		r.FirstBad, r.Problem = s.last+1, "the last line is unfinished, as a crash leaves it; opening the log cuts it"
	case errors.As(err, &broken):
		r.FirstBad, r.Problem = broken.Entry, broken.Problem
	default:
		return Report{}, err
	}
	return r, nil
}

// settle waits a moment for the line at which s stands to be finished. It gives a scanner of that one line, or
// errTorn.
func settle(ctx context.Context, f io.ReaderAt, s *scanner) (*scanner, error) {
	tick := time.NewTicker(unfinishedPoll)
	defer tick.Stop()
	b := make([]byte, maxLine)
	for deadline := time.Now().Add(unfinishedWait); time.Now().Before(deadline); {
		n, err := f.ReadAt(b, s.offset)
		if err != nil && err != io.EOF {
			return s, fmt.Errorf("ledger: %w", err)
		}
		for i, c := range b[:n] {
			if c == '\n' {
				return s.resume(io.NewSectionReader(f, s.offset, int64(i)+1)), nil
			}
		}
		if n == len(b) {
			break
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("ledger: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
	return s, errTorn
}
