// SPDX-License-Identifier: Apache-2.0

package httpsec_test

import (
	"fmt"
	"html/template"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/httpsec"
)

func Example() {
	page := template.Must(template.New("page").Parse(`<script nonce="{{.}}">start()</script>`))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		_ = page.Execute(w, httpsec.Nonce(r.Context()))
	})

	config := httpsec.Config{Addr: "127.0.0.1:8080", Audit: audit.Discard}
	headers, err := httpsec.Headers(config)
	if err != nil {
		log.Fatal(err)
	}
	crossOrigin, err := httpsec.CrossOrigin(config)
	if err != nil {
		log.Fatal(err)
	}
	config.Handler = portalsec.Chain(mux, httpsec.Recover(config.Audit, nil), headers, crossOrigin)
	server := httpsec.Server(config) // then server.ListenAndServe()

	w := httptest.NewRecorder()
	server.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	_, nonce, _ := strings.Cut(w.Body.String(), `nonce="`)
	nonce, _, _ = strings.Cut(nonce, `"`)
	fmt.Println(w.Code, strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src 'nonce-"+nonce+"'"))

	forged := httptest.NewRequest(http.MethodPost, "/", nil)
	forged.Header.Set("Sec-Fetch-Site", "cross-site")
	w = httptest.NewRecorder()
	server.Handler.ServeHTTP(w, forged)
	fmt.Println(w.Code)
	// Output:
	// 200 true
	// 403
}
