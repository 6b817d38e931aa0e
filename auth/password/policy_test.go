// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

func codes(t *testing.T, err error) []password.Code {
	t.Helper()
	if err == nil {
		return nil
	}
	var refused *password.PolicyError
	require.ErrorAs(t, err, &refused)
	require.NotEmpty(t, refused.Problems)
	var cs []password.Code
	for _, p := range refused.Problems {
		require.NotEmpty(t, p.Text)
		cs = append(cs, p.Code)
	}
	return cs
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	p, err := password.NewPolicy(password.PolicyConfig{Words: []string{"Acme Portal", "die"}})
	require.NoError(t, err)
	about := []string{"Jan.Jansen+work@uni-köln.example.info", "Zoë de Vries-ÅSTRÖM", "王小明", "ΟΔΥΣΣΕΥΣ"}
	type cs = []password.Code
	for name, c := range map[string]struct {
		pw   string
		want cs
	}{
		"long enough":            {"fifteen letters", nil},
		"letters only":           {"aquickbrownfoxjumps", nil},
		"any script":             {"床前明月光疑是地上霜舉頭望明月", nil},
		"emoji with joiners":     {"👩‍👩‍👧‍👦👩‍👩‍👧‍👦 lantern", nil},
		"64 characters":          {strings.Repeat("abcd fgh", 8), nil},
		"256 long characters":    {strings.Repeat("𠜎", 256), nil},
		"too short":              {"fourteen chars", cs{password.TooShort}},
		"short in characters":    {"床前明月光疑是地上霜舉頭望明", cs{password.TooShort}},
		"empty":                  {"", cs{password.TooShort}},
		"too long":               {strings.Repeat("x", 1025), cs{password.TooLong}},
		"a megabyte":             {strings.Repeat("\x00\xff", 1<<19), cs{password.TooLong}},
		"not UTF-8":              {"fifteen letters\xff", cs{password.BadEncoding}},
		"line end":               {"fifteen letters\n", cs{password.ControlCharacter}},
		"NUL":                    {"fifteen\x00letters", cs{password.ControlCharacter}},
		"portal's name":          {"my own PORTAL code 7", cs{password.ContextWord}},
		"organisation's name":    {"theAcmeRoadrunnerRuns", cs{password.ContextWord}},
		"short word is no word":  {"the idle dietician eats", nil},
		"local part":             {"xx-jansen-xx-yy-zz", cs{password.ContextWord}},
		"part of local part":     {"homeWORKing tonight", cs{password.ContextWord}},
		"domain":                 {"KÖLN am rhein 1248", cs{password.ContextWord}},
		"last label is no word":  {"the information desk", nil},
		"name":                   {"i am zoë of antwerp", cs{password.ContextWord}},
		"part of a double name":  {"åström was a botanist", cs{password.ContextWord}},
		"name of few characters": {"明月王小明床前明月光疑是地上霜", cs{password.ContextWord}},
		"final sigma":            {"οδυσσευς from ithaca", cs{password.ContextWord}},
		"all at once": {"acme\x01\xff", cs{password.TooShort, password.BadEncoding, password.ControlCharacter,
			password.ContextWord}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := p.Check(t.Context(), c.pw, about...)
			require.Equal(t, c.want, codes(t, err))
			if err != nil && c.pw != "" {
				require.NotContains(t, err.Error(), c.pw)
			}
		})
	}
}

func TestPolicyLength(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config password.PolicyConfig
		want   int // 0: refused
	}{
		"alone":                  {password.PolicyConfig{}, 15},
		"alone at L1":            {password.PolicyConfig{Profile: portalsec.L1}, 15},
		"beside another factor":  {password.PolicyConfig{SecondFactor: true}, 8},
		"longer":                 {password.PolicyConfig{MinLength: 20}, 20},
		"longer beside a factor": {password.PolicyConfig{SecondFactor: true, MinLength: 12}, 12},
		"shorter":                {password.PolicyConfig{MinLength: 14}, 0},
		"shorter beside":         {password.PolicyConfig{SecondFactor: true, MinLength: 7}, 0},
		"negative":               {password.PolicyConfig{MinLength: -1}, 0},
		"out of reach":           {password.PolicyConfig{MinLength: 257}, 0},
	} {
		p, err := password.NewPolicy(c.config)
		if c.want == 0 {
			require.ErrorContains(t, err, "PolicyConfig.MinLength", name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want, p.MinLength(), name)
		require.NoError(t, p.Check(t.Context(), dull(c.want)), name)
		require.Equal(t, []password.Code{password.TooShort}, codes(t, p.Check(t.Context(), dull(c.want-1))), name)
	}
}

// dull gives a password of n characters that is on no list.
func dull(n int) string { return strings.Repeat("xq7", n)[:n] }

// Checks of one person must not leave their words behind for the next.
func TestPolicyForgetsContext(t *testing.T) {
	t.Parallel()
	p, err := password.NewPolicy(password.PolicyConfig{Words: []string{"acme", "portal", "roadrunner"}})
	require.NoError(t, err)
	require.Error(t, p.Check(t.Context(), "jansen goes shopping", "Jansen"))
	require.NoError(t, p.Check(t.Context(), "jansen goes shopping", "Pietersen"))
}

func TestPolicyContext(t *testing.T) {
	t.Parallel()
	p, err := password.NewPolicy(password.PolicyConfig{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Check(ctx, "fifteen letters"), context.Canceled)
}

func FuzzPolicy(f *testing.F) {
	f.Add("fifteen letters", "jan@example.com")
	f.Add("\xff\x00", "@")
	p, err := password.NewPolicy(password.PolicyConfig{Words: []string{"acme"}})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, pw, about string) {
		err := p.Check(t.Context(), pw, about)
		var refused *password.PolicyError
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if err == nil && len(about) >= 4 && isWord(about) && strings.Contains(pw, about) {
			t.Fatalf("%q contains %q", pw, about)
		}
	})
}

var isWord = regexp.MustCompile(`^[a-z0-9]+$`).MatchString

func TestGenerate(t *testing.T) {
	t.Parallel()
	// Without the filter: it takes one in 65,536 for common, and there are thousands here.
	p, err := password.NewPolicy(password.PolicyConfig{Words: []string{"portal"}, InsecureAllowCommon: true})
	require.NoError(t, err)
	form := regexp.MustCompile(`^([b-df-hjkmnp-tv-z2-9]{6}-){3}[b-df-hjkmnp-tv-z2-9]{6}$`)
	seen := make(map[string]bool)
	count := make(map[rune]int)
	const n = 2000
	for range n {
		pw := password.Generate()
		require.Regexp(t, form, pw)
		require.NoError(t, p.Check(t.Context(), pw, "jan@example.com"))
		require.False(t, seen[pw])
		seen[pw] = true
		for _, r := range pw {
			count[r]++
		}
	}
	delete(count, '-')
	require.Len(t, count, 28)
	// 24*2000/28 = 1714 of each are expected, with a deviation of 41: eight of those are no chance.
	for r, c := range count {
		require.InDelta(t, 24*n/28, c, 8*41, string(r))
	}
}

func BenchmarkPolicy(b *testing.B) {
	p, err := password.NewPolicy(password.PolicyConfig{Words: []string{"Acme Portal"}})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Check(b.Context(), "correct horse battery staple", "jan.jansen@example.com", "Jan Jansen"); err != nil {
			b.Fatal(err)
		}
	}
}
