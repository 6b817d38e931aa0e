// SPDX-License-Identifier: Apache-2.0

package ipfilter_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/ipfilter"
	"github.com/portalsec/portalsec/ipfilter/clientip"
)

func Example() {
	resolver, err := clientip.New(clientip.Config{}) // no proxy: the connection tells the address
	if err != nil {
		log.Fatal(err)
	}
	filter, err := ipfilter.New(ipfilter.Config{
		Rules: ipfilter.Rules{
			Allow: []ipfilter.PrefixRule{{Prefix: "198.51.100.0/24", Label: "office"}},
			Deny:  []ipfilter.PrefixRule{{Prefix: "198.51.100.66", Reason: "public terminal"}},
		},
		Audit: audit.Discard,
	})
	if err != nil {
		log.Fatal(err)
	}
	portal := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		origin, _ := portalsec.OriginFrom(r.Context())
		fmt.Println("welcome,", origin.Network)
	})
	handler := portalsec.Chain(portal, resolver.Middleware(), filter.Middleware())

	for _, peer := range []string{"198.51.100.7:50000", "198.51.100.66:50000", "203.0.113.1:50000"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(peer, w.Code)
	}
	// Output:
	// welcome, office
	// 198.51.100.7:50000 200
	// 198.51.100.66:50000 403
	// 203.0.113.1:50000 403
}
