// SPDX-License-Identifier: Apache-2.0

package httpsec

import (
	"fmt"
	"net/http"
	"path"
	"runtime"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// Recover turns a panic of a handler into status 500 and an [audit.HTTPPanic]. The client learns nothing of it. The event
// has the type of the panic's value and the functions and lines that led to it, but neither the value nor any
// argument, which may be personal data. Where the response has begun, the connection is broken off, so that
// half a page is not taken for a whole one. http.ErrAbortHandler goes on to the server as it is meant to. record
// and deny may be nil for the defaults.
//
// It must be the outermost middleware, or panics further out end the connection without a record.
func Recover(record audit.Recorder, deny portalsec.DenyFunc) portalsec.Middleware {
	record, deny = defaults(record, deny)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sw := &startWriter{ResponseWriter: w}
			defer func() {
				v := recover()
				if v == nil {
					return
				}
				if err, ok := v.(error); ok && err == http.ErrAbortHandler { // compared as the server does
					panic(v)
				}
				e := audit.ForRequest(r, audit.HTTPPanic, audit.Error)
				e.Severity, e.Reason = audit.Critical, "panic"
				e.Details = []audit.Detail{{Name: "type", Value: fmt.Sprintf("%T", v)}, {Name: "at", Value: panicPath()}}
				if !sw.started {
					e.Status = http.StatusInternalServerError
				}
				_ = record.Record(r.Context(), e) // nothing is left to refuse
				if sw.started {
					panic(http.ErrAbortHandler)
				}
				for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Disposition", "Etag", "Last-Modified", "Location"} {
					w.Header().Del(name) // they were of the page that did not come
				}
				deny(w, r, portalsec.Denial{Status: http.StatusInternalServerError, Code: "internal-error"})
			}()
			next.ServeHTTP(sw, r)
		})
	}
}

// panicPath gives the functions between the panic and this package, nearest first, each with its file's name and line.
func panicPath() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	var out []string
	panicked := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		switch {
		case f.Function == "runtime.gopanic":
			panicked, out = true, nil // of panics inside each other the first
		case panicked && !inRuntime && len(out) < 16:
			out = append(out, fmt.Sprintf("%s (%s:%d)", f.Function, path.Base(f.File), f.Line))
		}
		if !more {
			return strings.Join(out, " < ")
		}
	}
}

// startWriter knows whether the response has begun.
type startWriter struct {
	http.ResponseWriter
	started bool
}

// WriteHeader begins the response, unless the status is informational.
func (w *startWriter) WriteHeader(status int) {
	w.started = w.started || status >= 200 || status == http.StatusSwitchingProtocols
	w.ResponseWriter.WriteHeader(status)
}

// Write begins the response.
func (w *startWriter) Write(b []byte) (int, error) {
	w.started = true
	return w.ResponseWriter.Write(b)
}

// FlushError begins the response. http.ResponseController finds it before it looks further in.
func (w *startWriter) FlushError() error {
	w.started = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *startWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
