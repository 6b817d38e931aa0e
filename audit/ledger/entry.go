// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/portalsec/portalsec/audit"
)

const (
	fileName = "audit.log"
	format   = "portalsec-audit-log"
	version  = 1
	header   = `{"format":"portalsec-audit-log","version":1}` + "\n"
	domain   = "portalsec audit entry v1"

	garbled = "the line is garbled"
	notALog = "it is not that of an audit log"

	maxEvent = 64 << 10
	// maxLine bounds what a reader takes for one line: an event and its frame, which has at most 184 bytes.
	maxLine = maxEvent + 256
)

// Entry is one event of the log.
type Entry struct {
	// Index is the entry's number. The first is 1.
	Index uint64
	// Hash covers the entry and, through the link, all before it.
	Hash [32]byte
	// Event is what was recorded.
	Event audit.Event
}

// genesis is what entry 1 links to.
var genesis = sha256.Sum256([]byte(header))

// link computes the hash of an entry. Lengths stand before what varies, so that no two entries share a
// hashed text.
func link(index uint64, prev [32]byte, event []byte) (sum [32]byte) {
	h := sha256.New()
	var b []byte
	b = binary.BigEndian.AppendUint64(b, uint64(len(domain)))
	b = append(b, domain...)
	b = binary.BigEndian.AppendUint64(b, index)
	b = append(b, prev[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(event)))
	h.Write(b)
	h.Write(event)
	h.Sum(sum[:0])
	return sum
}

// The fixed parts of a line.
const (
	frameIndex = `{"i":`
	framePrev  = `,"prev":"`
	frameHash  = `","hash":"`
	frameEvent = `","event":`
	frameEnd   = '}'
)

// appendLine appends an entry's line, with its line feed.
func appendLine(b []byte, index uint64, prev, hash [32]byte, event []byte) []byte {
	b = append(b, frameIndex...)
	b = strconv.AppendUint(b, index, 10)
	b = append(b, framePrev...)
	b = hex.AppendEncode(b, prev[:])
	b = append(b, frameHash...)
	b = hex.AppendEncode(b, hash[:])
	b = append(b, frameEvent...)
	b = append(b, event...)
	return append(b, frameEnd, '\n')
}

// line is a line that is well formed and whose hash is right. Whether it stands in its place is for the
// caller to compare.
type line struct {
	index      uint64
	prev, hash [32]byte
	event      []byte // of the parsed bytes
}

// parseLine reads a line without its line feed. Every byte of it must be as appendLine writes it: a reader
// that was more lenient would let changes pass that the hash does not cover. The problem is empty when it is.
func parseLine(b []byte) (l line, problem string) {
	rest, ok := bytes.CutPrefix(b, []byte(frameIndex))
	number, rest, ok2 := bytes.Cut(rest, []byte(framePrev))
	if !ok || !ok2 || len(number) > 20 {
		return line{}, garbled
	}
	index, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil || strconv.FormatUint(index, 10) != string(number) {
		return line{}, garbled
	}
	l.index = index
	if l.prev, rest, ok = cutHash(rest, frameHash); !ok {
		return line{}, garbled
	}
	if l.hash, rest, ok = cutHash(rest, frameEvent); !ok {
		return line{}, garbled
	}
	if rest, ok = bytes.CutSuffix(rest, []byte{frameEnd}); !ok {
		return line{}, garbled
	}
	if len(rest) > maxEvent {
		return line{}, "the event is larger than 64 KiB"
	}
	l.event = rest
	if link(l.index, l.prev, l.event) != l.hash {
		return line{}, "its content does not have its hash"
	}
	return l, ""
}

// cutHash reads a hash in lower-case hex and the fixed part after it.
func cutHash(b []byte, after string) (hash [32]byte, rest []byte, ok bool) {
	if len(b) < 64 {
		return hash, nil, false
	}
	if _, err := hex.Decode(hash[:], b[:64]); err != nil || bytes.ContainsAny(b[:64], "ABCDEF") {
		return hash, nil, false
	}
	rest, ok = bytes.CutPrefix(b[64:], []byte(after))
	return hash, rest, ok
}

// decode gives the event of a line. A line whose hash is right but whose event is none was not written by
// this package.
func (l line) decode() (Entry, error) {
	e := Entry{Index: l.index, Hash: l.hash}
	if err := json.Unmarshal(l.event, &e.Event); err != nil {
		return Entry{}, &BrokenError{Entry: l.index, Problem: "it holds no event"}
	}
	return e, nil
}

// checkHeader judges a file's first line, given with its line feed. A line that names a higher version may be
// a newer program's or a changed byte: only the former has a first entry that links elsewhere.
func checkHeader(first []byte, second []byte) error {
	if string(first) == header {
		return nil
	}
	var h struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	linked := strings.Contains(string(second), framePrev+hex.EncodeToString(genesis[:]))
	if json.Unmarshal(first, &h) == nil && h.Format == format && h.Version > version && !linked {
		return fmt.Errorf("%w (format %d, this one reads up to %d)", ErrNewerFormat, h.Version, version)
	}
	return &BrokenError{Problem: notALog}
}
