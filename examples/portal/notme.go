// SPDX-License-Identifier: Apache-2.0

package main

import "net/http"

// notMe takes somebody's word that a sign-in or a change was not theirs. What follows is on the page before it.
func (a *app) notMe(w http.ResponseWriter, r *http.Request) error {
	if err := a.auth.NotMe(r.Context(), r, r.PostFormValue("token")); err != nil {
		return a.linkRefused(w, r, notMeLink, err)
	}
	return done(w, r, "/login", "notme")
}
