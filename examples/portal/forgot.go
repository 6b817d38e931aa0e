// SPDX-License-Identifier: Apache-2.0

package main

import "net/http"

type forgotView struct {
	Email string
	Mail  bool // there is a mail server
}

func (a *app) forgotPage(w http.ResponseWriter, r *http.Request) error {
	return a.showForgot(w, r, http.StatusOK, "")
}

func (a *app) showForgot(w http.ResponseWriter, r *http.Request, status int, mistake string) error {
	return a.render(w, r, status, "forgot", page{Title: "Forgot your password?", Error: mistake,
		Data: forgotView{Email: r.PostFormValue("email"), Mail: a.mails()}})
}

// forgot has a link sent with which to choose a new password. The answer is the same whether or not there is an
// account with the address.
func (a *app) forgot(w http.ResponseWriter, r *http.Request) error {
	show := func(status int, text string) error { return a.showForgot(w, r, status, text) }
	email, err := line(r, "email", 254, true)
	if err != nil {
		return mistake(err, show)
	}
	err = a.auth.RequestReset(r.Context(), r, email)
	if d, ok := refusal(err); ok {
		retryAfter(w, d)
		return show(d.Status, d.Detail)
	}
	if err != nil {
		return err
	}
	return done(w, r, "/login", "asked")
}

// reset sets the new password. It signs nobody in: a mailed link does not stand for the second factor.
func (a *app) reset(w http.ResponseWriter, r *http.Request) error {
	pw, err := newPassword(r)
	if err == nil {
		err = a.auth.CompleteReset(r.Context(), r, r.PostFormValue("token"), pw)
	}
	if err != nil {
		return a.linkRefused(w, r, resetLink, err)
	}
	return done(w, r, "/login", "resetDone")
}
