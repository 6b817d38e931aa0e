// SPDX-License-Identifier: Apache-2.0

package password

import (
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
)

// The bounds of what a stored hash may ask for. Whoever can write one hash must not be able to exhaust the
// machine with it.
const (
	maxStored = 256 // bytes
	minSum    = 16  // bytes; RFC 9106 allows 4, which is no hash of a password
	maxSum    = 64
	maxSalt   = 64
)

// hash is a stored hash. Nothing that reading one allocates depends on its parameters.
type hash interface {
	// verify tells whether the password is right, in time that does not depend on how wrong it is.
	verify(pw string) (bool, error)
	// memory gives the KiB that verify uses.
	memory() uint32
}

// parse reads a stored hash and refuses one whose parameters are out of bounds.
func parse(s string) (hash, error) {
	if len(s) > maxStored {
		return nil, ErrHash
	}
	switch name, _, _ := strings.Cut(strings.TrimPrefix(s, "$"), "$"); name {
	case "argon2id", "argon2i":
		return orErrHash(parsePHC(s))
	case "pbkdf2-sha256", "pbkdf2_sha256":
		return orErrHash(parsePBKDF2(s))
	case "scrypt":
		return orErrHash(parseScrypt(s))
	case "2a", "2b", "2y":
		return orErrHash(parseBcrypt(s))
	}
	return nil, ErrHash
}

// orErrHash keeps a failed parser's zero value from looking like a hash.
func orErrHash[H hash](h H, err error) (hash, error) {
	if err != nil {
		return nil, err
	}
	return h, nil
}

// b64 is PHC's own base64: standard alphabet, no padding.
var b64 = base64.RawStdEncoding.Strict()

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// cost reads a number that a name stands before, in its one spelling.
func cost(s, name string, bits int) (uint64, error) {
	digits, ok := strings.CutPrefix(s, name)
	if !ok || digits == "" || digits[0] < '1' || digits[0] > '9' {
		return 0, ErrHash // no sign, no leading zero; no cost is zero
	}
	return strconv.ParseUint(digits, 10, bits)
}
