// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/session"
)

// Principal gives who sends a request, by its session cookie. It returns [ErrNoSession] when nobody is signed
// in, or the account is disabled or gone, and another error when something failed. Session, account and roles
// are read anew at each call. In a session in which a member of staff acts as somebody else, so is the account of the
// former.
func (a *Auth) Principal(r *http.Request) (portalsec.Principal, error) {
	p, _, err := a.identify(r)
	return p, err
}

// identify is Principal, and tells whether the roles are still those with which the session got its token.
func (a *Auth) identify(r *http.Request) (p portalsec.Principal, stale bool, err error) {
	ctx := r.Context()
	s, err := a.sessions.Load(r)
	if err != nil {
		return portalsec.Principal{}, false, err
	}
	rec, err := a.holder(r, s, s.User)
	if err == nil && s.Impersonator != "" {
		_, err = a.holder(r, s, s.Impersonator)
	}
	if err != nil {
		return portalsec.Principal{}, false, err
	}
	roles, err := a.rolesOf(ctx, rec)
	if err != nil {
		return portalsec.Principal{}, false, err
	}
	return portalsec.Principal{
		ID: rec.ID, Tenant: rec.Tenant, Roles: roles, Session: s.ID,
		AuthTime: s.AuthTime, Factors: s.Factors, Impersonator: s.Impersonator,
	}, !stampOf(roles).is(s.Stamp), nil
}

// holder gives the account of somebody who acts in the session s. It returns ErrNoSession when they may not.
func (a *Auth) holder(r *http.Request, s session.Session, id string) (AccountRecord, error) {
	rec, err := a.account(r.Context(), id)
	if err != nil && !errors.Is(err, ErrNoAccount) {
		return AccountRecord{}, err
	}
	if err == nil && !rec.Disabled && rec.Tenant == s.Tenant {
		return rec, nil
	}
	e := audit.ForRequest(r, audit.AuthSessionRefused, audit.Denied)
	e.Tenant, e.Session, e.Reason = s.Tenant, audit.Pseudonym(s.ID), disabled
	e.Target = &audit.Target{Type: "account", ID: id}
	if !rec.Disabled {
		e.Reason = unknownAccount
	}
	_ = a.audit.Record(r.Context(), e) // may be shed
	return AccountRecord{}, ErrNoSession
}

// Middleware puts the principal of a request into its context. A request without a session goes on without
// one; [Auth.RequireSession] refuses it where it must not. When something fails the answer is 503.
//
// The answer to the first request after a change of roles gives the session a new token, and the old one is dead (ASVS
// 7.2.4). The rights do not wait for that: each request has those of its own time. Requests that were sent at the same
// time with the old token and come later have no session; a sign-out among them cannot end one that it no longer knows,
// and the browser may be left signed in. Do not let an answer that shared caches may keep pass through.
func (a *Auth) Middleware() portalsec.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, stale, err := a.identify(r)
			if err == nil && stale {
				w, r, err = a.restamp(w, r, p)
			}
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
			if u, ok := w.(*uncached); ok && !u.begun {
				u.Header().Set("Cache-Control", "no-store") // the handler has written nothing
			}
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
			a.denySession(w, r)
		})
	}
}

// denySession answers the request of nobody where somebody is needed.
func (a *Auth) denySession(w http.ResponseWriter, r *http.Request) {
	e := audit.ForRequest(r, audit.AuthSessionRefused, audit.Denied)
	e.Reason = "no-session"
	_ = a.audit.Record(r.Context(), e) // may be shed
	d := DenialOf(ErrNoSession)
	d.Next = withQuery(a.signIn, returning(r))
	a.deny(w, r, d)
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
