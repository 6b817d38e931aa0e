// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"crypto/sha256"
	"encoding/base32"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

func TestEstimate(t *testing.T) {
	t.Parallel()
	about := []string{"jan.jansen@example.com", "Roadrunner"}
	for pw, c := range map[string]struct {
		score int
		hint  string
	}{
		"":                             {0, "Add a word"},
		"a":                            {0, "Add a word"},
		"password":                     {0, "many people use"},
		"Password1":                    {0, "many people use"},
		"aaaaaaaaaaaaaaaa":             {0, "repeat"},
		"passwordpassword":             {0, "repeat"},
		"abcdefghijklmnop":             {0, "sequences"},
		"98765432109876":               {0, "sequences"},
		"tjansenRoadrunner":            {0, "your name"},
		"qzkv8superman":                {1, "many people use"},
		"19841985":                     {0, ""},
		"xkqjzvbwpmrt":                 {1, "Add a word"},
		"Tr0ub4dor&3":                  {2, "Add a word"},
		"my dog eats shoes":            {3, "Add a word"},
		"correct horse battery staple": {4, ""},
		"床前明月光疑是地上霜舉頭望明月":             {4, ""},
		"k7wq2m-x9dtrb-4hnpvz-c8gfys": {4, ""},
	} {
		s := password.Estimate(pw, about...)
		require.Equal(t, c.score, s.Score, "%q: %v", pw, s)
		require.Contains(t, s.Hint, c.hint, "%q: %v", pw, s)
		require.Equal(t, s.Score == 4, s.Hint == "", pw)
	}
	require.Greater(t, password.Estimate("roadrunner").Bits, password.Estimate("roadrunner", about...).Bits)
}

// What is random is told to be strong, though half of it may look like words. The passwords are fixed, so that chance has
// no part in the outcome.
func TestEstimateRandom(t *testing.T) {
	t.Parallel()
	for i := range 500 {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		pw := base32.StdEncoding.EncodeToString(sum[:])[:24]
		require.Greater(t, password.Estimate(strings.ToLower(pw)).Bits, 55.0, pw)
		require.LessOrEqual(t, password.Estimate(pw[:4]).Score, 1, pw)
	}
}

// The cost does not grow with the password, of which only the beginning is looked at.
func TestEstimateIsBounded(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"x", "abcdefgh1q", "qwertyuiop", "\xff\x00", "correct horse battery staple ", "密码"} {
		long := strings.Repeat(unit, 1+(1<<20)/len(unit))
		cut := long
		for n := range long {
			if utf8.RuneCountInString(long[:n]) == 128 {
				cut = long[:n]
				break
			}
		}
		require.Equal(t, password.Estimate(cut), password.Estimate(long), unit)
	}
}

// An estimate is a number within bounds, and always the same.
func FuzzEstimate(f *testing.F) {
	f.Add("Tr0ub4dor&3", "jan@example.com")
	f.Add("ΟΔΥΣΣΕΥΣ1984\xff", "οδυσσευς")
	f.Add("ⱥⱥⱥⱥ Ⱥ ß", "SSⱥⱥⱥ")
	f.Fuzz(func(t *testing.T, pw, about string) {
		s := password.Estimate(pw, about)
		if math.IsNaN(s.Bits) || s.Bits < 0 || s.Bits > 128*7+8 || s.Score < 0 || s.Score > 4 {
			t.Fatal(s)
		}
		if s != password.Estimate(pw, about) {
			t.Fatal("not the same twice")
		}
	})
}

func BenchmarkEstimate(b *testing.B) {
	var long strings.Builder // nothing repeats, all letters may belong to a common password
	for long.Len() < 1024 {
		long.WriteString(password.Generate())
	}
	b.ReportAllocs()
	for b.Loop() {
		password.Estimate(long.String(), "jan.jansen@example.com")
	}
}
