// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bufio"
	"bytes"
	"context"
	"io"
)

// Of the format, for tests that break it.
const (
	FileName = fileName
	Header   = header
	MaxEvent = maxEvent
)

// Link is the hash of an entry.
var Link = link

// AppendLine writes an entry's line.
var AppendLine = appendLine

// Genesis is what entry 1 links to.
var Genesis = genesis

// ParsedLine is what parseLine reads.
type ParsedLine struct {
	Index      uint64
	Prev, Hash [32]byte
	Event      []byte
}

// ParseLine reads a line without its line feed.
func ParseLine(b []byte) (ParsedLine, bool) {
	l, problem := parseLine(b)
	return ParsedLine{l.index, l.prev, l.hash, l.event}, problem == ""
}

// OnSync calls f before each sync; an error of f is the sync's. Call it before the log is shared.
func (l *Log) OnSync(f func() error) {
	sync := l.sync
	l.sync = func() error {
		if err := f(); err != nil {
			return err
		}
		return sync()
	}
}

// OnWrite puts f in the place of the write.
func (l *Log) OnWrite(f func([]byte) (int, error)) { l.write = f }

// Waiting tells how many events wait for their write.
func (l *Log) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// Head is the hash of the last entry on disk.
func (l *Log) Head() [32]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// VerifyBytes is Verify for a log in memory.
func VerifyBytes(content []byte) (Report, error) {
	return judge(context.Background(), bytes.NewReader(content), int64(len(content)))
}

// A Place is where a verification of a good log stands after some of its entries. The places of one log are for
// one goroutine.
type Place struct {
	s *scanner
	r *bufio.Reader
}

// Places verifies a log and gives the place before each entry and the one after the last.
func Places(content []byte) (list []Place, err error) {
	r := bufio.NewReaderSize(nil, maxLine)
	s := newScanner(bytes.NewReader(content))
	for err = s.start(); err == nil; _, err = s.next() {
		list = append(list, Place{s.resume(nil), r})
	}
	return list, err
}

// VerifyOn is VerifyBytes for a log that is known to be good up to p.
func (p Place) VerifyOn(content []byte) (Report, error) {
	r := bytes.NewReader(content)
	s := *p.s
	s.r = p.r
	s.r.Reset(io.NewSectionReader(r, s.offset, int64(len(content))-s.offset))
	return follow(context.Background(), r, &s, nil)
}
