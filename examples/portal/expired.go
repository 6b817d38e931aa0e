// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"

	"github.com/portalsec/portalsec/auth"
)

// expiredView is the form for a password in place of one that has expired.
type expiredView struct {
	Next, Email string
	MinLength   int
	Strength    string
}

func (a *app) expiredPage(w http.ResponseWriter, r *http.Request) error {
	return a.showExpired(w, r, http.StatusOK, auth.SafeNext(r.URL.Query().Get("next")), "")
}

func (a *app) showExpired(w http.ResponseWriter, r *http.Request, status int, next, mistake string) error {
	pending, err := a.auth.PendingLogin(r)
	if err == nil && pending.Next != auth.NextPassword {
		err = auth.ErrNoPending
	}
	if err != nil {
		return a.toSignIn(w, r, err)
	}
	v := expiredView{Next: next, Email: pending.Account.Email, MinLength: profile.Settings().PasswordMinSingle}
	if mistake != "" {
		v.Strength = strength(r.PostFormValue("new"), pending.Account.Email, pending.Account.Name)
	}
	return a.render(w, r, status, "expired", page{Title: "Your password has expired", Error: mistake, Data: v})
}

// replaceExpired sets the new password, and the login goes on.
func (a *app) replaceExpired(w http.ResponseWriter, r *http.Request) error {
	next := auth.SafeNext(r.PostFormValue("next"))
	show := func(status int, text string) error { return a.showExpired(w, r, status, next, text) }
	pw, err := newPassword(r)
	if err != nil {
		return mistake(err, show)
	}
	out, err := a.auth.CompletePasswordChange(r.Context(), w, r, pw)
	if d, ok := refusal(err); ok && d.Code != "sign-in-required" {
		retryAfter(w, d)
		return show(d.Status, d.Detail)
	}
	if err != nil {
		return a.toSignIn(w, r, err)
	}
	return onward(w, r, out.Next, next)
}
