// SPDX-License-Identifier: Apache-2.0

package breached

import (
	"crypto/fips140"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
)

const (
	magic      = "PSFILTER"
	version    = 1
	headerSize = 32
	sumSize    = sha256.Size
	// maxSegment is the segment length past which larger ones only cost cache misses.
	maxSegment = 1 << 18
	// maxSlots bounds a file to 4 GiB, which is 1.9 thousand million passwords: twice what has ever been published.
	maxSlots = 1 << 31
)

// ErrFormat says that a file is no filter, or a damaged one. The error that wraps it says what and where.
var ErrFormat = errors.New("not a filter of passwords")

// Filter is a set of passwords. It may be used by several goroutines.
type Filter struct {
	entries  uint32
	seed     uint64
	segment  uint32
	segments uint32
	prints   []byte // two for each slot, as in the file: so that nothing is copied
}

// Key gives what a password is known by.
func Key(pw string) (key uint64) {
	// Strict FIPS mode forbids SHA-1 for security, and this is none: see the package comment.
	fips140.WithoutEnforcement(func() {
		sum := sha1.Sum([]byte(pw))
		key = binary.BigEndian.Uint64(sum[:])
	})
	return key
}

// Len gives the number of passwords in the filter.
func (f *Filter) Len() int { return int(f.entries) }

// Contains tells whether the filter was made with key. It errs for one in 65,536 of the keys that it was not made with,
// and never for the others.
func (f *Filter) Contains(key uint64) bool {
	h := mix(key + f.seed)
	a, b, c := places(h, f.segment, f.segments)
	return fingerprint(h)^f.print(a)^f.print(b)^f.print(c) == 0
}

func (f *Filter) print(slot uint32) uint16 { return binary.LittleEndian.Uint16(f.prints[2*int(slot):]) }

// mix is the finalizer of MurmurHash3.
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func fingerprint(h uint64) uint16 { return uint16(h ^ h>>32) }

// places gives the three slots of a hash. They lie in three segments that follow each other.
func places(h uint64, segment, segments uint32) (a, b, c uint32) {
	first, _ := bits.Mul64(h, uint64(segment)*uint64(segments))
	a = uint32(first)
	b = (a + segment) ^ uint32(h>>18)&(segment-1)
	c = (a + 2*segment) ^ uint32(h)&(segment-1)
	return a, b, c
}

// Parse reads a filter and keeps data, which must not be changed afterwards.
func Parse(data []byte) (*Filter, error) {
	bad := func(at int, format string, args ...any) error {
		return fmt.Errorf("%w: at byte %d: %s", ErrFormat, at, fmt.Sprintf(format, args...))
	}
	if len(data) < headerSize {
		return nil, bad(len(data), "the file ends within its header of %d bytes", headerSize)
	}
	f, slots, err := parseHeader(data[:headerSize])
	if err != nil {
		return nil, err
	}
	if want := headerSize + 2*slots + sumSize; uint64(len(data)) != want {
		return nil, bad(len(data), "the file ends here, but its header tells of %d bytes", want)
	}
	end := len(data) - sumSize
	if sum := sha256.Sum256(data[:end]); sum != [sumSize]byte(data[end:]) {
		return nil, bad(end, "the checksum is not that of the file")
	}
	f.prints = data[headerSize:end]
	return f, nil
}

// parseHeader gives a filter without its fingerprints, and how many of them there are.
func parseHeader(h []byte) (f *Filter, slots uint64, err error) {
	bad := func(at int, format string, args ...any) (*Filter, uint64, error) {
		return nil, 0, fmt.Errorf("%w: at byte %d: %s", ErrFormat, at, fmt.Sprintf(format, args...))
	}
	if string(h[:8]) != magic {
		return bad(0, "it does not begin with %q", magic)
	}
	if v := binary.LittleEndian.Uint32(h[8:]); v != version {
		return bad(8, "version %d, and only %d is understood", v, version)
	}
	f = &Filter{
		entries: binary.LittleEndian.Uint32(h[12:]), seed: binary.LittleEndian.Uint64(h[16:]),
		segment: binary.LittleEndian.Uint32(h[24:]), segments: binary.LittleEndian.Uint32(h[28:]),
	}
	if f.segment == 0 || f.segment > maxSegment || f.segment&(f.segment-1) != 0 {
		return bad(24, "segment length %d", f.segment)
	}
	slots = (uint64(f.segments) + 2) * uint64(f.segment)
	if f.segments == 0 || slots > maxSlots {
		return bad(28, "%d segments", f.segments)
	}
	if uint64(f.entries) > slots {
		return bad(12, "%d entries in %d slots", f.entries, slots)
	}
	return f, slots, nil
}

// Open reads the filter in a file into memory. It does not use memory for what the file only claims to hold.
func Open(path string) (*Filter, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	header := make([]byte, headerSize)
	if n, err := io.ReadFull(file, header); err != nil {
		return nil, fmt.Errorf("%s: %w: at byte %d: the file ends within its header of %d bytes", path, ErrFormat, n, headerSize)
	}
	_, slots, err := parseHeader(header)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if want := int64(headerSize + 2*slots + sumSize); info.Size() != want {
		return nil, fmt.Errorf("%s: %w: at byte %d: the file ends here, but its header tells of %d bytes", path, ErrFormat, info.Size(), want)
	}
	data := make([]byte, info.Size())
	copy(data, header)
	if _, err := io.ReadFull(file, data[headerSize:]); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// WriteTo writes the filter in the stored format.
func (f *Filter) WriteTo(w io.Writer) (int64, error) {
	h := make([]byte, 0, headerSize)
	h = append(h, magic...)
	h = binary.LittleEndian.AppendUint32(h, version)
	h = binary.LittleEndian.AppendUint32(h, f.entries)
	h = binary.LittleEndian.AppendUint64(h, f.seed)
	h = binary.LittleEndian.AppendUint32(h, f.segment)
	h = binary.LittleEndian.AppendUint32(h, f.segments)
	sum := sha256.New()
	sum.Write(h)
	sum.Write(f.prints)
	var total int64
	for _, part := range [][]byte{h, f.prints, sum.Sum(nil)} {
		n, err := w.Write(part)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
