// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/portalsec/portalsec"
)

// request is what an event takes from the request that it belongs to.
type request struct {
	r        *http.Request
	trace    string
	recorded atomic.Bool
}

type requestKey struct{}

// Middleware records one [HTTPRequest] event for each request that may change something (any method but GET,
// HEAD, OPTIONS and TRACE), unless the handler recorded an event of its own. It also gives every event of the
// request its method, route pattern and trace. A nil rec is [Slog] of the default logger.
//
// It stands inside the middleware that sets the principal and the origin, right around the mux, because the
// mux tells the matched pattern only to who hands it the request. A handler that panics is recorded too, with
// status 500, and the panic goes on.
//
// The trace is taken from the Traceparent header, so a client can choose it: it joins events, it proves
// nothing.
func Middleware(rec Recorder) portalsec.Middleware {
	if rec == nil {
		rec = Slog(nil)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := &request{trace: traceID(r.Header.Get("Traceparent"))}
			r = r.WithContext(context.WithValue(r.Context(), requestKey{}, q))
			q.r = r
			switch r.Method {
			case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
				next.ServeHTTP(w, r) // unwrapped: nothing asks for its status
				return
			}
			sw := &statusWriter{ResponseWriter: w}
			returned := false
			defer func() {
				if !returned { // it panics
					sw.status = http.StatusInternalServerError
				}
				finish(rec, q, sw.status)
			}()
			next.ServeHTTP(sw, r)
			returned = true
		})
	}
}

// traceID gives the trace ID of a traceparent header of version 00 (W3C Trace Context section 3.2), or a random
// one where there is none.
func traceID(traceparent string) string {
	if len(traceparent) == 55 && traceparent[:3] == "00-" && traceparent[35] == '-' && traceparent[52] == '-' {
		id := traceparent[3:35]
		if strings.Trim(id, "0123456789abcdef") == "" && strings.Trim(id, "0") != "" {
			return id
		}
	}
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// finish records the request unless an event of it was recorded.
func finish(rec Recorder, q *request, status int) {
	if q.recorded.Load() {
		return
	}
	if status == 0 {
		status = http.StatusOK
	}
	outcome := Success
	switch {
	case status >= 500:
		outcome = Error
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound:
		outcome = Denied
	case status >= 400:
		outcome = Failure
	}
	// The response is sent: an error can no longer stop the act, and the recorder raises its own alarm.
	_ = rec.Record(q.r.Context(), Event{Kind: HTTPRequest, Outcome: outcome, Status: status})
}

// statusWriter remembers the status of the response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the first status that is final.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes the body; the first call means status 200.
func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// FlushError sends the header; the first call means status 200. http.ResponseController finds it before it looks
// further in.
func (w *statusWriter) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if w.status == 0 && !errors.Is(err, http.ErrNotSupported) {
		w.status = http.StatusOK
	}
	return err
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
