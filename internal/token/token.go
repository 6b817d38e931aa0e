// SPDX-License-Identifier: Apache-2.0

// Package token makes the secrets that a portal hands to a browser in a cookie, and reads them back.
//
// A token is 256 random bits as 43 characters of base64url without padding (RFC 4648 section 5). Only its
// SHA-256 is ever stored: what is read from the store opens nothing, and a plain hash is enough for a secret
// that nobody chose.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// Length is the number of characters of a token.
const Length = 43

// encoding is strict, so that one token has one spelling. It is kept because Strict copies its tables.
var encoding = base64.RawURLEncoding.Strict()

// New gives a fresh token and its hash.
func New() (text string, hash [sha256.Size]byte) {
	var b [32]byte
	rand.Read(b[:]) // never fails: it ends the process rather than return an error
	return encoding.EncodeToString(b[:]), sha256.Sum256(b[:])
}

// Parse gives the hash of a token, and false for what cannot be one.
func Parse(text string) (hash [sha256.Size]byte, ok bool) {
	if len(text) != Length {
		return hash, false
	}
	var b [33]byte
	// The decoder skips line breaks, which shorten the result.
	n, err := encoding.Decode(b[:], []byte(text))
	if err != nil || n != 32 {
		return hash, false
	}
	return sha256.Sum256(b[:32]), true
}

// Cookie is a cookie that carries a secret. The browser returns it to this host only, over TLS only, and
// shows it to no script.
type Cookie struct {
	// Name is the name without prefix.
	Name string
	// Insecure drops Secure and the prefix __Host-, for development over plain HTTP.
	Insecure bool
}

// hostPrefix keeps browsers from sending a cookie that another host or a plain HTTP page set (RFC 6265bis section
// 4.1.3.2).
const hostPrefix = "__Host-"

// FullName gives the name as it is sent.
func (c Cookie) FullName() string {
	if c.Insecure {
		return c.Name
	}
	return hostPrefix + c.Name
}

// Read gives the cookie's value, and whether the request carries it exactly once. Two of one name mean that
// somebody planted one, and there is no telling which. The header is read by hand because net/http drops a
// cookie that it cannot parse, and a dropped one must count.
func (c Cookie) Read(r *http.Request) (value string, ok bool) {
	found := 0
	for _, line := range r.Header["Cookie"] {
		for more := true; more; {
			var part string
			part, line, more = strings.Cut(line, ";")
			name, v, _ := strings.Cut(part, "=")
			if c.is(trim(name)) {
				value = trim(v)
				found++
			}
		}
	}
	if found != 1 {
		return "", false
	}
	return value, true
}

// is tells whether a cookie is called name, as FullName would, without building a string for each request.
func (c Cookie) is(name string) bool {
	if c.Insecure {
		return name == c.Name
	}
	rest, ok := strings.CutPrefix(name, hostPrefix)
	return ok && rest == c.Name
}

// trim removes white space as RFC 6265 section 5.4 knows it.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// Set sends the cookie, and forbids that the response be cached. The browser keeps it for maxAge, or until it
// is closed when maxAge is 0.
func (c Cookie) Set(w http.ResponseWriter, value string, maxAge time.Duration) {
	c.send(w, value, int(maxAge/time.Second))
}

// Clear removes the cookie from the browser.
func (c Cookie) Clear(w http.ResponseWriter) { c.send(w, "", -1) }

func (c Cookie) send(w http.ResponseWriter, value string, maxAge int) {
	// One response may set a cookie twice, as a sign-in right after a sign-out does: the last one counts.
	h := w.Header()
	prefix := c.FullName() + "="
	kept := h["Set-Cookie"][:0]
	for _, line := range h["Set-Cookie"] {
		if !strings.HasPrefix(line, prefix) {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
	} else {
		h["Set-Cookie"] = kept
	}
	h.Set("Cache-Control", "no-store")
	http.SetCookie(w, &http.Cookie{
		Name: c.FullName(), Value: value, Path: "/", MaxAge: maxAge,
		Secure: !c.Insecure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
