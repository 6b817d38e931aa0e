// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth"
)

// userOnly keeps away who acts as somebody else: passwords, factors, addresses and sessions are the user's alone.
func userOnly(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if p, _ := portalsec.PrincipalFrom(r.Context()); p.Impersonator != "" {
			return problem{http.StatusForbidden, "Only the user may do this. Stop acting as them first."}
		}
		return h(w, r)
	}
}

// stopImpersonating gives who acts as somebody else back their own session.
func (a *app) stopImpersonating(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.auth.StopImpersonating(r.Context(), w, r); err != nil {
		if errors.Is(err, auth.ErrNoSession) { // nobody is acted for any more
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return nil
		}
		return err
	}
	return done(w, r, "/", "stopped")
}
