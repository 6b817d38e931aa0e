// SPDX-License-Identifier: Apache-2.0

package httpsec

import (
	"fmt"
	"net/http"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// CrossOrigin refuses requests that another site makes a browser send, with status 403, and records each as
// [audit.HTTPCrossOrigin] (ASVS 5.0 3.5.1). It is net/http.CrossOriginProtection: GET, HEAD and OPTIONS pass, so they
// must change nothing, and so does a request without Sec-Fetch-Site and Origin, which no browser has sent.
func CrossOrigin(c Config) (portalsec.Middleware, error) {
	protection := http.NewCrossOriginProtection()
	for i, origin := range c.TrustedOrigins {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("httpsec: Config.TrustedOrigins[%d]: %w", i, err)
		}
	}
	record, deny := defaults(c.Audit, c.Deny)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if protection.Check(r) != nil {
				e := audit.ForRequest(r, audit.HTTPCrossOrigin, audit.Denied)
				e.Severity, e.Status, e.Reason = audit.Warning, http.StatusForbidden, "cross-origin"
				_ = record.Record(r.Context(), e) // the kind may be shed, and the request is refused in any case
				deny(w, r, portalsec.Denial{Status: http.StatusForbidden, Code: "cross-origin"})
				return
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

func defaults(record audit.Recorder, deny portalsec.DenyFunc) (audit.Recorder, portalsec.DenyFunc) {
	if record == nil {
		record = audit.Slog(nil)
	}
	if deny == nil {
		deny = portalsec.Deny
	}
	return record, deny
}
