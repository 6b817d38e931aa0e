// SPDX-License-Identifier: Apache-2.0

package clientip_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/ipfilter/clientip"
)

func Example() {
	resolver, err := clientip.New(clientip.Config{
		Source:  clientip.XForwardedFor,
		Trusted: []string{"10.0.0.0/8"}, // the load balancers, and nobody else
	})
	if err != nil {
		log.Fatal(err)
	}
	portal := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin, _ := portalsec.OriginFrom(r.Context())
		fmt.Println(origin.Addr)
	})
	handler := portalsec.Chain(portal, resolver.Middleware())

	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "10.0.0.7:51000"
	// The client wrote 192.0.2.1 itself; the load balancer appended what it saw.
	r.Header.Set("X-Forwarded-For", "192.0.2.1, 198.51.100.23")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	// Output: 198.51.100.23
}
