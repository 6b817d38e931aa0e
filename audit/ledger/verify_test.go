// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/stretchr/testify/require"
)

// slowVerify checks a log as the package comment describes the format, with JSON decoded loosely and nothing
// shared with the package.
func slowVerify(t *testing.T, content []byte) (entries uint64, head string) {
	t.Helper()
	lines := strings.SplitAfter(strings.TrimSuffix(string(content), "\n"), "\n")
	sum := sha256.Sum256([]byte(lines[0]))
	head = hex.EncodeToString(sum[:])
	for _, text := range lines[1:] {
		var l struct {
			I          uint64
			Prev, Hash string
			Event      json.RawMessage
		}
		require.NoError(t, json.Unmarshal([]byte(text), &l))
		entries++
		require.Equal(t, entries, l.I)
		require.Equal(t, head, l.Prev)
		prev, err := hex.DecodeString(l.Prev)
		require.NoError(t, err)
		h := sha256.New()
		require.NoError(t, binary.Write(h, binary.BigEndian, uint64(24)))
		h.Write([]byte("portalsec audit entry v1"))
		require.NoError(t, binary.Write(h, binary.BigEndian, l.I))
		h.Write(prev)
		require.NoError(t, binary.Write(h, binary.BigEndian, uint64(len(l.Event))))
		h.Write(l.Event)
		head = hex.EncodeToString(h.Sum(nil))
		require.Equal(t, head, l.Hash)
	}
	return entries, head
}

func TestFormatIsAsDocumented(t *testing.T) {
	t.Parallel()
	dir, content := closed(t, 20)
	entries, head := slowVerify(t, content)
	r := verify(t, dir)
	require.True(t, r.OK())
	require.Equal(t, entries, r.Entries)
	require.Equal(t, head, hex.EncodeToString(r.Head[:]))
}

// A log written by the first version, byte for byte: later versions must read it.
func TestFirstVersionIsRead(t *testing.T) {
	t.Parallel()
	r := verify(t, filepath.Join("testdata", "v1"))
	require.Empty(t, r.Problem)
	require.EqualValues(t, 3, r.Entries)
	require.Equal(t, "da39635b1a25f3525fb5d6354a3f9e39ef49e1ea4af1305e6f5fdc4729fad52f", hex.EncodeToString(r.Head[:]))
	entries, err := ledger.Read(t.Context(), filepath.Join("testdata", "v1"), ledger.Query{Tenant: "acme"})
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

// place gives the number of the entry that each byte of a log belongs to, 0 for the first line.
func place(content []byte, offset int) uint64 {
	return uint64(bytes.Count(content[:offset], []byte("\n")))
}

func TestVerifyFindsEveryFlippedByte(t *testing.T) {
	t.Parallel()
	dir, whole := closed(t, 199)
	require.Equal(t, uint64(200), verify(t, dir).Entries)
	places, err := ledger.Places(whole)
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, places, 201)

	masks := []byte{0x01, 0x20, 0xff} // a digit to its neighbour, a letter to its other case, all bits
	content := bytes.Clone(whole)
	for i := range whole {
		content[i] ^= masks[i%len(masks)]
		entry := place(whole, i)
		var r ledger.Report
		// What stands before the entry is verified again for some bytes only: for each it would take minutes.
		if entry == 0 || i%499 == 0 {
			r, err = ledger.VerifyBytes(content)
		} else {
			r, err = places[entry-1].VerifyOn(content)
		}
		want := max(entry, 1) - 1
		if err != nil || r.OK() || r.FirstBad != entry || r.Entries != want {
			t.Fatalf("byte %d of entry %d changed: %+v, %v", i, entry, r, err)
		}
		content[i] = whole[i]
	}
}

// The same on files, for some bytes of each part of a line and every mask.
func TestVerifyFindsAFlippedBitOnDisk(t *testing.T) {
	t.Parallel()
	dir, whole := closed(t, 3)
	for i := 0; i < len(whole); i += 11 {
		for bit := range 8 {
			content := bytes.Clone(whole)
			content[i] ^= 1 << bit
			write(t, dir, content)
			r := verify(t, dir)
			require.False(t, r.OK(), "bit %d of byte %d", bit, i)
			require.Equal(t, place(whole, i), r.FirstBad, "bit %d of byte %d", bit, i)
		}
	}
	content := bytes.Clone(whole)
	content[len(content)-1] = ' '
	write(t, dir, content)
	r := verify(t, dir)
	require.EqualValues(t, 4, r.FirstBad)
	require.Contains(t, r.Problem, "unfinished")
}

