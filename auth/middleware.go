// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// Principal gives who sends a request, by its session cookie. It returns [ErrNoSession] when nobody is signed
// in, or the account is disabled or gone, and another error when something failed. Session, account and roles
// are read anew at each call.
func (a *Auth) Principal(r *http.Request) (portalsec.Principal, error) {
	ctx := r.Context()
	s, err := a.sessions.Load(r)
	if err != nil {
		return portalsec.Principal{}, err
	}
	rec, err := a.account(ctx, s.User)
	if err != nil && !errors.Is(err, ErrNoAccount) {
		return portalsec.Principal{}, err
	}
	if err != nil || rec.Disabled || rec.Tenant != s.Tenant {
		e := audit.ForRequest(r, audit.AuthSessionRefused, audit.Denied)
		e.Tenant, e.Session, e.Reason = s.Tenant, audit.Pseudonym(s.ID), disabled
		e.Target = &audit.Target{Type: "account", ID: s.User}
		if !rec.Disabled {
			e.Reason = unknownAccount
		}
		_ = a.audit.Record(ctx, e) // may be shed
		return portalsec.Principal{}, ErrNoSession
	}
	roles, err := a.rolesOf(ctx, rec)
	if err != nil {
		return portalsec.Principal{}, err
	}
	return portalsec.Principal{
		ID: rec.ID, Tenant: rec.Tenant, Roles: roles, Session: s.ID,
		AuthTime: s.AuthTime, Factors: s.Factors, Impersonator: s.Impersonator,
	}, nil
}

// Middleware puts the principal of a request into its context. A request without a session goes on without
// one; [Auth.RequireSession] refuses it where it must not. When something fails the answer is 503.
func (a *Auth) Middleware() portalsec.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := a.Principal(r)
			switch {
			case err == nil:
				r = r.WithContext(portalsec.WithPrincipal(r.Context(), p))
			case !errors.Is(err, ErrNoSession):
				e := audit.ForRequest(r, audit.AuthSessionRefused, audit.Error)
				e.Reason, e.Severity = "failed", audit.Warning
				_ = a.audit.Record(r.Context(), e) // may be shed
				a.deny(w, r, unavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// RequireSession lets only requests with a principal through. It stands inside [Auth.Middleware]. A program
// gets status 401; a browser is sent to the sign-in page, with the page it wanted in the query's member next
// (see [SafeNext]) when that page can be asked for again.
func (a *Auth) RequireSession() portalsec.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, ok := portalsec.PrincipalFrom(r.Context()); ok {
				next.ServeHTTP(w, r)
				return
			}
			e := audit.ForRequest(r, audit.AuthSessionRefused, audit.Denied)
			e.Reason = "no-session"
			_ = a.audit.Record(r.Context(), e) // may be shed
			d := DenialOf(ErrNoSession)
			d.Next = a.signIn
			if (r.Method == http.MethodGet || r.Method == http.MethodHead) && portalsec.PrefersHTML(r) {
				if want := SafeNext(r.URL.RequestURI()); want != "/" {
					d.Next += "?" + url.Values{"next": {want}}.Encode()
				}
			}
			a.deny(w, r, d)
		})
	}
}

// maxNext bounds the path that [SafeNext] lets through, in bytes.
const maxNext = 2048

// SafeNext gives next if it is a path of this site, with a query perhaps, and "/" for everything else. Use it
// on any address from outside before sending a browser there (ASVS 3.7.2).
//
// Browsers read "//host" and "/\host" as another site, and drop tabs and line ends before they look. So only
// visible ASCII other than the backslash is let through, and only one slash at the beginning.
func SafeNext(next string) string {
	if next == "" || len(next) > maxNext || next[0] != '/' || len(next) > 1 && next[1] == '/' {
		return "/"
	}
	for i := range len(next) {
		if c := next[i]; c <= ' ' || c > '~' || c == '\\' {
			return "/"
		}
	}
	if u, err := url.Parse(next); err != nil || u.Scheme != "" || u.Host != "" || u.User != nil {
		return "/"
	}
	return next
}
