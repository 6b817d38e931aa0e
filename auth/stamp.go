// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/portalsec/portalsec"
)

// stamp sums up what a session may do: 16 characters for the set of its user's roles. A session keeps the one with
// which it got its token.
type stamp [16]byte

// stampOf gives the stamp of roles, which may be in any order and double. It is made for each request.
func stampOf(roles []string) (s stamp) {
	if !slices.IsSorted(roles) {
		roles = slices.Clone(roles)
		slices.Sort(roles)
	}
	var room [512]byte
	b := room[:0]
	for i, role := range roles {
		if i > 0 && role == roles[i-1] {
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(role)))
		b = append(b, role...)
	}
	sum := sha256.Sum256(b)
	base64.RawURLEncoding.Encode(s[:], sum[:12])
	return s
}

// String gives the stamp as a session keeps it.
func (s stamp) String() string { return string(s[:]) }

func (s stamp) is(text string) bool { return string(s[:]) == text }

// restamp gives the session of r a new token, because the roles of p are no longer those with which it got its token.
// The request that it gives back carries the new token, and the answer can be kept by no cache. When another request was
// first, that one's answer carries the cookie, and r goes on: it was checked before its token died.
func (a *Auth) restamp(w http.ResponseWriter, r *http.Request, p portalsec.Principal) (http.ResponseWriter, *http.Request, error) {
	_, err := a.sessions.Restamp(r.Context(), w, r, stampOf(p.Roles).String())
	switch {
	case errors.Is(err, ErrNoSession):
		return w, r, nil
	case err != nil:
		return w, r, err
	}
	cookies := w.Header()["Set-Cookie"]
	c, err := http.ParseSetCookie(cookies[len(cookies)-1])
	if err != nil {
		return w, r, fmt.Errorf("auth: restamp: %w", err)
	}
	return &uncached{ResponseWriter: w}, withCookie(r, c.Name, c.Value), nil
}

// uncached forbids that an answer be kept, whatever the handler says of it: a cache that gave the cookie of a session to
// others would sign them in.
type uncached struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader has the last word on Cache-Control. After an informational answer, such as 103, another follows.
func (u *uncached) WriteHeader(status int) {
	u.begun = u.begun || status >= 200 || status == http.StatusSwitchingProtocols
	u.Header().Set("Cache-Control", "no-store")
	u.ResponseWriter.WriteHeader(status)
}

// Write begins the answer where the handler has not.
func (u *uncached) Write(b []byte) (int, error) {
	if !u.begun {
		u.WriteHeader(http.StatusOK)
	}
	return u.ResponseWriter.Write(b)
}

// FlushError sends what there is, and before it the header.
func (u *uncached) FlushError() error {
	if !u.begun {
		u.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(u.ResponseWriter).Flush()
}

// Unwrap is for [http.ResponseController].
func (u *uncached) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// withCookie gives r with another value of a cookie, so that a handler can rotate and end the session that has a new
// token since r was sent.
func withCookie(r *http.Request, name, value string) *http.Request {
	r = r.Clone(r.Context())
	for i, line := range r.Header["Cookie"] {
		parts := strings.Split(line, ";")
		for j, part := range parts {
			if n, _, _ := strings.Cut(part, "="); strings.Trim(n, " \t") == name {
				parts[j] = " " + name + "=" + value
			}
		}
		r.Header["Cookie"][i] = strings.TrimLeft(strings.Join(parts, ";"), " ")
	}
	return r
}