func TestVerifyFindsWhatWasDone(t *testing.T) {
	t.Parallel()
	_, whole := closed(t, 9)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	lines = lines[:len(lines)-1] // what follows the last line feed
	for _, tc := range []struct {
		name  string
		order []int // of the lines; 0 is the first line of the file
		bad   uint64
	}{
		{"an entry removed", []int{0, 1, 2, 4, 5}, 3},
		{"the first entries removed", []int{0, 3, 4}, 1},
		{"two entries exchanged", []int{0, 1, 3, 2, 4}, 2},
		{"an entry twice", []int{0, 1, 2, 2, 3}, 3},
		{"the first line twice", []int{0, 0, 1, 2}, 1},
		{"the first line removed", []int{1, 2, 3}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var content []byte
			for _, i := range tc.order {
				content = append(content, lines[i]...)
			}
			dir := t.TempDir()
			write(t, dir, content)
			r := verify(t, dir)
			require.False(t, r.OK())
			require.Equal(t, tc.bad, r.FirstBad)
		})
	}
}

// An entry with a right hash of its own, but put in the place of another one.
func TestVerifyFindsAnEntryHashedAnew(t *testing.T) {
	t.Parallel()
	dir, whole := closed(t, 9)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	old, ok := ledger.ParseLine(bytes.TrimSuffix(lines[5], []byte("\n")))
	require.True(t, ok)
	forged := bytes.Replace(old.Event, []byte("u3"), []byte("u4"), 1)
	require.NotEqual(t, string(old.Event), string(forged))
	hash := ledger.Link(old.Index, old.Prev, forged)
	lines[5] = ledger.AppendLine(nil, old.Index, old.Prev, hash, forged)
	write(t, dir, bytes.Join(lines, nil))
	r := verify(t, dir)
	require.EqualValues(t, 6, r.FirstBad, "the entry after it betrays the change")
	require.Contains(t, r.Problem, "not linked")
	require.EqualValues(t, 5, r.Entries)
}

func TestVerifyFindsAnEntryThatIsNoEvent(t *testing.T) {
	t.Parallel()
	for _, event := range []string{`"text"`, `{`, ``, `{"v":"one"}`, `{}{}`} {
		dir := t.TempDir()
		hash := ledger.Link(1, ledger.Genesis, []byte(event))
		write(t, dir, ledger.AppendLine([]byte(ledger.Header), 1, ledger.Genesis, hash, []byte(event)))
		r := verify(t, dir)
		require.False(t, r.OK(), event)
		require.EqualValues(t, 1, r.FirstBad)
		require.Zero(t, r.Entries)
		require.Equal(t, ledger.Genesis, r.Head)
	}
}

// The end of a log can be cut off without a trace in the file: the head that was kept elsewhere shows it.
func TestVerifyTellsTheHeadToCompare(t *testing.T) {
	t.Parallel()
	dir, whole := closed(t, 5)
	before := verify(t, dir)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	write(t, dir, bytes.Join(lines[:len(lines)-2], nil))
	after := verify(t, dir)
	require.True(t, after.OK())
	require.Less(t, after.Entries, before.Entries)
	require.NotEqual(t, before.Head, after.Head)
}

func TestVerifyCannotJudge(t *testing.T) {
	t.Parallel()
	_, err := ledger.Verify(t.Context(), filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)

	dir, _ := closed(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = ledger.Verify(ctx, dir)
	require.ErrorIs(t, err, context.Canceled)
}

func TestVerifyAlwaysGivesAVerdict(t *testing.T) {
	t.Parallel()
	_, whole := closed(t, 2)
	for name, tc := range map[string]struct {
		content string
		bad     uint64
	}{
		"empty":                 {"", 0},
		"zeros":                 {strings.Repeat("\x00", 1<<20), 0},
		"line feeds":            {strings.Repeat("\n", 1<<20), 0},
		"zeros after the end":   {string(whole) + strings.Repeat("\x00", 1<<20), 4},
		"a huge line":           {string(whole) + strings.Repeat("x", 1<<22) + "\n", 4},
		"an empty line":         {string(whole) + "\n", 4},
		"a huge number":         {string(whole) + `{"i":` + strings.Repeat("9", 1<<16), 4},
		"carriage returns":      {strings.ReplaceAll(string(whole), "\n", "\r\n"), 0},
		"a byte order mark":     {"\ufeff" + string(whole), 0},
		"only the first line":   {ledger.Header, 99},
		"text after the end":    {string(whole) + "note to self\n", 4},
		"spaces after an entry": {strings.TrimSuffix(string(whole), "\n") + " \n", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, []byte(tc.content))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			r, err := ledger.Verify(ctx, dir)
			require.NoError(t, err)
			if tc.bad == 99 {
				require.Equal(t, ledger.Report{Head: ledger.Genesis}, r, "a log without entries is whole")
				return
			}
			require.False(t, r.OK())
			require.Equal(t, tc.bad, r.FirstBad, r.Problem)
		})
	}
}

// A reader may come between the parts of a write.
func TestVerifyWaitsForALineThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	dir, whole := closed(t, 5)
	write(t, dir, whole[:len(whole)-50])
	done := make(chan ledger.Report)
	go func() {
		r, err := ledger.Verify(context.WithoutCancel(t.Context()), dir)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	f, err := os.OpenFile(filepath.Join(dir, ledger.FileName), os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Write(whole[len(whole)-50:])
	require.NoError(t, err)
	require.Equal(t, verify(t, dir), <-done)
}
