// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Cobblestone-256 is the instantiation of c2sp.org/chunked-encryption with SHA-512 and AES-256-GCM. Every
// chunk but the last holds chunkSize bytes and the last one fewer, so a cut is seen without a mark.
const (
	saltSize           = 24
	commitmentSize     = 32
	cobblestoneHeader  = saltSize + commitmentSize
	chunkSize          = 16 << 10
	sealedChunk        = chunkSize + tagSize
	maxChunks          = 1 << 38
	cobblestoneContext = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
)

// cobblestoneKeys derives what one message is encrypted with.
func cobblestoneKeys(key *[keySize]byte, salt, context []byte) (cipher.Block, [nonceSize]byte, []byte) {
	info := cobblestoneContext + string(salt) + string(context)
	b, err := hkdf.Expand(sha512.New, key[:], info, keySize+nonceSize+commitmentSize)
	if err != nil {
		panic(err) // only for greater lengths
	}
	block, err := aes.NewCipher(b[:keySize])
	if err != nil {
		panic(err) // only for another length
	}
	return block, [nonceSize]byte(b[keySize:]), b[keySize+nonceSize:]
}

// chunkNonce puts the nonce of chunk n into dst.
func chunkNonce(dst []byte, base *[nonceSize]byte, n int64) {
	copy(dst, base[:])
	low := dst[nonceSize-8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^uint64(n))
}

// sealStream encrypts all of r to w and gives the number of bytes read. It holds one chunk at a time.
func sealStream(w io.Writer, r io.Reader, key *[keySize]byte, context []byte) (int64, error) {
	var salt [saltSize]byte
	rand.Read(salt[:]) // never fails
	block, base, commitment := cobblestoneKeys(key, salt[:], context)
	gcm, err := cipher.NewGCM(block)
	if err != nil { // under GODEBUG=fips140=only
		return 0, fmt.Errorf("crypto: a file needs GCM with counted nonces: %w", err)
	}
	if _, err := w.Write(append(salt[:], commitment...)); err != nil {
		return 0, err
	}
	buf := make([]byte, chunkSize, sealedChunk)
	nonce := make([]byte, nonceSize)
	var size int64
	for n := int64(0); n < maxChunks; n++ {
		got, last, err := readChunk(r, buf[:chunkSize])
		size += int64(got)
		if err != nil {
			return size, err
		}
		chunkNonce(nonce, &base, n)
		if _, err := w.Write(gcm.Seal(buf[:0], nonce, buf[:got], nil)); err != nil {
			return size, err
		}
		if last {
			return size, nil
		}
	}
	return size, errors.New("crypto: a file holds less than 4 PiB")
}

// readChunk fills p unless r ends before. It is not [io.ReadFull], which cannot tell a reader's clean end from
// one that reports io.ErrUnexpectedEOF, as the body of an upload that broke off does.
func readChunk(r io.Reader, p []byte) (n int, last bool, err error) {
	for idle := 0; n < len(p); {
		got, err := r.Read(p[n:])
		n += got
		switch {
		case err == io.EOF:
			return n, n < len(p), nil
		case err != nil:
			return n, false, err
		case got > 0:
			idle = 0
		default:
			if idle++; idle > 100 {
				return n, false, io.ErrNoProgress
			}
		}
	}
	return n, false, nil
}

// chunks reads what sealStream wrote, at any place. It is not safe for use by several goroutines.
type chunks struct {
	r    io.ReaderAt // the message, its header at 0
	size int64       // of the plaintext, authentic
	base [nonceSize]byte
	gcm  cipher.AEAD // reads its nonce from before the ciphertext
	in   []byte      // nonce and sealed chunk
	out  []byte      // the open chunk, empty or of number n
	n    int64
}

// openChunks checks the commitment and, by opening the last chunk, the length: a message that was cut or
// extended does not pass.
func openChunks(r io.ReaderAt, length int64, key *[keySize]byte, context []byte) (*chunks, error) {
	full, rest := (length-cobblestoneHeader)/sealedChunk, (length-cobblestoneHeader)%sealedChunk
	if length < cobblestoneHeader+tagSize || rest < tagSize || full >= maxChunks {
		return nil, ErrOpen
	}
	var header [cobblestoneHeader]byte
	if _, err := r.ReadAt(header[:], 0); err != nil {
		return nil, shortIsErrOpen(err)
	}
	block, base, commitment := cobblestoneKeys(key, header[:saltSize], context)
	if subtle.ConstantTimeCompare(commitment, header[saltSize:]) != 1 {
		return nil, ErrOpen
	}
	// The same GCM, in the form that is also allowed under GODEBUG=fips140=only.
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("crypto: %w", err)
	}
	c := &chunks{
		r: r, size: full*chunkSize + rest - tagSize, base: base, gcm: gcm,
		in: make([]byte, nonceSize+sealedChunk), out: make([]byte, 0, chunkSize),
	}
	if err := c.load(full); err != nil {
		return nil, err
	}
	return c, nil
}

// load opens chunk n.
func (c *chunks) load(n int64) error {
	if len(c.out) > 0 && c.n == n {
		return nil
	}
	c.out = c.out[:0]
	length := nonceSize + sealedChunk
	if last := c.size / chunkSize; n == last {
		length = nonceSize + int(c.size%chunkSize) + tagSize
	}
	in := c.in[:length]
	chunkNonce(in[:nonceSize], &c.base, n)
	if _, err := c.r.ReadAt(in[nonceSize:], cobblestoneHeader+n*sealedChunk); err != nil {
		return shortIsErrOpen(err)
	}
	out, err := c.gcm.Open(c.out, nil, in, nil)
	if err != nil {
		return ErrOpen
	}
	c.out, c.n = out, n
	return nil
}

// forget clears the open chunk.
func (c *chunks) forget() {
	clear(c.out[:cap(c.out)])
	c.out = c.out[:0]
}

// readAt is [io.ReaderAt]'s, for one goroutine.
func (c *chunks) readAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("crypto: read at a negative offset")
	}
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at >= c.size {
			return done, io.EOF
		}
		if err := c.load(at / chunkSize); err != nil {
			return done, err
		}
		done += copy(p[done:], c.out[at%chunkSize:])
	}
	return done, nil
}

// shortIsErrOpen maps the end of a file that should go on to ErrOpen.
func shortIsErrOpen(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrOpen
	}
	return err
}
