// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"

	"github.com/portalsec/portalsec/auth"
)

// welcome takes the invitation: it sets the first password of an account that an administrator made.
func (a *app) welcome(w http.ResponseWriter, r *http.Request) error {
	lang, err := language(r)
	var pw string
	if err == nil {
		pw, err = newPassword(r)
	}
	if err == nil {
		err = a.acceptInvitation(r, r.PostFormValue("token"), pw, lang)
	}
	if err != nil {
		return a.linkRefused(w, r, invitationLink, err)
	}
	return done(w, r, "/login", "welcome")
}

func (a *app) acceptInvitation(r *http.Request, token, pw, lang string) error {
	acc, err := a.auth.AcceptInvitation(r.Context(), r, token, pw)
	if err != nil || lang == "" || lang == acc.Lang {
		return err
	}
	_, err = a.auth.UpdateProfile(r.Context(), acc.ID, auth.ProfileChange{Lang: &lang})
	return err
}
