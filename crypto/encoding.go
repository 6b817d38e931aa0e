// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// The labels that begin every encoding, so that no two uses of a key ever see the same input. They are part
// of the stored format.
const (
	labelValue      = "portalsec/crypto/v1/value"
	labelFile       = "portalsec/crypto/v1/file"
	labelFileName   = "portalsec/crypto/v1/file name"
	labelKey        = "portalsec/crypto/v1/key"
	labelCommitment = "portalsec/crypto/v1/commitment"
	labelSubkey     = "portalsec/crypto/v1/subkey"
	labelIndex      = "portalsec/crypto/v1/index"
	labelKeyFile    = "portalsec/crypto/v1/key file"

	labelApplication = "portalsec/crypto/v1/application"
)

// The purposes that subkeys are derived for. A data key itself encrypts nothing.
const (
	purposeValue = "value"
	purposeFile  = "file"
	purposeWrap  = "wrap"
	purposeID    = "id"
)

// appendTuple appends each part after its length in 4 bytes, big-endian. The encoding is injective: the
// parts can be read back, so two different lists never meet, however their text is cut.
func appendTuple[T ~string | ~[]byte](dst []byte, parts ...T) []byte {
	for _, p := range parts {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(p)))
		dst = append(dst, p...)
	}
	return dst
}

// appendPlace appends the encoding of the place that something sealed belongs to. The subject is not in it: the
// key ID stands for them, because a key record is bound to its subject.
func appendPlace(dst []byte, label string, suite byte, id KeyID, row Row, table, column, purpose string) []byte {
	dst = appendTuple(dst, label)
	dst = appendTuple(dst, []byte{suite}, id[:])
	return appendTuple(dst, row.Tenant, table, column, row.ID, purpose)
}

// derive gives 32 bytes that are independent of those for any other info (HKDF-SHA-256, RFC 5869, no salt:
// the secret is uniformly random).
func derive(secret []byte, info ...string) *[32]byte {
	b, err := hkdf.Key(sha256.New, secret, nil, string(appendTuple(nil, info...)), 32)
	if err != nil {
		panic(err) // only for a length above 8160 bytes
	}
	return (*[32]byte)(b)
}
