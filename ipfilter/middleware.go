// SPDX-License-Identifier: Apache-2.0

package ipfilter

import (
	"net/http"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/ipfilter/internal/ranges"
)

// Middleware refuses requests that may not come in, with status 403, and records each as [audit.NetworkRefused]
// with the [Reason] and the rule. To the others' origin it adds the country and the label of the network. Under
// [Rules.ReportOnly] it only records: the event has the outcome success and the detail "report-only". While the
// rules are not loaded it answers 503.
func (f *Filter) Middleware() portalsec.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := f.rulesNow()
			if c == nil {
				e := audit.ForRequest(r, audit.NetworkRefused, audit.Error)
				e.Reason, e.Severity, e.Status = string(NotLoaded), audit.Critical, http.StatusServiceUnavailable
				_ = f.c.Audit.Record(r.Context(), e)
				f.c.Deny(w, r, portalsec.Denial{Status: http.StatusServiceUnavailable, Code: "unavailable"})
				return
			}
			origin, _ := portalsec.OriginFrom(r.Context())
			v := c.judge(origin.Addr, f.c.Country)
			known := origin
			known.Country = v.country.String()
			known.Network = ""
			if v.entry != ranges.None {
				known.Network = c.rule(c.entries[v.entry]).Label
			}
			if known != origin {
				r = r.WithContext(portalsec.WithOrigin(r.Context(), known))
			}
			if v.reason != "" {
				f.recordRefusal(r, c, v)
				if !c.rules.ReportOnly {
					f.c.Deny(w, r, portalsec.Denial{Status: http.StatusForbidden, Code: "address-refused"})
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

func (f *Filter) recordRefusal(r *http.Request, c *compiled, v verdict) {
	e := audit.ForRequest(r, audit.NetworkRefused, audit.Denied)
	e.Reason, e.Severity = string(v.reason), audit.Notice
	if v.reason == PrefixDenied {
		e.Rule = c.name(c.entries[v.entry])
	}
	if c.rules.ReportOnly {
		e.Outcome = audit.Success
		e.Details = []audit.Detail{{Name: "report-only", Value: "true"}}
	} else {
		e.Status = http.StatusForbidden
	}
	_ = f.c.Audit.Record(r.Context(), e) // the kind may be shed, and the decision stands in any case
}
