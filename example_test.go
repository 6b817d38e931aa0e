// SPDX-License-Identifier: Apache-2.0

package portalsec_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/portalsec/portalsec"
)

// An application with a login of its own tells the SDK who acts in each request.
func Example() {
	ownLogin := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user := "7f3a" // from the application's own session
			ctx := portalsec.WithPrincipal(r.Context(), portalsec.Principal{ID: user, Tenant: "acme", Roles: []string{"agent"}})
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := portalsec.PrincipalFrom(r.Context())
		if !p.HasRole("administrator") {
			portalsec.Deny(w, r, portalsec.Denial{Code: "not-allowed", Title: "Administrators only"})
		}
	})
	w := httptest.NewRecorder()
	portalsec.Chain(handler, ownLogin).ServeHTTP(w, httptest.NewRequest("GET", "/settings", nil))
	fmt.Println(w.Code, w.Body)
	// Output:
	// 403 {"type":"about:blank","title":"Administrators only","status":403,"code":"not-allowed"}
}
