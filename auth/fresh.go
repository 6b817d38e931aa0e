// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

const (
	// codeReauthenticate is what package rbac answers too when a proof is too old: a program needs to know one code.
	codeReauthenticate = "reauthentication-required"
	// maxAhead is how far in the future a proof may lie and count as given now: the clocks of several processes differ
	// by less. One that lies further ahead counts as none, or it would stay fresh for as long as its clock was wrong.
	maxAhead = time.Minute
)

// ProofNeededError says that a session lacks a fresh proof of who its user is. Find it with [errors.As].
type ProofNeededError struct {
	// Kinds are the kinds of which one must be proven; empty means any.
	Kinds []string
	// MaxAge is how long ago the proof may lie.
	MaxAge time.Duration
}

// Error gives a text without the kinds.
func (e *ProofNeededError) Error() string { return "auth: a fresh proof of identity is needed" }

// CheckFresh tells whether p has proven who they are not longer ago than maxAge: by one of the kinds, such as
// [portalsec.FactorTOTP], or by anything when none is given. It returns nil or a [*ProofNeededError]. 0 means FreshFor
// of [Config.Level]; a negative maxAge is never met. A proof dated more than a minute ahead counts as none. While
// somebody acts as p the proofs are that person's.
func (a *Auth) CheckFresh(p portalsec.Principal, maxAge time.Duration, kinds ...string) error {
	if maxAge == 0 {
		maxAge = a.settings.FreshFor
	}
	now := a.now()
	fresh := func(at time.Time) bool {
		age := now.Sub(at)
		return !at.IsZero() && age >= -maxAhead && max(age, 0) <= maxAge
	}
	ok := p.ID != "" && len(kinds) == 0 && fresh(p.AuthTime)
	for _, kind := range kinds {
		at, proven := p.Proven(kind)
		ok = ok || p.ID != "" && kind != "" && proven && fresh(at)
	}
	if ok {
		return nil
	}
	return &ProofNeededError{Kinds: slices.Clone(kinds), MaxAge: maxAge}
}

// RequireFresh lets only requests through whose principal passes [Auth.CheckFresh] (ASVS 7.5.3). It stands inside
// [Auth.Middleware]. Nobody's request is answered as by [Auth.RequireSession]. Else a program gets status 403 and the
// code "reauthentication-required", and a browser is sent to [Config.StepUpPath], with the page that it wanted in the
// query's member next, as there, and the kinds, of which one is needed, in members named factor. What the page calls
// is [Auth.Reauthenticate] or session.Manager.Rotate.
func (a *Auth) RequireFresh(maxAge time.Duration, kinds ...string) portalsec.Middleware {
	kinds = slices.Clone(kinds)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, ok := portalsec.PrincipalFrom(r.Context())
			if !ok {
				a.denySession(w, r)
				return
			}
			err := a.CheckFresh(p, maxAge, kinds...)
			if err == nil {
				next.ServeHTTP(w, r)
				return
			}
			e := audit.ForRequest(r, audit.AuthProofNeeded, audit.Denied)
			e.Reason = codeReauthenticate
			_ = a.audit.Record(r.Context(), e) // may be shed
			d := DenialOf(err)
			q := returning(r)
			for _, kind := range kinds {
				q.Add("factor", kind)
			}
			d.Next = withQuery(a.stepUp, q)
			a.deny(w, r, d)
		})
	}
}

// returning gives the query that brings a visitor back to the page of r when that can be asked for again.
func returning(r *http.Request) url.Values {
	q := url.Values{}
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && portalsec.PrefersHTML(r) {
		if want := SafeNext(r.URL.RequestURI()); want != "/" {
			q.Set("next", want)
		}
	}
	return q
}

func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
