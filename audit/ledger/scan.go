// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// errTorn says that the file ends within a line.
var errTorn = errors.New("ledger: the last line is unfinished")

// scanner goes through a log from its start and checks that each line follows the one before.
type scanner struct {
	r      *bufio.Reader
	last   uint64   // number of the last good entry
	head   [32]byte // its hash
	offset int64    // end of the last good line
}

func newScanner(r io.Reader) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, maxLine), head: genesis}
}

// resume gives a scanner that goes on with another reader of the same file, which stands at s.offset.
func (s *scanner) resume(r io.Reader) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, maxLine), last: s.last, head: s.head, offset: s.offset}
}

// start reads the file's first line. It returns [errTorn] for a file that ends within it.
func (s *scanner) start() error {
	first, err := s.read()
	if err == io.EOF || err == errTorn && strings.HasPrefix(header, string(first)) {
		return errTorn
	}
	if err == errTorn || err == bufio.ErrBufferFull {
		return &BrokenError{Problem: notALog}
	}
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	kept := string(first) // Peek moves what first points to
	second, _ := s.r.Peek(256)
	if err := checkHeader([]byte(kept), second); err != nil {
		return err
	}
	s.offset = int64(len(header))
	return nil
}

// next reads the next entry. It returns io.EOF at the end, [errTorn] when the file ends within the line, and a
// *BrokenError when the line is not the one that follows. The line is good until the next call.
func (s *scanner) next() (line, error) {
	number := s.last + 1
	b, err := s.read()
	if err == bufio.ErrBufferFull {
		return line{}, &BrokenError{Entry: number, Problem: "the line is too long"}
	}
	if err == io.EOF || err == errTorn {
		return line{}, err
	}
	if err != nil {
		return line{}, fmt.Errorf("ledger: %w", err)
	}
	l, problem := parseLine(b[:len(b)-1])
	switch {
	case problem != "":
	case l.index != number:
		problem = "another entry stands in its place"
	case l.prev != s.head:
		problem = "it is not linked to the entry before it"
	}
	if problem != "" {
		return line{}, &BrokenError{Entry: number, Problem: problem}
	}
	s.last, s.head = number, l.hash
	s.offset += int64(len(b))
	return l, nil
}

// read gives the next line with its line feed, or the rest of the file with errTorn.
func (s *scanner) read() ([]byte, error) {
	b, err := s.r.ReadSlice('\n')
	if err == io.EOF && len(b) > 0 {
		return b, errTorn
	}
	return b, err
}
