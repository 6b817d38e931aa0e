// SPDX-License-Identifier: Apache-2.0

package portalsec_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/stretchr/testify/require"
)

func TestChain(t *testing.T) {
	t.Parallel()
	var order []string
	mark := func(name string) portalsec.Middleware {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				next.ServeHTTP(w, r)
			})
		}
	}
	h := portalsec.Chain(mark("handler")(http.NotFoundHandler()), mark("first"), nil, mark("second"))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	require.Equal(t, []string{"first", "second", "handler"}, order)
}

func TestChainRefusalStops(t *testing.T) {
	t.Parallel()
	refuse := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			portalsec.Deny(w, r, portalsec.Denial{})
		})
	}
	reached := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was reached") })
	w := httptest.NewRecorder()
	portalsec.Chain(reached, refuse).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, http.StatusForbidden, w.Code)
}

func TestClock(t *testing.T) {
	t.Parallel()
	var system portalsec.Clock
	before := time.Now()
	now := system.Now()
	require.False(t, now.Before(before) || now.After(time.Now()))
	require.Equal(t, time.UTC, now.Location())

	vienna := time.Date(2026, 7, 1, 12, 0, 0, 0, time.FixedZone("CEST", 2*60*60))
	fixed := portalsec.Clock(func() time.Time { return vienna })
	require.Equal(t, time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC), fixed.Now())
}
