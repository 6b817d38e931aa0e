// SPDX-License-Identifier: Apache-2.0

package mfa

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/internal/uuid"
)

const (
	recoveryCodes      = 10
	recoverySize       = 10 // bytes; NIST SP 800-63B-4 section 4.2.1.1 asks for 64 bits
	recoveryLength     = 16 // characters
	recoveryFormat     = 1
	recoverySalt       = 16 // bytes
	recoveryHash       = sha256.Size
	recoveryIterations = 10_000
)

// recoveryText is Crockford's base32: it has no I, L, O and U, so that what looks alike reads alike.
var recoveryText = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// newRecovery makes a set of recovery codes, and gives it as it is stored and as the user reads it.
//
// ASVS 6.5.2 wants codes of less than 112 bits under a password hash with a salt. It is PBKDF2, because that
// needs no memory worth speaking of, so a flood of codes cannot exhaust it, and works in FIPS 140 mode. One
// salt serves the set, so a try costs one hash and not ten. The iterations are fewer than a password needs:
// 80 random bits are out of reach by themselves.
func newRecovery(u User, now time.Time) (Factor, []string, error) {
	secret := make([]byte, 1+recoverySalt)
	secret[0] = recoveryFormat
	rand.Read(secret[1:])
	f := Factor{
		ID: uuid.NewV7(now), Tenant: u.Tenant, User: u.ID, Kind: portalsec.FactorRecovery, Secret: secret, Created: now,
		Codes: make([]RecoveryCode, recoveryCodes),
	}
	shown := make([]string, recoveryCodes)
	for i := range shown {
		var random [recoverySize]byte
		rand.Read(random[:])
		code := recoveryText.EncodeToString(random[:])
		hash, err := hashRecovery(secret, code)
		if err != nil {
			return Factor{}, nil, err
		}
		f.Codes[i].Hash = hash
		shown[i] = code[:4] + "-" + code[4:8] + "-" + code[8:12] + "-" + code[12:]
	}
	return f, shown, nil
}

func hashRecovery(secret []byte, code string) ([]byte, error) {
	if len(secret) != 1+recoverySalt || secret[0] != recoveryFormat {
		return nil, errors.New("mfa: recovery codes are of an unknown format")
	}
	hash, err := pbkdf2.Key(sha256.New, code, secret[1:], recoveryIterations, recoveryHash)
	if err != nil {
		return nil, fmt.Errorf("mfa: hash recovery code: %w", err)
	}
	return hash, nil
}

// findRecovery gives the stored code that code is, if it is one of f's.
func findRecovery(f Factor, code string) (found RecoveryCode, ok bool, err error) {
	hash, err := hashRecovery(f.Secret, code)
	if err != nil {
		return RecoveryCode{}, false, err
	}
	for _, c := range f.Codes {
		if subtle.ConstantTimeCompare(c.Hash, hash) == 1 {
			found, ok = c, true
		}
	}
	return found, ok, nil
}
