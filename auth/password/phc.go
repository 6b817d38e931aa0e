// SPDX-License-Identifier: Apache-2.0

package password

import (
	"encoding/base64"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The bounds of what a stored hash may ask for. Whoever can write one hash must not be able to exhaust the
// machine with it.
const (
	maxPHC     = 256       // bytes
	maxMemory  = 256 << 10 // KiB
	maxTime    = 16
	maxThreads = 16
	minSalt    = 8 // bytes, RFC 9106 section 3.1
	maxSalt    = 64
	minSum     = 16 // bytes; RFC 9106 allows 4, which is no hash of a password
	maxSum     = 64
)

// params are the cost parameters of Argon2id: memory in KiB, passes and lanes.
type params struct {
	memory  uint32
	time    uint32
	threads uint8
}

// ok tells whether p is within RFC 9106 section 3.1 and our bounds.
func (p params) ok() bool {
	return p.time >= 1 && p.time <= maxTime && p.threads >= 1 && p.threads <= maxThreads &&
		p.memory >= 8*uint32(p.threads) && p.memory <= maxMemory
}

// phc is a parsed PHC string of Argon2id, version 19.
type phc struct {
	params
	salt []byte
	sum  []byte
}

// b64 is PHC's own base64: standard alphabet, no padding.
var b64 = base64.RawStdEncoding.Strict()

const phcPrefix = "$argon2id$v=19$"

// String gives the one form of h that parsePHC takes.
func (h phc) String() string {
	b := make([]byte, 0, maxPHC)
	b = append(b, phcPrefix+"m="...)
	b = strconv.AppendUint(b, uint64(h.memory), 10)
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

// parsePHC reads a PHC string and refuses one whose parameters are out of bounds. Nothing that it allocates
// depends on the parameters.
func parsePHC(s string) (phc, error) {
	var h phc
	if len(s) > maxPHC {
		return h, ErrHash
	}
	rest, ok := strings.CutPrefix(s, phcPrefix)
	costs, rest, ok2 := strings.Cut(rest, "$")
	salt, sum, ok3 := strings.Cut(rest, "$")
	m, costs, ok4 := strings.Cut(costs, ",")
	t, p, ok5 := strings.Cut(costs, ",")
	if !(ok && ok2 && ok3 && ok4 && ok5) {
		return h, ErrHash
	}
	memory, err1 := cost(m, "m=", 32)
	time, err2 := cost(t, "t=", 32)
	threads, err3 := cost(p, "p=", 8)
	if err1 != nil || err2 != nil || err3 != nil {
		return h, ErrHash
	}
	h.params = params{uint32(memory), uint32(time), uint8(threads)}
	h.salt, err1 = b64.DecodeString(salt)
	h.sum, err2 = b64.DecodeString(sum)
	if err1 != nil || err2 != nil || !h.params.ok() ||
		len(h.salt) < minSalt || len(h.salt) > maxSalt || len(h.sum) < minSum || len(h.sum) > maxSum {
		return phc{}, ErrHash
	}
	// One hash has one form. This refuses signs, leading zeros and line ends within the base64.
	if h.String() != s {
		return phc{}, ErrHash
	}
	return h, nil
}

func cost(s, name string, bits int) (uint64, error) {
	digits, ok := strings.CutPrefix(s, name)
	if !ok {
		return 0, ErrHash
	}
	return strconv.ParseUint(digits, 10, bits)
}

// derive computes Argon2id (RFC 9106) with the parameters and salt of h.
func (h phc) derive(pw string) []byte {
	return argon2.IDKey([]byte(pw), h.salt, h.time, h.memory, h.threads, uint32(len(h.sum)))
}
