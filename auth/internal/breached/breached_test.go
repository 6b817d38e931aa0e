// SPDX-License-Identifier: Apache-2.0

package breached_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/portalsec/portalsec/auth/internal/breached"
	"github.com/stretchr/testify/require"
)

func keys(n int) []uint64 {
	ks := make([]uint64, n)
	for i := range ks {
		ks[i] = breached.Key(fmt.Sprint("password ", i))
	}
	return ks
}

func encode(t testing.TB, f *breached.Filter) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := f.WriteTo(&b)
	require.NoError(t, err)
	require.EqualValues(t, b.Len(), n)
	return b.Bytes()
}

func TestKey(t *testing.T) {
	t.Parallel()
	sum := sha1.Sum([]byte("password"))
	require.Equal(t, "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8", hex.EncodeToString(sum[:])) // as published everywhere
	require.Equal(t, uint64(0x5baa61e4c9b93f3f), breached.Key("password"))
}

// Every size from one entry finds all its entries, and next to no others. A set is the slow twin.
func TestBuild(t *testing.T) {
	t.Parallel()
	sizes := []int{1, 2, 3, 4, 5, 7, 10, 31, 100, 333, 1000, 4097, 50_000}
	if !testing.Short() {
		sizes = append(sizes, 1_000_000)
	}
	others := keys(1_200_000)[1_000_000:]
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			ks := keys(n)
			f, err := breached.Build(slices.Clone(ks))
			require.NoError(t, err)
			require.Equal(t, n, f.Len())
			for _, k := range ks {
				require.True(t, f.Contains(k))
			}
			hits := 0
			for _, k := range others {
				if f.Contains(k) {
					hits++
				}
			}
			require.LessOrEqual(t, hits, 12, "3 of 200,000 are expected")
			size := len(encode(t, f))
			if n >= 100 {
				require.Less(t, float64(size)/float64(n), 5.0)
			}
			if n >= 50_000 {
				require.Less(t, float64(size)/float64(n), 2.6)
			}
		})
	}
}

// A quarter of what is asked by chance is found by a fingerprint of two bits: see that all sixteen count.
func TestFalseHitsAreRare(t *testing.T) {
	t.Parallel()
	f, err := breached.Build(keys(1000))
	require.NoError(t, err)
	const n = 1 << 21
	hits := 0
	for i := range uint64(n) {
		if f.Contains(i * 0x9e3779b97f4a7c15) {
			hits++
		}
	}
	require.InDelta(t, n>>16, hits, 24) // 32 are expected, with a deviation of 5.7
}

func TestBuildIsDeterministic(t *testing.T) {
	t.Parallel()
	ks := keys(5000)
	a, err := breached.Build(slices.Clone(ks))
	require.NoError(t, err)
	slices.Reverse(ks)
	b, err := breached.Build(append(ks, ks[:100]...))
	require.NoError(t, err)
	require.Equal(t, 5000, b.Len())
	require.True(t, bytes.Equal(encode(t, a), encode(t, b)))
	_, err = breached.Build(nil)
	require.ErrorContains(t, err, "no passwords")
}

func TestParse(t *testing.T) {
	t.Parallel()
	ks := keys(300)
	f, err := breached.Build(slices.Clone(ks))
	require.NoError(t, err)
	data := encode(t, f)
	name := filepath.Join(t.TempDir(), "good")
	require.NoError(t, os.WriteFile(name, data, 0o600))
	opened, err := breached.Open(name)
	require.NoError(t, err)
	parsed, err := breached.Parse(data)
	require.NoError(t, err)
	for _, g := range []*breached.Filter{opened, parsed} {
		for _, k := range ks {
			require.True(t, g.Contains(k))
		}
		require.Equal(t, data, encode(t, g))
	}
}

// Each damage is refused by Parse and by Open, in the same words, with its place.
func TestParseRefused(t *testing.T) {
	t.Parallel()
	f, err := breached.Build(keys(300))
	require.NoError(t, err)
	good := encode(t, f)
	edit := func(at int, v uint32) []byte {
		b := slices.Clone(good)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":               {nil, "at byte 0: the file ends within its header"},
		"half a header":       {good[:20], "at byte 20: the file ends within its header"},
		"a list":              {[]byte(strings.Repeat("password\n", 100)), `at byte 0: it does not begin with "PSFILTER"`},
		"next version":        {edit(8, 2), "at byte 8: version 2"},
		"entries past slots":  {edit(12, 1<<31), "at byte 12: 2147483648 entries"},
		"segment of zero":     {edit(24, 0), "at byte 24: segment length 0"},
		"segment of three":    {edit(24, 3), "at byte 24: segment length 3"},
		"segment of 4 GiB":    {edit(24, 1<<31), "at byte 24: segment length"},
		"no segments":         {edit(28, 0), "at byte 28: 0 segments"},
		"segments of 4 GiB":   {edit(28, 1<<32-1), "at byte 28: 4294967295 segments"},
		"more than there are": {edit(28, binary.LittleEndian.Uint32(good[28:])+1), fmt.Sprintf("at byte %d: the file ends here", len(good))},
		"cut":                 {good[:len(good)-1], fmt.Sprintf("at byte %d: the file ends here", len(good)-1)},
		"longer":              {append(slices.Clone(good), 0), fmt.Sprintf("at byte %d: the file ends here", len(good)+1)},
		"other seed":          {edit(16, 7), "the checksum is not that of the file"},
		"a bit in the middle": {edit(len(good)/2, 7), "the checksum is not that of the file"},
		"a bit of the sum":    {edit(len(good)-4, 7), fmt.Sprintf("at byte %d: the checksum", len(good)-32)},
	} {
		_, err := breached.Parse(c.data)
		require.ErrorIs(t, err, breached.ErrFormat, name)
		require.ErrorContains(t, err, c.want, name)
		file := filepath.Join(t.TempDir(), "bad")
		require.NoError(t, os.WriteFile(file, c.data, 0o600))
		_, fileErr := breached.Open(file)
		require.ErrorIs(t, fileErr, breached.ErrFormat, name)
		require.EqualError(t, fileErr, file+": "+err.Error(), name)
	}
	_, err = breached.Open(t.TempDir())
	require.Error(t, err, "a folder")
}

