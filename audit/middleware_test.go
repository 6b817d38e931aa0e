// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portalsec/portalsec/audit"
	"github.com/stretchr/testify/require"
)

// serve sends one request through the middleware and a mux with handler at /tickets/{id}.
func serve(t *testing.T, rec audit.Recorder, method string, handler http.HandlerFunc) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	mux.HandleFunc("/tickets/{id}", handler)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "/tickets/9?q=secret", nil)
	audit.Middleware(rec)(mux).ServeHTTP(w, r.WithContext(inside(t.Context())))
	return w
}

func TestMiddlewareRecordsAChange(t *testing.T) {
	t.Parallel()
	var rec list
	serve(t, &rec, "POST", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusCreated) })
	require.Len(t, rec.events, 1)
	e := rec.events[0]
	require.Equal(t, audit.HTTPRequest, e.Kind)
	require.Equal(t, audit.Success, e.Outcome)
	require.Equal(t, 201, e.Status)
	require.Equal(t, "POST", e.Method)
	require.Equal(t, "/tickets/{id}", e.Route, "the pattern, never the path")
	require.Equal(t, audit.Pseudonym("u1"), e.Actor)
	require.Equal(t, "acme", e.Tenant)
	require.Regexp(t, `^[0-9a-f]{32}$`, e.Trace)
}

func TestMiddlewareLeavesReadsAlone(t *testing.T) {
	t.Parallel()
	var rec list
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE"} {
		serve(t, &rec, method, func(http.ResponseWriter, *http.Request) {})
	}
	require.Empty(t, rec.events)
	for i, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND"} {
		serve(t, &rec, method, func(http.ResponseWriter, *http.Request) {})
		require.Len(t, rec.events, i+1, "%s may change something", method)
	}
}

func TestMiddlewareUnlessTheHandlerDid(t *testing.T) {
	t.Parallel()
	var rec list
	serve(t, &rec, "POST", func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, rec.Record(r.Context(), audit.Event{Kind: "app.ticket_closed", Outcome: audit.Success}))
		require.NoError(t, rec.Record(r.Context(), audit.Event{Kind: "app.mail_sent", Outcome: audit.Success}))
	})
	require.Len(t, rec.events, 2)
	require.Equal(t, audit.Kind("app.ticket_closed"), rec.events[0].Kind)
	require.Equal(t, "POST", rec.events[0].Method)
	require.Equal(t, "/tickets/{id}", rec.events[0].Route)
	require.Equal(t, rec.events[0].Trace, rec.events[1].Trace, "one trace joins them")
}

// A log refuses a kind that it does not know. The request must not vanish with the event.
func TestMiddlewareRecordsBesideAnUnknownKind(t *testing.T) {
	t.Parallel()
	var kept list
	rec := audit.RecorderFunc(func(ctx context.Context, e audit.Event) error {
		e = audit.Prepare(ctx, e)
		if !e.Kind.Known() {
			return errors.New("unknown kind")
		}
		return kept.Record(ctx, e)
	})
	serve(t, rec, "POST", func(w http.ResponseWriter, r *http.Request) {
		require.Error(t, rec.Record(r.Context(), audit.Event{Kind: "ticket.closed", Outcome: audit.Success}))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	require.Len(t, kept.events, 1)
	require.Equal(t, audit.HTTPRequest, kept.events[0].Kind)
	require.Equal(t, 503, kept.events[0].Status)
}

func TestMiddlewareOutcomes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		want   audit.Outcome
	}{
		{200, audit.Success}, {303, audit.Success}, {400, audit.Failure}, {401, audit.Denied}, {403, audit.Denied},
		{404, audit.Denied}, {409, audit.Failure}, {500, audit.Error}, {503, audit.Error},
	} {
		var rec list
		serve(t, &rec, "POST", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints) // is not the answer
			w.WriteHeader(tc.status)
			w.WriteHeader(http.StatusTeapot) // nor is this, it is too late
		})
		require.Equal(t, tc.status, rec.events[0].Status)
		require.Equal(t, tc.want, rec.events[0].Outcome)
	}
}

