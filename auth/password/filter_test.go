// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/portalsec/portalsec/auth/internal/breached"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

const commonPath = "common/common.filter"

// commonList gives the passwords that the embedded filter was made from: see common/README.md.
func commonList(t testing.TB) []string {
	t.Helper()
	f, err := os.Open("testdata/common.txt.gz")
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	list := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	require.Len(t, list, 110_000)
	return list
}

// The figures of common/README.md and of docs/passwords.md (ASVS 6.2.4: at least 3,000 that fit the policy).
func TestCommonList(t *testing.T) {
	t.Parallel()
	fit8, fit15 := 0, 0
	for _, pw := range commonList(t) {
		require.True(t, utf8.ValidString(pw), "%q", pw)
		require.Equal(t, strings.ToLower(pw), pw)
		if n := utf8.RuneCountInString(pw); n >= 8 {
			fit8++
			if n >= 15 {
				fit15++
			}
		}
	}
	require.Equal(t, 110_000, fit8)
	require.Equal(t, 9_751, fit15)
	info, err := os.Stat(commonPath)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(256<<10))
}

// The policy refuses each password of the list, in whatever case.
func TestCommonMissesNone(t *testing.T) {
	t.Parallel()
	list := commonList(t)
	f, err := password.OpenFilter(commonPath)
	require.NoError(t, err)
	require.Equal(t, len(list), f.Len())
	for _, pw := range list {
		require.True(t, f.Contains(pw), pw)
		require.True(t, f.Contains(strings.ToUpper(pw)), pw)
	}
	p, err := password.NewPolicy(password.PolicyConfig{SecondFactor: true})
	require.NoError(t, err)
	for i := 0; i < len(list); i += 101 {
		require.Equal(t, []password.Code{password.CommonPassword}, codes(t, p.Check(t.Context(), list[i])), list[i])
	}
}

// The same list gives the same file, byte for byte.
func TestCommonIsReproducible(t *testing.T) {
	t.Parallel()
	var keys []uint64
	_, err := breached.ReadList(strings.NewReader(strings.Join(commonList(t), "\n")), breached.Rules{MinLength: 8, MaxBytes: password.MaxBytes},
		func(key uint64) error { keys = append(keys, key); return nil })
	require.NoError(t, err)
	f, err := breached.Build(keys)
	require.NoError(t, err)
	var made bytes.Buffer
	_, err = f.WriteTo(&made)
	require.NoError(t, err)
	want, err := os.ReadFile(commonPath)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, made.Bytes()))
}

// Of others one in 65,536 is found, or one in 32,768 of those with capitals. The passwords are fixed, so that chance has no
// part in the outcome.
func TestCommonFalseHits(t *testing.T) {
	t.Parallel()
	f, err := password.OpenFilter(commonPath)
	require.NoError(t, err)
	const n = 1 << 21
	lower, upper := 0, 0
	for i := range n {
		if f.Contains(fmt.Sprintf("nobody has %d", i)) {
			lower++
		}
		if f.Contains(fmt.Sprintf("Nobody has %d", i)) {
			upper++
		}
	}
	t.Logf("%d and %d of %d", lower, upper, n) // 32 and 64 are expected
	require.InDelta(t, 32, lower, 24)
	require.InDelta(t, 64, upper, 34)
}

func TestOpenFilterRefuses(t *testing.T) {
	t.Parallel()
	_, err := password.OpenFilter(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	name := filepath.Join(t.TempDir(), "damaged")
	whole, err := os.ReadFile(commonPath)
	require.NoError(t, err)
	whole[100] ^= 1
	require.NoError(t, os.WriteFile(name, whole, 0o600))
	_, err = password.OpenFilter(name)
	require.ErrorContains(t, err, "password: "+name)
	require.ErrorContains(t, err, "checksum")
}

func BenchmarkFilter(b *testing.B) {
	f, err := password.OpenFilter(commonPath)
	require.NoError(b, err)
	for _, pw := range []string{"correct horse battery staple", "Correct Horse Battery Staple", "passwordpassword"} {
		b.Run(strings.Fields(pw)[0], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.Contains(pw)
			}
		})
	}
}
