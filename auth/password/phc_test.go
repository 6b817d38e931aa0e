// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"os"
	"strings"
	"testing"

	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

type vector struct{ stored, password string }

func vectors(t testing.TB, file string) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	var vs []vector
	for line := range strings.Lines(string(text)) {
		stored, pw, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		require.True(t, ok, line)
		vs = append(vs, vector{stored, pw})
	}
	require.NotEmpty(t, vs)
	return vs
}

const (
	salt = "c2FsdHNhbHRzYWx0c2FsdA"
	sum  = "QKHrg5tayLGcN+Y0HVPNaBqykOVLUxlMkZycXE1uWRM"
	good = "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum
)

// hostile gives strings that must be refused before anything is computed from them.
func hostile() map[string]string {
	with := func(costs string) string { return "$argon2id$v=19$" + costs + "$" + salt + "$" + sum }
	return map[string]string{
		"no fields":           "argon2id",
		"other algorithm":     strings.Replace(good, "argon2id", "argon2d", 1),
		"MD5":                 "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/",
		"old version":         strings.Replace(good, "v=19", "v=16", 1),
		"no version":          strings.Replace(good, "v=19$", "", 1),
		"memory of 4 TiB":     with("m=4294967295,t=2,p=1"),
		"memory over bound":   with("m=262145,t=2,p=1"),
		"memory overflows":    with("m=4294967297,t=2,p=1"),
		"memory under lanes":  with("m=31,t=2,p=4"),
		"memory zero":         with("m=0,t=2,p=1"),
		"time of a year":      with("m=19456,t=4294967295,p=1"),
		"time over bound":     with("m=19456,t=17,p=1"),
		"time zero":           with("m=19456,t=0,p=1"),
		"lanes zero":          with("m=19456,t=2,p=0"),
		"lanes over bound":    with("m=19456,t=2,p=17"),
		"lanes overflow":      with("m=19456,t=2,p=257"),
		"negative":            with("m=-19456,t=2,p=1"),
		"sign":                with("m=+19456,t=2,p=1"),
		"leading zero":        with("m=019456,t=2,p=1"),
		"hexadecimal":         with("m=0x4c00,t=2,p=1"),
		"underscore":          with("m=19_456,t=2,p=1"),
		"other order":         with("t=2,m=19456,p=1"),
		"key ID":              with("m=19456,t=2,p=1,keyid=AAAA"),
		"lanes missing":       with("m=19456,t=2"),
		"twice the same":      with("m=19456,m=19456,p=1"),
		"salt of 7 bytes":     strings.Replace(good, salt, "c2FsdHNhbA", 1),
		"salt of 65 bytes":    strings.Replace(good, salt, strings.Repeat("YWFh", 21)+"YWE", 1),
		"no salt":             strings.Replace(good, salt, "", 1),
		"sum of 15 bytes":     strings.Replace(good, sum, strings.Repeat("YWFh", 5), 1),
		"sum of 65 bytes":     strings.Replace(good, sum, strings.Repeat("YWFh", 21)+"YWE", 1),
		"no sum":              strings.TrimSuffix(good, sum),
		"salt and sum joined": strings.Replace(good, "$"+sum, "", 1),
		"padding":             good + "=",
		"bits after the end":  strings.Replace(good, salt, "c2FsdHNhbHRzYWx0c2FsdB", 1),
		"URL alphabet":        strings.Replace(good, "+", "-", 1),
		"line end within":     strings.Replace(good, "QKHrg5", "QKH\nrg5", 1),
		"line end behind":     good + "\n",
		"space before":        " " + good,
		"one field more":      good + "$",
		"very long":           good + strings.Repeat("A", 1<<20),
	}
}

func TestParsePHCRefused(t *testing.T) {
	t.Parallel()
	for name, s := range hostile() {
		_, err := password.Parse(s)
		require.ErrorIs(t, err, password.ErrHash, name)
	}
}

func TestParsePHC(t *testing.T) {
	t.Parallel()
	for _, v := range append(append(vectors(t, "argon2id.txt"), vectors(t, "argon2.txt")...), vector{stored: good}) {
		again, err := password.Parse(v.stored)
		require.NoError(t, err)
		require.Equal(t, v.stored, again)
	}
}

// A parsed hash has one form only, and never asks for more than the bounds.
func FuzzParsePHC(f *testing.F) {
	f.Add(good)
	for _, s := range hostile() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		again, err := password.Parse(s)
		if err != nil {
			require.ErrorIs(t, err, password.ErrHash)
			return
		}
		require.Equal(t, s, again)
		require.LessOrEqual(t, len(s), 256)
	})
}

// A stored string that was not made from the password is never right, and nothing but ErrHash comes of a bad one.
func FuzzVerify(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$"+salt+"$"+sum, "correct horse")
	h := fast(f, password.Config{})
	f.Fuzz(func(t *testing.T, phc, pw string) {
		if _, err := password.Parse(phc); err == nil && !strings.HasPrefix(phc, "$argon2id$v=19$m=64,t=1,") {
			t.Skip("costly on purpose")
		}
		res, err := h.Verify(t.Context(), phc, pw)
		require.False(t, res.OK)
		if err != nil {
			require.ErrorIs(t, err, password.ErrHash)
		}
	})
}
