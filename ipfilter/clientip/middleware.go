// SPDX-License-Identifier: Apache-2.0

package clientip

import (
	"errors"
	"net/http"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// Middleware puts the address of the client into the request's context, for [portalsec.OriginFrom]. A request
// whose client is not known is refused with status 400 and recorded as [audit.NetworkRefused] with the reason
// "client-unknown" and the cause as a detail. An origin that was set further out is replaced.
func (r *Resolver) Middleware() portalsec.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			addr, err := r.Resolve(req)
			if err != nil {
				r.refuse(w, req, err)
				return
			}
			ctx := portalsec.WithOrigin(req.Context(), portalsec.Origin{Addr: addr})
			next.ServeHTTP(w, req.WithContext(ctx))
		})
	}
}

func (r *Resolver) refuse(w http.ResponseWriter, req *http.Request, err error) {
	e := audit.ForRequest(req, audit.NetworkRefused, audit.Denied)
	e.Reason, e.Severity, e.Status = "client-unknown", audit.Warning, http.StatusBadRequest
	var u *UnresolvedError
	if errors.As(err, &u) {
		e.Details = []audit.Detail{{Name: "cause", Value: u.Cause}}
	}
	_ = r.audit.Record(req.Context(), e) // the kind may be shed, and the request is refused in any case
	r.deny(w, req, portalsec.Denial{Status: http.StatusBadRequest, Code: "client-address-unknown"})
}
