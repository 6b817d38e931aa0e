// SPDX-License-Identifier: Apache-2.0

package crypto_test

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/crypto"
)

// FuzzAppendTuple asserts that different lists have different encodings.
func FuzzAppendTuple(f *testing.F) {
	f.Add("a", "bc", "", "ab", "c", "")
	f.Add("a", "", "", "", "", "a")
	f.Add("\x00\x00\x00\x01", "a", "", "", "\x00\x00\x00\x01a", "")
	f.Fuzz(func(t *testing.T, a, b, c, x, y, z string) {
		one, two := []string{a, b, c}, []string{x, y, z}
		if got := bytes.Equal(crypto.AppendTuple(nil, one...), crypto.AppendTuple(nil, two...)); got != slices.Equal(one, two) {
			t.Errorf("encodings of %q and %q are equal: %v", one, two, got)
		}
		if c != "" && bytes.Equal(crypto.AppendTuple(nil, a, b), crypto.AppendTuple(nil, a, b, c)) {
			t.Errorf("lists of two lengths meet: %q", one)
		}
	})
}

// FuzzOpen asserts that the parser of values loses no byte, and that nothing opens that was not sealed.
func FuzzOpen(f *testing.F) {
	field := newRing(f, crypto.Config{Audit: audit.Discard}).Field("t", "c")
	row := crypto.Row{Tenant: "acme", ID: "1"}
	genuine, err := field.Seal(f.Context(), row, []byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(genuine)
	f.Add(genuine[:49])
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, body, ok := crypto.ParseValue(b); ok {
			if back := slices.Concat([]byte{1}, id[:], body); !bytes.Equal(back, b) {
				t.Errorf("ParseValue(%x) reads %x", b, back)
			}
		}
		if got, err := field.Open(t.Context(), row, b); bytes.Equal(b, genuine) {
			if err != nil || string(got) != "secret" {
				t.Errorf("Open(genuine) = %q, %v", got, err)
			}
		} else if err != crypto.ErrOpen {
			t.Errorf("Open(%x) = %q, %v, want ErrOpen", b, got, err)
		}
	})
}

// FuzzParseKeyFile asserts that each key has one text, but for the last line feed.
func FuzzParseKeyFile(f *testing.F) {
	f.Add([]byte("portalsec key file v1\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"))
	f.Add([]byte("portalsec key file v1\n"))
	f.Add([]byte("portalsec key file v9\n"))
	f.Add([]byte("\r\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := crypto.ParseKeyFile(text)
		if err != nil {
			return
		}
		want := "portalsec key file v1\n" + base64.StdEncoding.EncodeToString(key[:])
		if strings.TrimSuffix(string(text), "\n") != want {
			t.Errorf("ParseKeyFile(%q) = %x", text, key)
		}
	})
}

// FuzzOpenFile asserts that no file opens but one that was written. All that are written hold the letter x.
func FuzzOpenFile(f *testing.F) {
	key, context := new([32]byte), []byte("place")
	for _, n := range []int{0, 5, 16 << 10, 16<<10 + 5} {
		message, err := crypto.SealStream(strings.NewReader(strings.Repeat("x", n)), key, context)
		if err != nil { // under GODEBUG=fips140=only
			f.Skip(err)
		}
		f.Add(message)
		f.Add(message[:len(message)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := crypto.OpenStream(b, key, context)
		switch {
		case err != nil && err != crypto.ErrOpen:
			t.Errorf("OpenStream(%x) = %v, want ErrOpen", b, err)
		case err == nil && string(got) != strings.Repeat("x", len(got)):
			t.Errorf("OpenStream(%x) = %x, which nobody wrote", b, got)
		}
	})
}