func TestMiddlewareStatusWithoutWriteHeader(t *testing.T) {
	t.Parallel()
	var rec list
	serve(t, &rec, "POST", func(w http.ResponseWriter, r *http.Request) {})
	serve(t, &rec, "POST", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.WriteString(w, "done")
		require.NoError(t, err)
		w.WriteHeader(http.StatusTeapot)
	})
	require.Equal(t, 200, rec.events[0].Status)
	require.Equal(t, 200, rec.events[1].Status)
}

func TestMiddlewareUnmatchedRoute(t *testing.T) {
	t.Parallel()
	var rec list
	r := httptest.NewRequest("POST", "/nothing/here", nil)
	audit.Middleware(&rec)(http.NewServeMux()).ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, 404, rec.events[0].Status)
	require.Empty(t, rec.events[0].Route)
}

func TestMiddlewareRecordsAPanicAndPassesItOn(t *testing.T) {
	t.Parallel()
	var rec list
	boom := errors.New("boom")
	require.PanicsWithValue(t, boom, func() {
		serve(t, &rec, "POST", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			panic(boom)
		})
	})
	require.Len(t, rec.events, 1)
	require.Equal(t, 500, rec.events[0].Status, "whatever was sent before")
	require.Equal(t, audit.Error, rec.events[0].Outcome)
	require.Equal(t, "/tickets/{id}", rec.events[0].Route)
	require.PanicsWithValue(t, boom, func() {
		serve(t, &rec, "GET", func(http.ResponseWriter, *http.Request) { panic(boom) })
	})
	require.Len(t, rec.events, 1)
}

func TestMiddlewareTrace(t *testing.T) {
	t.Parallel()
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, tc := range []struct {
		name, header string
		taken        bool
	}{
		{"of W3C Trace Context", "00-" + id + "-00f067aa0ba902b7-01", true},
		{"none", "", false},
		{"another version", "01-" + id + "-00f067aa0ba902b7-01", false},
		{"capitals", "00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01", false},
		{"all zero", "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", false},
		{"a line feed in it", "00-4bf92f3577b34da6\n3ce929d0e0e47361-00f067aa0ba902b7-01", false},
		{"too long", "00-" + id + "-00f067aa0ba902b7-01-x", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var rec list
			r := httptest.NewRequest("POST", "/", nil)
			r.Header.Set("Traceparent", tc.header)
			audit.Middleware(&rec)(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
			got := rec.events[0].Trace
			require.Regexp(t, `^[0-9a-f]{32}$`, got)
			require.Equal(t, tc.taken, got == id, got)
		})
	}
}

func TestMiddlewareKeepsTheWritersAbilities(t *testing.T) {
	t.Parallel()
	var rec list
	w := serve(t, &rec, "POST", func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, http.NewResponseController(w).Flush())
	})
	require.True(t, w.Flushed)
}

// A flush sends the header, so that a later status comes too late.
func TestMiddlewareStatusOfAFlush(t *testing.T) {
	t.Parallel()
	var rec list
	w := serve(t, &rec, "POST", func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, http.NewResponseController(w).Flush())
		w.WriteHeader(http.StatusInternalServerError)
	})
	require.Equal(t, 200, w.Code)
	require.Equal(t, 200, rec.events[0].Status)
	require.Equal(t, audit.Success, rec.events[0].Outcome)

	serve(t, &rec, "POST", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		require.NoError(t, http.NewResponseController(w).Flush())
	})
	require.Equal(t, 201, rec.events[1].Status, "a status that was given stays")
}

// A writer that cannot flush has sent nothing.
func TestMiddlewareStatusOfAFlushThatIsNotSupported(t *testing.T) {
	t.Parallel()
	var rec list
	w := httptest.NewRecorder()
	audit.Middleware(&rec)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.ErrorIs(t, http.NewResponseController(w).Flush(), http.ErrNotSupported)
		w.WriteHeader(http.StatusInternalServerError)
	})).ServeHTTP(struct{ http.ResponseWriter }{w}, httptest.NewRequest("POST", "/", nil))
	require.Equal(t, 500, w.Code)
	require.Equal(t, 500, rec.events[0].Status)
}

func TestMiddlewareWithoutRecorder(t *testing.T) {
	t.Parallel()
	w := serve(t, nil, "POST", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	require.Equal(t, 204, w.Code)
}

func BenchmarkMiddleware(b *testing.B) {
	h := audit.Middleware(audit.Discard)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("POST", "/", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
