// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/portalsec/portalsec/rbac"
	"github.com/stretchr/testify/require"
)

func BenchmarkCheck(b *testing.B) {
	w := newWorld(b, policy)
	w.give(b, "anna", "agent", "acme")
	w.give(b, "carl", "customer", "acme")
	for _, bench := range []struct {
		name, id string
		res      thing
	}{{"always", "anna", thing{"acme", "carl"}}, {"own", "carl", thing{"acme/berlin", "carl"}}} {
		var res rbac.Resource = bench.res
		b.Run(bench.name+"/version read", func(b *testing.B) {
			ctx := as(b, bench.id, "acme")
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Check(ctx, ticketRead, res); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bench.name+"/in a request", func(b *testing.B) {
			mux := rbac.NewMux(w.Engine)
			mux.HandleFunc("/", rbac.SignedIn("benchmark"), func(_ http.ResponseWriter, r *http.Request) {
				ctx := r.Context()
				b.ReportAllocs()
				for b.Loop() {
					if err := w.Check(ctx, ticketRead, res); err != nil {
						b.Fatal(err)
					}
				}
			})
			mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(as(b, bench.id, "acme"), "GET", "/", nil))
		})
	}
}

func BenchmarkMux(b *testing.B) {
	w := newWorld(b, policy)
	w.give(b, "anna", "agent", "acme")
	mux := rbac.NewMux(w.Engine)
	mux.HandleFunc("GET /x", rbac.Need(ticketRead), func(http.ResponseWriter, *http.Request) {})
	r := httptest.NewRequestWithContext(as(b, "anna", "acme"), "GET", "/x", nil)
	rec := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		mux.ServeHTTP(rec, r)
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	w := newWorld(t, policy)
	w.give(t, "carl", "customer", "acme")
	ctx := as(t, "carl", "acme")
	var res rbac.Resource = thing{"acme", "carl"}
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = w.Check(ctx, ticketRead, res) }))
}
