// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"bytes"
	"net/mail"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/portalsec/portalsec/auth"
)

// FuzzEmail checks that what counts as an address is one to net/mail too, by itself and alone in a header.
func FuzzEmail(f *testing.F) {
	for _, s := range append(hostileAddresses[:20], address, newAddress, "用户@例子.公司", "o'neil+x@sub.acme.test", "a@b") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !auth.IsEmail(s) {
			return
		}
		if !utf8.ValidString(s) || len(s) > 254 || strings.ContainsAny(s, "\r\n\x00 \t<>,;\"\\()[]:") || strings.Count(s, "@") != 1 || s[0] == '-' {
			t.Fatalf("%q counts as an address", s)
		}
		a, err := mail.ParseAddress(s)
		if err != nil || a.Address != s || a.Name != "" {
			t.Fatalf("ParseAddress(%q) = %v, %v", s, a, err)
		}
	})
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte(`{"email":"a@b.test","name":"A","lang":"nl","former":[{"email":"c@d.test","until":"2026-01-02T03:04:05Z"}]}`))
	f.Add([]byte(`{"email":"\ud800"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) { roundTrip(t, auth.RoundTripProfile, b) })
}

func FuzzLinkData(f *testing.F) {
	f.Add([]byte(`{"email":"a@b.test","name":"A","lang":"nl","tenant":"acme","session":"x"}`))
	f.Add([]byte(`{"email":1}`))
	f.Fuzz(func(t *testing.T, b []byte) { roundTrip(t, auth.RoundTripLink, b) })
}

// roundTrip checks that what is understood is written down, read and written down again alike, and that an error does
// not quote what it is about.
func roundTrip(t *testing.T, trip func([]byte) ([]byte, error), b []byte) {
	once, err := trip(b)
	if err != nil {
		if s := string(b); len(s) > 40 && strings.Contains(err.Error(), s) {
			t.Fatalf("the error quotes its input: %v", err)
		}
		return
	}
	twice, err := trip(once)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("%q became %q, %v", once, twice, err)
	}
}
