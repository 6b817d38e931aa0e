// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/mfa"
)

const contactChanged audit.Kind = "app.contact_changed"

type accountView struct {
	Contact  contact
	Sessions []session.Session
	Current  string
	Factors  []mfa.FactorInfo
	MustHave bool
}

func (a *app) accountPage(w http.ResponseWriter, r *http.Request) error {
	return a.showAccount(w, r, http.StatusOK, "")
}

func (a *app) showAccount(w http.ResponseWriter, r *http.Request, status int, mistake string) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	v := accountView{Current: p.Session}
	var err error
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
	if r.PostFormValue("new") != r.PostFormValue("again") {
		return a.showAccount(w, r, http.StatusUnprocessableEntity, "The two new passwords differ.")
	}
	err := a.auth.ChangePassword(r.Context(), w, r, r.PostFormValue("old"), r.PostFormValue("new"))
	if d, ok := refusal(err); ok {
		if d.Status == http.StatusUnauthorized {
			d.Detail = "The present password is not right."
		}
		retryAfter(w, d)
		return a.showAccount(w, r, d.Status, d.Detail)
	}
	if err != nil {
		return err
	}
	return done(w, r, "/account", "password")
}

func (a *app) revokeSession(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	if err := a.sessions.Revoke(ctx, p.Tenant, p.ID, r.PathValue("id")); err != nil && !errors.Is(err, session.ErrNoSession) {
		return err
	}
	return done(w, r, "/account", "revoked")
}

func (a *app) removeFactor(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	if err := a.fresh(p); err != nil {
		return err
	}
	if err := a.mfa.Remove(ctx, p.Tenant, p.ID, r.PathValue("id")); err != nil {
		switch {
		case errors.Is(err, mfa.ErrNotFound):
			return errNotFound
		case errors.Is(err, mfa.ErrProofNeeded):
			return a.showAccount(w, r, http.StatusForbidden, proofNeeded)
		}
		return err
	}
	if acc, err := a.auth.Account(ctx, p.ID); err == nil {
		a.outbox.send(mail{To: acc.Email, Subject: "A second factor was removed from your account",
			Text: "An authenticator app was removed from your account. If this was not you, tell us at once."})
	}
	return done(w, r, "/account", "factor")
}
