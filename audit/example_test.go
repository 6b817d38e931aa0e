// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

func Example() {
	rec := audit.Slog(slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTimeAndIDs})))

	mux := http.NewServeMux()
	mux.HandleFunc("POST /tickets/{id}/close", func(w http.ResponseWriter, r *http.Request) {
		err := rec.Record(r.Context(), audit.Event{
			Kind: "app.ticket_closed", Outcome: audit.Success, Target: &audit.Target{Type: "ticket", ID: r.PathValue("id")},
		})
		if err != nil { // the ticket stays open
			portalsec.Deny(w, r, portalsec.Denial{Status: http.StatusServiceUnavailable})
			return
		}
		fmt.Fprintln(w, "closed")
	})
	handler := portalsec.Chain(mux, signedIn, audit.Middleware(rec))

	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/tickets/9/close", nil))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/elsewhere", nil))
	// Output:
	// level=INFO msg=app.ticket_closed outcome=success tenant=acme actor=u1 target=ticket/9 method=POST route="POST /tickets/{id}/close"
	// level=INFO msg=http.request outcome=denied tenant=acme actor=u1 method=POST status=404
}

func signedIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := portalsec.WithPrincipal(r.Context(), portalsec.Principal{ID: "u1", Tenant: "acme"})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func withoutTimeAndIDs(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, "id", "trace":
		return slog.Attr{}
	}
	return a
}
