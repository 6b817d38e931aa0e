// SPDX-License-Identifier: Apache-2.0

package breached

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxLine bounds a line of a list, in bytes. A password has at most 1024, and what follows a hash is a number.
const maxLine = 4096

// Rules say which entries of a list are worth a place.
type Rules struct {
	// MinLength is the least number of characters. It cannot hold for hashes.
	MinLength int
	// MaxBytes is the greatest length in bytes.
	MaxBytes int
	// MinCount is how often a hash must have been seen. Hashes without a number are taken.
	MinCount uint64
}

// ReadList reads a list with one entry on each line and gives the key of each to take, in their order. An entry
// is a password, or the SHA-1 of one in 40 hexadecimal digits with or without a colon and a number, as Have I Been
// Pwned publishes them; the first entry tells which, and a hash list must then hold nothing else. Passwords are changed to lower case, as
// [Fold] does. Empty lines are passed over, and so are passwords that break the rules; skipped tells
// how many. The error tells the line.
func ReadList(r io.Reader, rules Rules, take func(key uint64) error) (skipped int, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	hashes, first := false, true
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		if len(line) == 0 {
			continue
		}
		key, count, isHash, err := parseHash(line)
		if first {
			first, hashes = false, isHash
		}
		ok := true
		switch {
		case hashes && !isHash:
			return skipped, fmt.Errorf("line %d: not a SHA-1 in hexadecimal, and the lines before are", n)
		case hashes && err != nil:
			return skipped, fmt.Errorf("line %d: %w", n, err)
		case hashes:
			ok = count >= rules.MinCount
		default:
			ok = utf8.Valid(line) && len(line) <= rules.MaxBytes && utf8.RuneCount(line) >= rules.MinLength
			key = Key(Fold(string(line)))
		}
		if !ok {
			skipped++
			continue
		}
		if err := take(key); err != nil {
			return skipped, err
		}
	}
	if err := lines.Err(); err != nil {
		return skipped, fmt.Errorf("line %d: %w", n+1, err)
	}
	return skipped, nil
}

// Fold gives the form in which passwords of a plain list are known: in lower case.
func Fold(pw string) string { return strings.ToLower(pw) }

// parseHash reads a SHA-1 with or without a count. A hash without one counts as seen very often.
func parseHash(line []byte) (key, count uint64, isHash bool, err error) {
	const digits = 40
	if len(line) < digits || len(line) > digits && line[digits] != ':' {
		return 0, 0, false, nil
	}
	var sum [digits / 2]byte
	if _, err := hex.Decode(sum[:], line[:digits]); err != nil {
		return 0, 0, false, nil
	}
	key, count = binary.BigEndian.Uint64(sum[:]), ^uint64(0)
	if len(line) > digits {
		text := strings.TrimSpace(string(line[digits+1:]))
		if count, err = strconv.ParseUint(text, 10, 64); err != nil {
			return 0, 0, true, fmt.Errorf("%q is not how often a hash was seen", text)
		}
	}
	return key, count, true, nil
}
