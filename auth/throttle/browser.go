// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
)

// A browser token is base64url(id ‖ tag): 16 random bytes and their HMAC with the account.
const (
	browserIDSize   = 16
	browserTokenLen = (browserIDSize + len(Key{})) * 4 / 3
)

var browserEncoding = base64.RawURLEncoding.Strict()

// BrowserToken gives a token of 64 characters for a browser that has just signed in to the account, with all its
// factors. Keep it there in a cookie of its own (Secure, HttpOnly, SameSite=Lax) that outlives the session.
//
// The token only chooses a lane; it proves nobody's identity. It stays good when the password changes, and
// whoever steals one gains 100 guesses.
func (t *Throttle) BrowserToken(account string) string {
	b := make([]byte, browserIDSize, browserIDSize+len(Key{}))
	rand.Read(b) // never fails: it ends the process instead
	key := t.account(account)
	tag := t.mac("browser-token", key[:], b)
	return browserEncoding.EncodeToString(append(b, tag[:]...))
}

// browser gives the ID in a token, if it was made for the account. Without this check a client could name a new
// browser with every guess, and so have a new counter.
func (t *Throttle) browser(account Key, token string) (id []byte, ok bool) {
	if len(token) != browserTokenLen {
		return nil, false
	}
	b, err := browserEncoding.DecodeString(token)
	if err != nil || len(b) != browserIDSize+len(Key{}) { // the decoder passes over line ends
		return nil, false
	}
	id = b[:browserIDSize]
	tag := t.mac("browser-token", account[:], id)
	return id, hmac.Equal(tag[:], b[browserIDSize:])
}
