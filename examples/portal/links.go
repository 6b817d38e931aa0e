// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"

	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
)

// mailedLink is the page that a mailed link leads to. Opening it shows what the link is for and changes nothing,
// because mail servers and previews open links too: the form's POST uses it.
type mailedLink struct {
	purpose     auth.Purpose
	path        string // of the page, as auth.Links has it
	name, title string // of the page's template
	// What to do when the link is not good: a sentence, and the page where to do it.
	advice, next string
}

var (
	registrationLink = mailedLink{auth.PurposeRegistration, "/register/confirm", "new_password", "Choose your password",
		"Register again to get a new one.", "/register"}
	invitationLink = mailedLink{auth.PurposeInvitation, "/welcome", "new_password", "Welcome: choose your password",
		"If you have used it before, sign in. Otherwise ask who invited you for a new one.", "/login"}
	resetLink = mailedLink{auth.PurposeReset, "/reset", "new_password", "Choose a new password",
		"Ask for a new one: it arrives by mail.", "/forgot"}
	emailLink = mailedLink{auth.PurposeEmail, "/email/confirm", "email", "Confirm your new address",
		"Ask for the change again under My account.", "/account"}
	notMeLink = mailedLink{auth.PurposeNotMe, "/not-me", "notme", "Was this not you?",
		"If you fear that somebody else uses your account, choose a new password.", "/forgot"}
)

// linkView is what the page of a mailed link shows.
type linkView struct {
	auth.LinkInfo
	Token, Action string
	// MinLength is the least number of characters of a password; Strength tells what would help a refused one.
	MinLength int
	Strength  string
	// Lang is the language that an invitation's form offers; empty elsewhere.
	Lang string
}

// linkPage gives the handler that shows the page of a mailed link.
func (a *app) linkPage(l mailedLink) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return a.showLink(w, r, http.StatusOK, l, r.URL.Query().Get("token"), "")
	}
}

func (a *app) showLink(w http.ResponseWriter, r *http.Request, status int, l mailedLink, token, mistake string) error {
	info, err := a.auth.Link(r.Context(), l.purpose, token)
	if errors.Is(err, auth.ErrNoToken) {
		return a.showBadLink(w, r, l)
	}
	if err != nil {
		return err
	}
	v := linkView{LinkInfo: info, Token: token, Action: l.path, MinLength: profile.Settings().PasswordMinSingle}
	if mistake != "" {
		v.Strength = strength(r.PostFormValue("new"), info.Email, info.Name)
	}
	if l.purpose == auth.PurposeInvitation {
		if v.Lang, err = a.languageOf(r, info.Account); err != nil {
			return err
		}
	}
	return a.render(w, r, status, l.name, page{Title: l.title, Error: mistake, Data: v})
}

// showBadLink is the page for a link that is not good. It is the same for all reasons.
func (a *app) showBadLink(w http.ResponseWriter, r *http.Request, l mailedLink) error {
	d := auth.DenialOf(auth.ErrNoToken)
	return a.render(w, r, d.Status, "badlink", page{Title: d.Title, Data: struct{ Advice, Next string }{l.advice, l.next}})
}

// linkRefused answers when a link's form was sent and refused: with the form once more, if another try may succeed.
func (a *app) linkRefused(w http.ResponseWriter, r *http.Request, l mailedLink, err error) error {
	if errors.Is(err, auth.ErrNoToken) {
		return a.showBadLink(w, r, l)
	}
	show := func(status int, text string) error {
		return a.showLink(w, r, status, l, r.PostFormValue("token"), text)
	}
	d, ok := refusal(err)
	if !ok {
		return mistake(err, show)
	}
	retryAfter(w, d)
	return show(d.Status, d.Detail)
}

// newPassword gives the password of a form that asks for it twice.
func newPassword(r *http.Request) (string, error) {
	if r.PostFormValue("new") != r.PostFormValue("again") {
		return "", invalid("The two new passwords differ.")
	}
	return r.PostFormValue("new"), nil
}

// strength tells what would make a refused password harder to guess, as a hint for the next try.
func strength(pw string, words ...string) string {
	if pw == "" {
		return ""
	}
	return password.Estimate(pw, words...).Hint
}
