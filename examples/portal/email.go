// SPDX-License-Identifier: Apache-2.0

package main

import "net/http"

// changeEmail has a link sent to the new address. The account keeps the old one until the link is used, and who
// reads mail there is told.
func (a *app) changeEmail(w http.ResponseWriter, r *http.Request) error {
	email, err := line(r, "email", 254, true)
	if err == nil {
		err = a.auth.ChangeEmail(r.Context(), r, r.PostFormValue("password"), email)
	}
	if err != nil {
		return a.accountRefused(w, r, err)
	}
	return done(w, r, "/account", "newEmail")
}

// confirmEmail needs no session: the mail may be read in another browser than the one that asked. All sessions end.
func (a *app) confirmEmail(w http.ResponseWriter, r *http.Request) error {
	if err := a.auth.ConfirmEmail(r.Context(), r, r.PostFormValue("token")); err != nil {
		return a.linkRefused(w, r, emailLink, err)
	}
	return done(w, r, "/login", "email")
}
