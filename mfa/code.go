// SPDX-License-Identifier: Apache-2.0

package mfa

import (
	"strings"
	"unicode"
)

// longestCode is the most bytes that are looked at: a recovery code in full-width characters, generously spaced.
const longestCode = 128

// normalise gives a code without what people and their keyboards add: spaces, hyphens, invisible characters,
// full-width forms and lower case. What is too long to be a code becomes empty.
func normalise(typed string) string {
	if len(typed) > longestCode {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r >= '！' && r <= '～' { // U+FF01 to U+FF5E are ASCII's printable characters
			r -= '！' - '!'
		}
		if unicode.In(r, unicode.White_Space, unicode.Dash, unicode.Cf) {
			return -1
		}
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, typed)
}

// isTOTP tells whether a normalised code has the form of a TOTP code.
func isTOTP(code string) bool {
	return len(code) == digits && strings.Trim(code, "0123456789") == ""
}

// asRecovery gives a normalised code as recovery codes are hashed, if it has their form. Letters that the
// alphabet lacks are read as the digits that they look like.
func asRecovery(code string) (string, bool) {
	if len(code) != recoveryLength {
		return "", false
	}
	code = lookalikes.Replace(code)
	_, err := recoveryText.DecodeString(code)
	return code, err == nil
}

var lookalikes = strings.NewReplacer("O", "0", "I", "1", "L", "1")
