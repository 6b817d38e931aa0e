// SPDX-License-Identifier: Apache-2.0

package mfa

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// Check tells whether the request may go on: it returns [ErrRequired] when the policy demands a second factor
// of its principal and the session has not proven one. A session that last proved anything before the policy
// began goes on, as Principal.AuthTime tells, and so do requests without a principal and those to
// Config.EnrolPath and Config.Exempt. Any other error means that it could not be told.
func (m *Manager) Check(r *http.Request) error {
	p, ok := portalsec.PrincipalFrom(r.Context())
	if !ok || p.TwoFactors() || m.isExempt(r.URL) {
		return nil
	}
	policy, err := m.Policy(r.Context(), p.Tenant)
	if err != nil {
		return err
	}
	// Who does not tell when they signed in did so after the policy began.
	if !policy.demands(p.Roles) || !p.AuthTime.IsZero() && p.AuthTime.Before(policy.Since) {
		return nil
	}
	return ErrRequired
}

// Enforce gives middleware that refuses what [Manager.Check] refuses: with status 403, code
// "second-factor-required" and Config.EnrolPath as the place to go, or with 503 when it could not be told. It
// stands inside the middleware that sets the principal.
func (m *Manager) Enforce() portalsec.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err := m.Check(r)
			if err == nil {
				next.ServeHTTP(w, r)
				return
			}
			e := audit.ForRequest(r, audit.MFARequired, audit.Denied)
			e.Reason = "second-factor-required"
			d := portalsec.Denial{
				Status: http.StatusForbidden, Code: "second-factor-required", Title: "A second factor is required",
				Detail: "Set up a second factor or sign in again with it.", Next: m.enrol,
			}
			if !errors.Is(err, ErrRequired) {
				e.Outcome, e.Reason = audit.Error, "store"
				d = portalsec.Denial{Status: http.StatusServiceUnavailable, Code: "unavailable"}
			}
			e.Status = d.Status
			_ = m.audit.Record(r.Context(), e) // refused either way
			m.deny(w, r, d)
		})
	}
}

// isExempt tells whether u's path is one of the exempt ones or below it. A path with dots, doubled or encoded
// slashes never is: a router might take it for another one, as ServeMux reads "/logout%2Fx" as one element.
func (m *Manager) isExempt(u *url.URL) bool {
	p := u.Path
	if !canonical(p) || strings.Count(p, "/") != strings.Count(u.EscapedPath(), "/") {
		return false
	}
	for _, e := range m.exempt {
		e = strings.TrimSuffix(e, "/")
		if rest, ok := strings.CutPrefix(p, e); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// canonical tells whether p is a path as a router knows it, with or without a slash at its end.
func canonical(p string) bool {
	return p == path.Clean(p) || p == path.Clean(p)+"/"
}
