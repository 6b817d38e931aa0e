// SPDX-License-Identifier: Apache-2.0

package crypto_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/sha3"
	"encoding/hex"
	"testing"

	"github.com/portalsec/portalsec/crypto"
	"github.com/stretchr/testify/require"
)

// TestXAESVectors has the two vectors of c2sp.org/XAES-256-GCM.
func TestXAESVectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		key             byte
		subkey          string
		aad, ciphertext string
	}{
		{0x01, "c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b",
			"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{0x03, "e9c621d4cdd9b11b00a6427ad7e559aeedd66b3857646677748f8ca796cb3fd8",
			"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		subkey, _, open := crypto.XAES((*[32]byte)(bytes.Repeat([]byte{v.key}, 32)))
		nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
		require.Equal(t, v.subkey, hex.EncodeToString(subkey(nonce[:12])))
		sealed, err := hex.DecodeString(v.ciphertext)
		require.NoError(t, err)
		got, err := open(append(nonce, sealed...), []byte(v.aad))
		require.NoError(t, err)
		require.Equal(t, "XAES-256-GCM", string(got))
	}
}

// TestXAESAccumulated is the specification's test of 10,000 random messages. Sealing draws its nonces itself,
// so the messages are made with the derived subkey and then opened.
func TestXAESAccumulated(t *testing.T) {
	t.Parallel()
	in, hash := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = in.Read(b)
		return b
	}
	for range 10_000 {
		key, nonce := read(32), read(24)
		plaintext := read(int(read(1)[0]))
		aad := read(int(read(1)[0]))
		subkey, _, open := crypto.XAES((*[32]byte)(key))
		sealed := sealGCM(t, subkey(nonce[:12]), nonce[12:], plaintext, aad)
		_, _ = hash.Write(sealed)
		got, err := open(append(nonce, sealed...), aad)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plaintext, got))
	}
	sum := make([]byte, 32)
	_, _ = hash.Read(sum)
	require.Equal(t, "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939", hex.EncodeToString(sum))
}

// sealGCM is AES-256-GCM with a given nonce.
func sealGCM(t *testing.T, key, nonce, plaintext, aad []byte) (sealed []byte) {
	t.Helper()
	fips140.WithoutEnforcement(func() {
		block, err := aes.NewCipher(key)
		require.NoError(t, err)
		gcm, err := cipher.NewGCM(block)
		require.NoError(t, err)
		sealed = gcm.Seal(nil, nonce, plaintext, aad)
	})
	return sealed
}

// TestXAESSelectors seals past the point where a new selector is drawn. No nonce may come twice.
func TestXAESSelectors(t *testing.T) {
	t.Parallel()
	_, seal, open := crypto.XAES(new([32]byte))
	selectors, nonces := map[string]int{}, map[string]bool{}
	const seals = 2*crypto.SealsPerSelector + 100
	for i := range seals {
		c, err := seal([]byte("x"), nil)
		require.NoError(t, err)
		selectors[string(c[:12])]++
		nonces[string(c[:24])] = true
		if i%1000 == 0 {
			p, err := open(c, nil)
			require.NoError(t, err)
			require.Equal(t, "x", string(p))
		}
	}
	require.Len(t, nonces, seals)
	require.Len(t, selectors, 3)
	for _, n := range selectors {
		require.LessOrEqual(t, n, crypto.SealsPerSelector)
	}
}
