// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"slices"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/rbac"
)

type registerView struct {
	Open                      []organisation
	Tenant, Name, Email, Lang string
}

func (a *app) registerPage(w http.ResponseWriter, r *http.Request) error {
	if _, ok := portalsec.PrincipalFrom(r.Context()); ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	return a.showRegister(w, r, http.StatusOK, registerView{Lang: preferred(r)}, "")
}

func (a *app) showRegister(w http.ResponseWriter, r *http.Request, status int, v registerView, mistake string) error {
	if a.mails() { // there is no account without the mailed link
		var err error
		if v.Open, err = a.store.openForRegistration(r.Context()); err != nil {
			return err
		}
	}
	return a.render(w, r, status, "register", page{Title: "Register", Error: mistake, Data: v})
}

func (a *app) register(w http.ResponseWriter, r *http.Request) error {
	v := registerView{Tenant: r.PostFormValue("tenant"), Name: r.PostFormValue("name"), Email: r.PostFormValue("email"), Lang: preferred(r)}
	show := func(status int, text string) error { return a.showRegister(w, r, status, v, text) }
	lang, err := language(r)
	if err != nil {
		return mistake(err, show)
	}
	if lang != "" {
		v.Lang = lang
	}
	if v.Name, err = line(r, "name", 100, true); err != nil {
		return mistake(err, show)
	}
	if v.Email, err = line(r, "email", 254, true); err != nil {
		return mistake(err, show)
	}
	err = a.askRegistration(r, auth.NewRegistration{Tenant: v.Tenant, Email: v.Email, Name: v.Name, Lang: v.Lang})
	if d, ok := refusal(err); ok {
		retryAfter(w, d)
		return show(d.Status, d.Detail)
	}
	if err != nil {
		return mistake(err, show)
	}
	return done(w, r, "/login", "mailed")
}

// askRegistration has the link sent that makes an account. The answer is the same for an address that has one.
func (a *app) askRegistration(r *http.Request, n auth.NewRegistration) error {
	open, err := a.isOpen(r.Context(), n.Tenant)
	if err != nil {
		return err
	}
	if !open {
		return invalid("Please choose an organisation.")
	}
	return a.auth.Register(r.Context(), r, n)
}

func (a *app) isOpen(ctx context.Context, tenant string) (bool, error) {
	list, err := a.store.openForRegistration(ctx)
	return slices.ContainsFunc(list, func(o organisation) bool { return o.Tenant == tenant }), err
}

func (a *app) confirmRegistration(w http.ResponseWriter, r *http.Request) error {
	pw, err := newPassword(r)
	if err == nil {
		err = a.completeRegistration(r, r.PostFormValue("token"), pw)
	}
	if err != nil {
		return a.linkRefused(w, r, registrationLink, err)
	}
	return done(w, r, "/login", "welcome")
}

// completeRegistration makes the account of a customer. The organisation may have closed its registration since the
// link was sent.
func (a *app) completeRegistration(r *http.Request, token, pw string) error {
	ctx := r.Context()
	link, err := a.auth.Link(ctx, auth.PurposeRegistration, token)
	if err != nil {
		return err
	}
	open, err := a.isOpen(ctx, link.Tenant)
	if err != nil {
		return err
	}
	if !open {
		return auth.ErrNoToken
	}
	acc, err := a.auth.CompleteRegistration(ctx, r, token, pw)
	if err != nil {
		return err
	}
	return a.roles.AssignWithoutGrantor(ctx, rbac.Assignment{Tenant: acc.Tenant, Subject: acc.ID, Role: "customer", Scope: acc.Tenant, Reason: "registered"})
}
