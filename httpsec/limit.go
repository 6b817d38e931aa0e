// SPDX-License-Identifier: Apache-2.0

package httpsec

import (
	"net/http"

	"github.com/portalsec/portalsec"
)

// Limit bounds the body of a request to maxBody bytes. One that is announced longer is refused with status 413 before
// the handler runs. One that turns out longer gives the handler an *http.MaxBytesError at the byte after the
// limit, to be answered in the same way, and the connection is closed. Of limits inside each other the least
// counts. A maxBody below 0 counts as 0. deny may be nil for [portalsec.Deny].
func Limit(maxBody int64, deny portalsec.DenyFunc) portalsec.Middleware {
	_, deny = defaults(nil, deny)
	maxBody = max(maxBody, 0)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > maxBody {
				w.Header().Set("Connection", "close") // else the server would read the body to reuse the connection
				deny(w, r, portalsec.Denial{Status: http.StatusRequestEntityTooLarge, Code: "body-too-large", Title: "The request is too large"})
				return
			}
			limited := *r
			limited.Body = http.MaxBytesReader(innermost(w), r.Body, maxBody)
			next.ServeHTTP(w, &limited)
		})
	}
}

// innermost gives the server's own writer, which http.MaxBytesReader tells to close the connection.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}
