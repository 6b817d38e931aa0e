// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"bytes"
	"io"
)

var (
	AppendTuple  = appendTuple[string]
	ParseValue   = parseValue
	ParseKeyFile = parseKeyFile
	FileName     = fileName
)

const (
	CacheLimit       = 2 * cacheGeneration
	SealsPerSelector = sealsPerSelector
)

// CacheLen tells how many keys are in memory.
func (k *Keyring) CacheLen() int { return len(k.cache.young.ids) + len(k.cache.old.ids) }

// XAES gives the cipher under a key, as the functions that tests drive.
func XAES(key *[32]byte) (subkey func(selector []byte) []byte, seal, open func(data, aad []byte) ([]byte, error)) {
	x := newXAES(key)
	return x.subkey,
		func(p, aad []byte) ([]byte, error) { return x.appendSealed(nil, p, aad), nil },
		func(c, aad []byte) ([]byte, error) { return x.appendOpened(nil, c, aad) }
}

// SealStream encrypts a whole message.
func SealStream(r io.Reader, key *[32]byte, context []byte) ([]byte, error) {
	var b bytes.Buffer
	_, err := sealStream(&b, r, key, context)
	return b.Bytes(), err
}

// OpenStream opens a whole message, and tells how much of it was good.
func OpenStream(message []byte, key *[32]byte, context []byte) ([]byte, error) {
	c, err := openChunks(bytes.NewReader(message), int64(len(message)), key, context)
	if err != nil {
		return nil, err
	}
	out := make([]byte, c.size)
	n, err := c.readAt(out, 0)
	return out[:n], err
}
