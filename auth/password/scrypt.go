// SPDX-License-Identifier: Apache-2.0

package password

import (
	"encoding/base64"
	"strings"

	"golang.org/x/crypto/scrypt"
)

const (
	maxLogN = 24
	maxR    = 32
	maxP    = 16
)

// scrypted is a parsed hash of scrypt (RFC 7914).
type scrypted struct {
	logN, r, p uint8
	salt       []byte
	sum        []byte
}

// parseScrypt reads "$scrypt$ln=17,r=8,p=1$salt$sum", as by passlib and RustCrypto, that is no longer than maxStored.
func parseScrypt(s string) (scrypted, error) {
	rest, ok := strings.CutPrefix(s, "$scrypt$")
	costs, rest, ok2 := strings.Cut(rest, "$")
	salt, sum, ok3 := strings.Cut(rest, "$")
	ln, costs, ok4 := strings.Cut(costs, ",")
	r, p, ok5 := strings.Cut(costs, ",")
	if !(ok && ok2 && ok3 && ok4 && ok5) || strings.ContainsAny(s, "\r\n") { // base64 would pass over line ends
		return scrypted{}, ErrHash
	}
	n64, err1 := cost(ln, "ln=", 8)
	r64, err2 := cost(r, "r=", 8)
	p64, err3 := cost(p, "p=", 8)
	if err1 != nil || err2 != nil || err3 != nil || n64 > maxLogN || r64 > maxR || p64 > maxP {
		return scrypted{}, ErrHash
	}
	h := scrypted{logN: uint8(n64), r: uint8(r64), p: uint8(p64)}
	// p costs time, not memory, but time as much as so many times the memory: the bound on memory serves for both.
	if uint64(h.memory())*p64 > maxMemory {
		return scrypted{}, ErrHash
	}
	// Not strict: who encodes carelessly leaves bits behind the end, which change nothing.
	h.salt, err1 = base64.RawStdEncoding.DecodeString(salt)
	h.sum, err2 = base64.RawStdEncoding.DecodeString(sum)
	if err1 != nil || err2 != nil || len(h.salt) == 0 || len(h.salt) > maxSalt || len(h.sum) < minSum || len(h.sum) > maxSum {
		return scrypted{}, ErrHash
	}
	return h, nil
}

// memory is 128·N·r bytes, rounded up to KiB.
func (h scrypted) memory() uint32 { return uint32((uint64(128)<<h.logN*uint64(h.r) + 1023) >> 10) }

func (h scrypted) verify(pw string) (bool, error) {
	sum, err := scrypt.Key([]byte(pw), h.salt, 1<<h.logN, int(h.r), int(h.p), len(h.sum))
	if err != nil {
		return false, ErrHash
	}
	return equal(sum, h.sum), nil
}
