// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/mfa"
)

const contactChanged audit.Kind = "app.contact_changed"

type accountView struct {
	Account  auth.Account
	Contact  contact
	Sessions []session.Session
	Current  string
	Factors  []mfa.FactorInfo
	MustHave bool
	// Frozen tells that address and second factor cannot be changed now.
	Frozen bool
	// NewEmail is the address that was asked for.
	NewEmail  string
	MinLength int
	Strength  string
}

func (a *app) accountPage(w http.ResponseWriter, r *http.Request) error {
	return a.showAccount(w, r, http.StatusOK, "")
}

func (a *app) showAccount(w http.ResponseWriter, r *http.Request, status int, mistake string) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	v := accountView{Current: p.Session, NewEmail: r.PostForm.Get("email"), MinLength: profile.Settings().PasswordMinSingle}
	var err error
	if v.Account, err = a.auth.Account(ctx, p.ID); err != nil {
		return err
	}
	if v.Account.Lang == "" {
		v.Account.Lang = preferred(r)
	}
	v.Frozen = v.Account.FrozenUntil.After(a.now())
	if mistake != "" {
		v.Strength = strength(r.PostForm.Get("new"), v.Account.Email, v.Account.Name)
	}
	if v.Contact, err = a.store.contact(ctx, p.Tenant, p.ID); err != nil {
		return err
	}
	if r.PostForm.Has("phone") { // what was typed is not lost
		v.Contact = contact{r.PostForm.Get("phone"), r.PostForm.Get("address")}
	}
	if v.Sessions, err = a.sessions.List(ctx, p.Tenant, p.ID); err != nil {
		return err
	}
	if v.Factors, err = a.mfa.Factors(ctx, p.Tenant, p.ID); err != nil {
		return err
	}
	if _, v.MustHave, err = a.mfa.Required(ctx, p.Tenant, p.ID, p.Roles); err != nil {
		return err
	}
	return a.render(w, r, status, "account", page{Title: "My account", Error: mistake, Data: v})
}

func (a *app) saveContact(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	if !r.PostForm.Has("phone") || !r.PostForm.Has("address") {
		return invalid("The form did not arrive whole. Please send it again.")
	}
	phone, err := line(r, "phone", 40, false)
	var address string
	if err == nil {
		address, err = field(r, "address", 300, false)
	}
	if err != nil {
		return mistake(err, func(status int, text string) error { return a.showAccount(w, r, status, text) })
	}
	if err := a.store.setContact(ctx, p.Tenant, p.ID, contact{phone, address},
		a.recording(ctx, contactChanged, "account", p.ID, p.ID)); err != nil {
		return err
	}
	return done(w, r, "/account", "saved")
}

func (a *app) changePassword(w http.ResponseWriter, r *http.Request) error {
	pw, err := newPassword(r)
	if err == nil {
		err = a.auth.ChangePassword(r.Context(), w, r, r.PostFormValue("old"), pw)
	}
	if err != nil {
		return a.accountRefused(w, r, err)
	}
	return done(w, r, "/account", "password")
}

// accountRefused shows the account once more when err is the visitor's. Every other error is given back.
func (a *app) accountRefused(w http.ResponseWriter, r *http.Request, err error) error {
	d, ok := refusal(err)
	if !ok {
		return mistake(err, func(status int, text string) error { return a.showAccount(w, r, status, text) })
	}
	if d.Code == "sign-in-refused" {
		d.Detail = "The present password is not right."
	}
	retryAfter(w, d)
	return a.showAccount(w, r, d.Status, d.Detail)
}

func (a *app) saveProfile(w http.ResponseWriter, r *http.Request) error {
	lang, err := language(r)
	var name string
	if err == nil {
		name, err = line(r, "name", 100, true)
	}
	if err == nil {
		p, _ := portalsec.PrincipalFrom(r.Context())
		_, err = a.auth.UpdateProfile(r.Context(), p.ID, auth.ProfileChange{Name: &name, Lang: &lang})
	}
	if err != nil {
		return a.accountRefused(w, r, err)
	}
	return done(w, r, "/account", "saved")
}

// fresh asks who was signed in for long to prove once more who they are: whoever finds a browser open must not be able
// to throw the user out elsewhere (ASVS 7.5.2) or to take their second factor away (ASVS 7.5.1).
func (a *app) fresh(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		p, _ := portalsec.PrincipalFrom(r.Context())
		if err := a.auth.CheckFresh(p, 0); err != nil {
			return err
		}
		return h(w, r)
	}
}

func (a *app) revokeSession(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	if err := a.sessions.Revoke(ctx, p.Tenant, p.ID, r.PathValue("id")); err != nil && !errors.Is(err, session.ErrNoSession) {
		return err
	}
	return done(w, r, "/account", "revoked")
}

// revokeOthers ends all sessions of the user but this one, also those of staff who act as them.
func (a *app) revokeOthers(w http.ResponseWriter, r *http.Request) error {
	p, _ := portalsec.PrincipalFrom(r.Context())
	if _, err := a.sessions.RevokeUser(r.Context(), p.Tenant, p.ID, p.Session); err != nil {
		return err
	}
	return done(w, r, "/account", "others")
}

func (a *app) removeFactor(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	if err := a.mfa.Remove(ctx, p.Tenant, p.ID, r.PathValue("id")); err != nil {
		switch {
		case errors.Is(err, mfa.ErrNotFound):
			return errNotFound
		case errors.Is(err, mfa.ErrProofNeeded):
			return a.showAccount(w, r, http.StatusForbidden, proofNeeded)
		}
		return a.accountRefused(w, r, err)
	}
	a.notify(ctx, factorRemoved, p.ID, "") // ASVS 6.3.7
	return done(w, r, "/account", "factor")
}
