// SPDX-License-Identifier: Apache-2.0

package mfa_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/mfa"
	"github.com/pquerna/otp/totp"
)

// BenchmarkVerify measures a right code, all in memory: count the try, open the secret, compare, consume, record.
func BenchmarkVerify(b *testing.B) {
	b.ReportAllocs()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m, err := mfa.New(mfa.Config{
		Store: mfa.NewMemory(), Sealer: newSealer(), Issuer: "Acme", Audit: audit.Discard,
		Clock: func() time.Time { return now },
	})
	if err != nil {
		b.Fatal(err)
	}
	e, err := m.BeginTOTP(b.Context(), ann)
	if err != nil {
		b.Fatal(err)
	}
	code := func() string {
		code, err := totp.GenerateCode(e.Secret, now)
		if err != nil {
			b.Fatal(err)
		}
		return code
	}
	if _, err := m.ConfirmTOTP(b.Context(), ann, code()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		now = now.Add(30 * time.Second)
		if _, err := m.Verify(b.Context(), ann, code()); err != nil { // one code more than Verify makes itself
			b.Fatal(err)
		}
	}
}

// BenchmarkMatches measures the three codes of one verification; BenchmarkThreeHMACs what they cannot do without.
func BenchmarkMatches(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mfa.Matches([]byte(rfcSecret), "123456", 58_000_000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkThreeHMACs(b *testing.B) {
	b.ReportAllocs()
	var counter [8]byte
	for b.Loop() {
		for i := range uint64(3) {
			binary.BigEndian.PutUint64(counter[:], 58_000_000+i)
			mac := hmac.New(sha1.New, []byte(rfcSecret))
			mac.Write(counter[:])
			mac.Sum(nil)
		}
	}
}

// BenchmarkCheck measures what each request of a session with two factors pays.
func BenchmarkCheck(b *testing.B) {
	b.ReportAllocs()
	m, err := mfa.New(mfa.Config{Store: mfa.NewMemory(), Sealer: newSealer(), Issuer: "Acme", Audit: audit.Discard})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/tickets", nil)
	r = r.WithContext(as(r.Context(), portalsec.FactorPassword, portalsec.FactorTOTP))
	for b.Loop() {
		if err := m.Check(r); err != nil {
			b.Fatal(err)
		}
	}
}
