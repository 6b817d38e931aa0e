// SPDX-License-Identifier: Apache-2.0

package crypto_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
	"testing"

	"github.com/portalsec/portalsec/crypto"
)

// rawGCM is AES-256-GCM with a counted nonce and nothing around it: the limit.
func rawGCM(b *testing.B) cipher.AEAD {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		b.Skip(err) // under GODEBUG=fips140=only
	}
	return gcm
}

var benchRow = crypto.Row{Tenant: "acme", Subject: "01890a5d-ac96-774b-bcce-b302099a8057", ID: "01890a5d-ac96-774b-bcce-b302099a8058"}

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{64, 1024} {
		plaintext := make([]byte, size)
		b.Run(fmt.Sprintf("raw/%d", size), func(b *testing.B) {
			gcm, nonce, aad := rawGCM(b), make([]byte, 12), make([]byte, 150)
			b.ReportAllocs()
			for b.Loop() {
				nonce[0]++
				gcm.Seal(make([]byte, 0, size+16), nonce, plaintext, aad)
			}
		})
		for name, row := range map[string]crypto.Row{"subject": benchRow, "tenant": {Tenant: benchRow.Tenant, ID: benchRow.ID}} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				f := newRing(b, crypto.Config{}).Field("customers", "email")
				b.ReportAllocs()
				for b.Loop() {
					if _, err := f.Seal(b.Context(), row, plaintext); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{64, 1024} {
		plaintext := make([]byte, size)
		b.Run(fmt.Sprintf("raw/%d", size), func(b *testing.B) {
			gcm, nonce, aad := rawGCM(b), make([]byte, 12), make([]byte, 150)
			sealed := gcm.Seal(nil, nonce, plaintext, aad)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := gcm.Open(make([]byte, 0, size), nonce, sealed, aad); err != nil {
					b.Fatal(err)
				}
			}
		})
		for name, row := range map[string]crypto.Row{"subject": benchRow, "tenant": {Tenant: benchRow.Tenant, ID: benchRow.ID}} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				f := newRing(b, crypto.Config{}).Field("customers", "email")
				sealed, err := f.Seal(b.Context(), row, plaintext)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := f.Open(b.Context(), row, sealed); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	f := newRing(b, crypto.Config{}).Field("customers", "email", crypto.WithIndex(crypto.NormaliseEmail))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Index(b.Context(), "acme", "ann@example.org"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFileRead(b *testing.B) {
	const size = 1 << 20
	files, _ := newFiles(b, newRing(b, crypto.Config{}))
	if _, err := create(b.Context(), files, benchRow, bytes.NewReader(make([]byte, size))); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		f, err := files.Open(b.Context(), benchRow)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, f); err != nil {
			b.Fatal(err)
		}
		_ = f.Close()
	}
}
