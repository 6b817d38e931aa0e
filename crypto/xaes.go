// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"sync"
	"sync/atomic"
)

const (
	selectorSize = 12
	nonceSize    = 12
	tagSize      = 16
	keySize      = 32

	// sealsPerSelector bounds the collision chance of the random nonces under one selector to 2^-65; with
	// 2^33 selectors, that is 2^49 values under one key, the chance of any collision is 2^-32.
	sealsPerSelector = 1 << 16
	// openSelectors is how many selectors' subkeys are kept for opening.
	openSelectors = 4
)

// xaes is XAES-256-GCM (c2sp.org/XAES-256-GCM) under one key. The first half of the 24-byte nonce, the
// selector, derives an AES-256-GCM subkey; the second half is that one's nonce. Sealing draws a selector once
// for many values and a nonce for each, which gives the same wire form at the cost of AES-GCM alone.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // CMAC subkey, NIST SP 800-38B section 6.1

	mu   sync.Mutex // held while a selector is drawn
	seal atomic.Pointer[selected]
	open [openSelectors]atomic.Pointer[selected]
}

// selected is the cipher of one selector.
type selected struct {
	selector [selectorSize]byte
	gcm      cipher.AEAD // appends and reads its random nonce itself
	seals    atomic.Int64
}

func newXAES(key *[keySize]byte) *xaes {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for another length
	}
	x := &xaes{block: block}
	l := make([]byte, aes.BlockSize)
	block.Encrypt(l, l)
	var carry byte
	for i := len(l) - 1; i >= 0; i-- {
		x.k1[i] = l[i]<<1 | carry
		carry = l[i] >> 7
	}
	x.k1[aes.BlockSize-1] ^= carry * 0b10000111
	return x
}

// subkey gives the AES-256 key of a selector: two blocks of one CMAC each, in the counter mode of NIST SP
// 800-108r1 section 4.1 with label "X" and the selector as context.
func (x *xaes) subkey(selector []byte) []byte {
	key := make([]byte, 0, keySize)
	for counter := range byte(2) {
		key = append(key, 0, counter+1, 'X', 0)
		key = append(key, selector...)
		b := key[len(key)-aes.BlockSize:]
		subtle.XORBytes(b, b, x.k1[:])
		x.block.Encrypt(b, b)
	}
	return key
}

// derive gives the cipher of a selector.
func (x *xaes) derive(selector []byte) *selected {
	key := x.subkey(selector)
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for another length
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for another cipher
	}
	return &selected{selector: [selectorSize]byte(selector), gcm: gcm}
}

// appendSealed appends selector, nonce, ciphertext and tag.
func (x *xaes) appendSealed(dst, plaintext, aad []byte) []byte {
	s := x.seal.Load()
	if s == nil || s.seals.Add(1) > sealsPerSelector {
		s = x.nextSelector(s)
	}
	dst = append(dst, s.selector[:]...)
	return s.gcm.Seal(dst, nil, plaintext, aad)
}

// nextSelector replaces old, and counts the caller's seal.
func (x *xaes) nextSelector(old *selected) *selected {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.seal.Load(); s != old && s.seals.Add(1) <= sealsPerSelector {
		return s
	}
	var selector [selectorSize]byte
	rand.Read(selector[:]) // never fails
	s := x.derive(selector[:])
	s.seals.Store(1)
	x.seal.Store(s)
	x.slot(s.selector[:]).Store(s) // what was just written is read soon
	return s
}

func (x *xaes) slot(selector []byte) *atomic.Pointer[selected] {
	return &x.open[selector[0]%openSelectors]
}

// appendOpened appends the plaintext of what appendSealed gave.
func (x *xaes) appendOpened(dst, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < selectorSize+nonceSize+tagSize {
		return nil, ErrOpen
	}
	selector := sealed[:selectorSize]
	slot := x.slot(selector)
	s := slot.Load()
	keep := s == nil || !bytes.Equal(s.selector[:], selector)
	if keep {
		s = x.derive(selector)
	}
	out, err := s.gcm.Open(dst, nil, sealed[selectorSize:], aad)
	if err != nil {
		return nil, ErrOpen
	}
	if keep { // only now, so that forged selectors push nothing out
		slot.Store(s)
	}
	return out, nil
}
