// SPDX-License-Identifier: Apache-2.0

package password

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

const (
	// leastIterations is what the OWASP Password Storage Cheat Sheet lists for PBKDF2-HMAC-SHA-256.
	leastIterations = 600_000
	// maxIterations bounds what a hash may cost in time: a few seconds. Django's default grows by about 100,000 a year.
	maxIterations = 10_000_000
)

// pbkdf2Form is who wrote a PBKDF2 hash.
type pbkdf2Form uint8

const (
	ownForm    pbkdf2Form = iota // $pbkdf2-sha256$i=600000$salt$sum
	lengthForm                   // $pbkdf2-sha256$i=600000,l=32$salt$sum, as by RustCrypto
	passlib                      // $pbkdf2-sha256$29000$salt$sum, with a point in place of the plus
	django                       // pbkdf2_sha256$1000000$salt$sum, with the salt as text and the sum padded
)

// iterated is a parsed hash of PBKDF2-HMAC-SHA-256 (RFC 8018).
type iterated struct {
	form       pbkdf2Form
	iterations int
	salt       []byte
	sum        []byte
}

// passlib64 is the base64 of passlib, which calls it ab64.
var passlib64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").WithPadding(base64.NoPadding).Strict()

// String gives the one form of h that parsePBKDF2 takes.
func (h iterated) String() string {
	n := strconv.Itoa(h.iterations)
	switch h.form {
	case django:
		return "pbkdf2_sha256$" + n + "$" + string(h.salt) + "$" + base64.StdEncoding.EncodeToString(h.sum)
	case passlib:
		return "$pbkdf2-sha256$" + n + "$" + passlib64.EncodeToString(h.salt) + "$" + passlib64.EncodeToString(h.sum)
	case lengthForm:
		n += ",l=" + strconv.Itoa(len(h.sum))
	}
	return "$pbkdf2-sha256$i=" + n + "$" + b64.EncodeToString(h.salt) + "$" + b64.EncodeToString(h.sum)
}

// parsePBKDF2 reads a hash of PBKDF2 that is no longer than maxStored.
func parsePBKDF2(s string) (iterated, error) {
	var h iterated
	rest, ok := strings.CutPrefix(s, "pbkdf2_sha256$")
	encoding, name := base64.StdEncoding.Strict(), ""
	if ok {
		h.form = django
	} else {
		rest, ok = strings.CutPrefix(s, "$pbkdf2-sha256$")
		encoding, name = b64, "i="
		if !strings.HasPrefix(rest, name) {
			h.form, encoding, name = passlib, passlib64, ""
		}
	}
	costs, rest, ok2 := strings.Cut(rest, "$")
	salt, sum, ok3 := strings.Cut(rest, "$")
	if !(ok && ok2 && ok3) {
		return iterated{}, ErrHash
	}
	length := ""
	if h.form == ownForm {
		var with bool
		if costs, length, with = strings.Cut(costs, ","); with {
			h.form = lengthForm
		}
	}
	n, err1 := cost(costs, name, 32)
	if h.form == django {
		h.salt = []byte(salt)
	} else {
		var err error
		if h.salt, err = encoding.DecodeString(salt); err != nil {
			return iterated{}, ErrHash
		}
	}
	var err2 error
	h.iterations = int(n)
	h.sum, err2 = encoding.DecodeString(sum)
	if err1 != nil || err2 != nil || h.iterations > maxIterations || len(h.salt) == 0 || len(h.salt) > maxSalt ||
		len(h.sum) < minSum || len(h.sum) > maxSum || h.form == lengthForm && length != "l="+strconv.Itoa(len(h.sum)) {
		return iterated{}, ErrHash
	}
	if h.String() != s {
		return iterated{}, ErrHash
	}
	return h, nil
}

func (h iterated) memory() uint32 { return 0 }

func (h iterated) verify(pw string) (bool, error) {
	sum, err := h.derive(pw)
	return err == nil && equal(sum, h.sum), err
}

// derive computes PBKDF2. It fails only in strict FIPS mode, for a salt of less than 16 bytes.
func (h iterated) derive(pw string) ([]byte, error) {
	sum, err := pbkdf2.Key(sha256.New, pw, h.salt, h.iterations, len(h.sum))
	if err != nil {
		return nil, ErrHash
	}
	return sum, nil
}
