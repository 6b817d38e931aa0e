// SPDX-License-Identifier: Apache-2.0

package portalsec

import (
	"net/http"
	"time"
)

// Middleware wraps a handler in another one. A nil Middleware wraps nothing.
type Middleware func(http.Handler) http.Handler

// Chain wraps h in middleware. The first is the outermost: it sees the request first.
func Chain(h http.Handler, m ...Middleware) http.Handler {
	for i := len(m) - 1; i >= 0; i-- {
		if m[i] != nil {
			h = m[i](h)
		}
	}
	return h
}

// Clock gives the present time. A nil Clock is the system's; a test passes its own.
type Clock func() time.Time

// Now gives the present time in UTC.
func (c Clock) Now() time.Time {
	if c == nil {
		return time.Now().UTC()
	}
	return c().UTC()
}

// Row names the place where a protected value is stored. Protection is bound to it: a value that is moved
// to another row or tenant does not open. Packages that keep secrets ask their sealer for it, and the
// values of package crypto satisfy them.
type Row struct {
	// Tenant chooses the key. Empty in a portal of one organisation.
	Tenant string
	// Subject is the ID of the person whom the value is about, empty when it is about nobody. Erasing the
	// subject makes the value unreadable.
	Subject string
	// ID is the row's primary key. It must be known before the value is sealed.
	ID string
}
