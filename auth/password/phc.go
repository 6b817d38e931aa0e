// SPDX-License-Identifier: Apache-2.0

package password

import (
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The bounds of what a stored Argon2 hash may ask for.
const (
	maxMemory  = 256 << 10 // KiB
	maxTime    = 16
	maxThreads = 16
	minSalt    = 8 // bytes, RFC 9106 section 3.1
)

// params are the cost parameters of Argon2: memory in KiB, passes and lanes.
type params struct {
	kib     uint32
	time    uint32
	threads uint8
}

// ok tells whether p is within RFC 9106 section 3.1 and our bounds.
func (p params) ok() bool {
	return p.time >= 1 && p.time <= maxTime && p.threads >= 1 && p.threads <= maxThreads &&
		p.kib >= 8*uint32(p.threads) && p.kib <= maxMemory
}

// phc is a parsed PHC string of Argon2id or Argon2i, version 19.
type phc struct {
	params
	independent bool // Argon2i, which is never made here
	salt        []byte
	sum         []byte
}

// String gives the one form of h that parsePHC takes.
func (h phc) String() string {
	b := make([]byte, 0, maxStored)
	if h.independent {
		b = append(b, "$argon2i$v=19$m="...)
	} else {
		b = append(b, "$argon2id$v=19$m="...)
	}
	b = strconv.AppendUint(b, uint64(h.kib), 10)
	b = append(b, ",t="...)
	b = strconv.AppendUint(b, uint64(h.time), 10)
	b = append(b, ",p="...)
	b = strconv.AppendUint(b, uint64(h.threads), 10)
	b = append(b, '$')
	b = b64.AppendEncode(b, h.salt)
	b = append(b, '$')
	b = b64.AppendEncode(b, h.sum)
	return string(b)
}

// parsePHC reads a PHC string of Argon2 that is no longer than maxStored.
func parsePHC(s string) (phc, error) {
	var h phc
	rest, ok := strings.CutPrefix(s, "$argon2id$v=19$")
	if !ok {
		rest, ok = strings.CutPrefix(s, "$argon2i$v=19$")
		h.independent = true
	}
	costs, rest, ok2 := strings.Cut(rest, "$")
	salt, sum, ok3 := strings.Cut(rest, "$")
	m, costs, ok4 := strings.Cut(costs, ",")
	t, p, ok5 := strings.Cut(costs, ",")
	if !(ok && ok2 && ok3 && ok4 && ok5) {
		return phc{}, ErrHash
	}
	memory, err1 := cost(m, "m=", 32)
	time, err2 := cost(t, "t=", 32)
	threads, err3 := cost(p, "p=", 8)
	if err1 != nil || err2 != nil || err3 != nil {
		return phc{}, ErrHash
	}
	h.params = params{uint32(memory), uint32(time), uint8(threads)}
	h.salt, err1 = b64.DecodeString(salt)
	h.sum, err2 = b64.DecodeString(sum)
	if err1 != nil || err2 != nil || !h.params.ok() ||
		len(h.salt) < minSalt || len(h.salt) > maxSalt || len(h.sum) < minSum || len(h.sum) > maxSum {
		return phc{}, ErrHash
	}
	// One hash has one form. This refuses line ends within the base64.
	if h.String() != s {
		return phc{}, ErrHash
	}
	return h, nil
}

func (h phc) memory() uint32 { return h.kib }

func (h phc) verify(pw string) (bool, error) { return equal(h.derive(pw), h.sum), nil }

// derive computes Argon2 (RFC 9106) with the parameters and salt of h.
func (h phc) derive(pw string) []byte {
	if h.independent {
		return argon2.Key([]byte(pw), h.salt, h.time, h.kib, h.threads, uint32(len(h.sum)))
	}
	return argon2.IDKey([]byte(pw), h.salt, h.time, h.kib, h.threads, uint32(len(h.sum)))
}
