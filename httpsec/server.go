// SPDX-License-Identifier: Apache-2.0

package httpsec

import (
	"net/http"
	"time"
)

// Server gives a server that slow or greedy clients cannot hold up: a request's header must come within 10 seconds
// and 64 KiB, its body within [Config.ReadTimeout] and [Config.MaxBody], the response must be taken within
// [Config.WriteTimeout], and an idle connection ends after two minutes. The limit of the body stands outside of
// [Config.Handler], so its own 413 has none of the headers that the handler's chain sets: make MaxBody negative where
// the chain has a [Limit] of its own. The caller may change what it gets, and starts and shuts it down.
func Server(c Config) *http.Server {
	if c.Handler == nil {
		c.Handler = http.NotFoundHandler()
	}
	if c.MaxBody == 0 {
		c.MaxBody = 32 << 20
	}
	if c.MaxBody > 0 {
		c.Handler = Limit(c.MaxBody, c.Deny)(c.Handler)
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 2 * time.Minute
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 10 * time.Minute
	}
	return &http.Server{
		Addr:              c.Addr,
		Handler:           c.Handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       c.ReadTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}
