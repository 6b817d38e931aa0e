// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/internal/token"
	"github.com/stretchr/testify/require"
)

func TestNew(t *testing.T) {
	t.Parallel()
	text, hash := token.New()
	require.Len(t, text, token.Length)
	got, ok := token.Parse(text)
	require.True(t, ok)
	require.Equal(t, hash, got)
	raw, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256(raw), hash, "the stored value is the hash, not the token")
	other, _ := token.New()
	require.NotEqual(t, text, other)
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	good, _ := token.New()
	for name, text := range map[string]string{
		"empty":          "",
		"short":          good[:42],
		"long":           good + "A",
		"padded":         good[:42] + "=",
		"standard":       "+" + good[1:],
		"trailing bits":  good[:42] + "B",
		"line breaks":    good[:41] + "\n\n",
		"quoted":         `"` + good[:41] + `"`,
		"not ASCII":      good[:41] + "ä",
		"very long":      strings.Repeat("A", 1<<16),
		"control inside": good[:20] + "\x00" + good[21:],
	} {
		_, ok := token.Parse(text)
		require.False(t, ok, name)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	c := token.Cookie{Name: "session"}
	for name, tt := range map[string]struct {
		lines []string
		want  string
		ok    bool
	}{
		"one":                {[]string{"a=b; __Host-session=v; c=d"}, "v", true},
		"no space":           {[]string{"a=b;__Host-session=v"}, "v", true},
		"space around":       {[]string{"a=b;\t __Host-session \t=  v \t; c=d"}, "v", true},
		"longer name":        {[]string{"__Host-sessions=v"}, "", false},
		"prefix only":        {[]string{"__Host-=v"}, "", false},
		"none":               {nil, "", false},
		"other name":         {[]string{"session=v"}, "", false},
		"other case":         {[]string{"__host-session=v"}, "", false},
		"two":                {[]string{"__Host-session=v; __Host-session=w"}, "", false},
		"two alike":          {[]string{"__Host-session=v; __Host-session=v"}, "", false},
		"two lines":          {[]string{"__Host-session=v", "__Host-session=w"}, "", false},
		"two, one malformed": {[]string{"__Host-session=v; __Host-session=\x01\""}, "", false},
		"two, one bare":      {[]string{"__Host-session; __Host-session=v"}, "", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		for _, l := range tt.lines {
			r.Header.Add("Cookie", l)
		}
		got, ok := c.Read(r)
		require.Equal(t, tt.ok, ok, name)
		require.Equal(t, tt.want, got, name)
	}
}

func TestSetAndClear(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	c := token.Cookie{Name: "session"}
	http.SetCookie(w, &http.Cookie{Name: "other", Value: "kept"})
	c.Set(w, "old", 0)
	c.Set(w, "new", time.Hour)
	require.Equal(t, []string{"other=kept", "__Host-session=new; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"},
		w.Header()["Set-Cookie"])
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))

	w = httptest.NewRecorder()
	token.Cookie{Name: "session", Insecure: true}.Clear(w)
	require.Equal(t, []string{"session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"}, w.Header()["Set-Cookie"])
}

func FuzzParse(f *testing.F) {
	good, _ := token.New()
	f.Add(good)
	f.Add(good[:42] + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		hash, ok := token.Parse(text)
		raw, err := base64.RawURLEncoding.DecodeString(text)
		// The slow twin: a token is what encodes back to itself from 32 bytes.
		want := err == nil && len(raw) == 32 && base64.RawURLEncoding.EncodeToString(raw) == text
		if ok != want {
			t.Fatalf("Parse(%q) = %v, want %v", text, ok, want)
		}
		if ok && hash != sha256.Sum256(raw) {
			t.Fatalf("Parse(%q) gives another hash", text)
		}
	})
}
