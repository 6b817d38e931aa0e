// SPDX-License-Identifier: Apache-2.0

package httpsec

import (
	"net/http"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// Config is what [Headers], [CrossOrigin] and [Server] take their settings from. Its zero value is safe; [Server]
// needs Addr and Handler.
type Config struct {
	// CSP adds sources to directives of the Content-Security-Policy, such as {"img-src": {"https://img.example"}}. A
	// directive that the package does not have starts with the sources given. Used by [Headers].
	CSP map[string][]string
	// HSTS says that visitors reach the portal by HTTPS only, though TLS may end at a proxy. Then every response has
	// Strict-Transport-Security; otherwise those to requests that came by TLS. Used by [Headers].
	HSTS bool
	// HSTSMaxAge is how long browsers remember to come by HTTPS, in whole seconds and at least one. 0 is two years. Used by
	// [Headers].
	HSTSMaxAge time.Duration

	// TrustedOrigins are other sites that may send requests which change something, as "https://host[:port]". Used by
	// [CrossOrigin].
	TrustedOrigins []string
	// Audit records refusals. Nil is [audit.Slog] with the default logger.
	Audit audit.Recorder
	// Deny answers refused requests. Nil is [portalsec.Deny].
	Deny portalsec.DenyFunc

	// Addr is the TCP address to listen on, as "host:port". Used by [Server], as all that follow.
	Addr string
	// Handler answers the requests. Nil finds nothing; it never is http.DefaultServeMux.
	Handler http.Handler
	// MaxBody is the most bytes that a request's body may have. 0 is 32 MiB; a negative one is no limit.
	MaxBody int64
	// ReadTimeout is how long a client may take to send a request with its body. 0 is two minutes.
	ReadTimeout time.Duration
	// WriteTimeout is how long a handler and the client may take with a response. 0 is ten minutes, enough for 64 MB at
	// 1 Mbit/s. A handler that needs longer, such as a stream of events, extends its own with
	// http.ResponseController.SetWriteDeadline.
	WriteTimeout time.Duration
}