func TestReadList(t *testing.T) {
	t.Parallel()
	const one, two = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8", "7c4a8d09ca3762af61e59520943dc26494f8941b" // password, 123456
	rules := breached.Rules{MinLength: 8, MaxBytes: 20, MinCount: 10}
	for name, c := range map[string]struct {
		text    string
		want    []uint64
		skipped int
		err     string
	}{
		"nothing":             {"", nil, 0, ""},
		"plain":               {"password\nPASSWORD1\r\n\n  spaces  ", []uint64{breached.Key("password"), breached.Key("password1"), breached.Key("  spaces  ")}, 0, ""},
		"too short, too long": {"seven77\n床前明月光疑是\nthis one is longer than twenty bytes\n\xff\xfe latin 1\npassword", []uint64{breached.Key("password")}, 4, ""},
		"hashes":              {one + "\n" + two + "\n", []uint64{0x5baa61e4c9b93f3f, 0x7c4a8d09ca3762af}, 0, ""},
		"hashes with counts":  {one + ":10\r\n" + two + ":9\r\n", []uint64{0x5baa61e4c9b93f3f}, 1, ""},
		"spaces at the count": {one + ":10  \n", []uint64{0x5baa61e4c9b93f3f}, 0, ""},
		"a hash among words":  {"password\n" + one, []uint64{breached.Key("password")}, 1, ""},
		"a word among hashes": {one + "\n\npassword", []uint64{0x5baa61e4c9b93f3f}, 0, "line 3: not a SHA-1"},
		"no count":            {one + ":\n", nil, 0, `line 1: "" is not how often`},
		"bad count":           {one + ":1\n" + two + ":-1\n", nil, 1, `line 2: "-1" is not how often`},
		"a very long line":    {"password\n" + strings.Repeat("x", 1<<20), []uint64{breached.Key("password")}, 0, "line 2: bufio.Scanner: token too long"},
	} {
		var got []uint64
		skipped, err := breached.ReadList(strings.NewReader(c.text), rules, func(k uint64) error { got = append(got, k); return nil })
		require.Equal(t, c.want, got, name)
		require.Equal(t, c.skipped, skipped, name)
		if c.err == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, c.err, name)
		}
	}
	stop := errors.New("stop")
	_, err := breached.ReadList(strings.NewReader("password\npassword1\n"), rules, func(uint64) error { return stop })
	require.ErrorIs(t, err, stop)
}

// What is read as a filter is written as it was, and answers anything without falling over.
func FuzzParse(f *testing.F) {
	for _, n := range []int{1, 50} {
		filter, err := breached.Build(keys(n))
		require.NoError(f, err)
		f.Add(encode(f, filter), uint64(7))
	}
	f.Add([]byte("PSFILTER"), uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, key uint64) {
		filter, err := breached.Parse(data)
		if err != nil {
			require.ErrorIs(t, err, breached.ErrFormat)
			return
		}
		filter.Contains(key)
		require.Equal(t, data, encode(t, filter))
	})
}

// Any list gives a filter that holds each line which the rules let through.
func FuzzReadList(f *testing.F) {
	f.Add("password\nPÄSSWORD\n\nshort\n")
	f.Add("5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:3\n7c4a8d09ca3762af61e59520943dc26494f8941b\n")
	f.Add("\r\n\xff\n")
	f.Fuzz(func(t *testing.T, text string) {
		var got []uint64
		_, err := breached.ReadList(strings.NewReader(text), breached.Rules{MinLength: 8, MaxBytes: 1024}, func(k uint64) error {
			got = append(got, k)
			return nil
		})
		if err != nil || len(got) == 0 {
			return
		}
		filter, err := breached.Build(slices.Clone(got))
		require.NoError(t, err)
		require.LessOrEqual(t, len(got), strings.Count(text, "\n")+1)
		for _, k := range got {
			require.True(t, filter.Contains(k))
		}
	})
}
