// SPDX-License-Identifier: Apache-2.0

// Package httpsec has what every response and every request of a portal needs, whatever the page.
//
// Start with [Headers] for the security headers and [CrossOrigin] against forged requests from other sites. A
// template takes [Nonce] for its script and style elements. [Recover] turns a panic into a plain answer and an
// audit event, [Limit] bounds request bodies, and [Server] gives an http.Server with safe timeouts and a limit for
// all. The middleware stands in this order, from the outside:
//
//	Recover, Headers, (clientip, ipfilter), CrossOrigin, (sessions), audit, mux
//
// It does not escape what a page shows: html/template does. It does not make a page that trusts foreign scripts
// safe, and it does not serve TLS.
package httpsec
