// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/rbac"
)

// place is what a permission is asked for when it is not about one record: an organisation, and perhaps whose
// records in it.
type place struct{ tenant, owner string }

// Scope is the organisation.
func (p place) Scope() string { return p.tenant }

// Owner is whose records, empty for nobody's.
func (p place) Owner() string { return p.owner }

// demand checks a permission for the principal's organisation as a whole.
func (a *app) demand(r *http.Request, perm *rbac.Perm) (portalsec.Principal, error) {
	p, _ := portalsec.PrincipalFrom(r.Context())
	return p, a.roles.Check(r.Context(), perm, place{tenant: p.Tenant})
}

type userRow struct {
	auth.Account
	Roles        []string
	SecondFactor bool
	Self         bool
}

type usersView struct {
	Users                            []userRow
	Roles                            []rbac.RoleInfo
	MayCreate, MayAssign, MayDisable bool
	Email, Name                      string
	Mail                             bool
	Languages                        []tongue
}

func (a *app) usersPage(w http.ResponseWriter, r *http.Request) error {
	return a.showUsers(w, r, http.StatusOK, "")
}

func (a *app) showUsers(w http.ResponseWriter, r *http.Request, status int, mistake string) error {
	ctx := r.Context()
	p, err := a.demand(r, userRead)
	if err != nil {
		return err
	}
	accounts, err := a.auth.Accounts(ctx, p.Tenant)
	if err != nil {
		return err
	}
	v := usersView{Roles: a.roles.RoleNames(), MayCreate: a.may(ctx, userCreate), MayAssign: a.may(ctx, roleAssign), MayDisable: a.may(ctx, userDisable),
		Mail: a.mails(), Languages: languages}
	if mistake != "" {
		v.Email, v.Name = r.PostFormValue("email"), r.PostFormValue("name")
	}
	for _, acc := range accounts {
		row := userRow{Account: acc, Self: acc.ID == p.ID}
		held, err := a.roles.Assignments(ctx, p.Tenant, acc.ID)
		if err != nil {
			return err
		}
		for _, h := range held {
			row.Roles = append(row.Roles, h.Role)
		}
		factors, err := a.mfa.Factors(ctx, p.Tenant, acc.ID)
		if err != nil {
			return err
		}
		row.SecondFactor = len(factors) > 0
		v.Users = append(v.Users, row)
	}
	return a.render(w, r, status, "users", page{Title: "Users and roles", Error: mistake, Data: v})
}

func (a *app) createUser(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := a.demand(r, userCreate)
	if err != nil {
		return err
	}
	email, err := line(r, "email", 254, true)
	var name string
	if err == nil {
		name, err = line(r, "name", 100, true)
	}
	if err != nil {
		return mistake(err, func(status int, text string) error { return a.showUsers(w, r, status, text) })
	}
	invited := auth.NewInvitation{Tenant: p.Tenant, Email: email, Name: name, Lang: r.PostFormValue("lang")}
	var link string
	if a.mails() {
		_, err = a.auth.Invite(ctx, invited)
	} else {
		_, link, err = a.auth.InviteByHand(ctx, invited)
	}
	switch {
	case errors.Is(err, auth.ErrEmail):
		return a.showUsers(w, r, http.StatusUnprocessableEntity, "That is not an e-mail address.")
	case errors.Is(err, auth.ErrEmailTaken):
		return a.showUsers(w, r, http.StatusConflict, "That e-mail address cannot be used for a new account.")
	case err != nil:
		return err
	}
	if link != "" {
		// Without mail the administrator hands it over, once.
		return a.render(w, r, http.StatusOK, "invitation", page{Title: "The user was made", Data: struct{ Email, Link string }{email, link}})
	}
	return done(w, r, "/admin/users", "invited")
}

// userOf gives the account in the path; it must be one of the organisation.
func (a *app) userOf(r *http.Request, tenant string) (auth.Account, error) {
	acc, err := a.auth.Account(r.Context(), r.PathValue("id"))
	if err == nil && acc.Tenant != tenant {
		err = rbac.ErrNotFound
	}
	return acc, err
}

func (a *app) changeRole(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := a.demand(r, roleAssign)
	if err != nil {
		return err
	}
	acc, err := a.userOf(r, p.Tenant)
	if err != nil {
		return err
	}
	role := r.PostFormValue("role")
	if r.PostFormValue("act") == "take" {
		if acc.ID == p.ID {
			return a.showUsers(w, r, http.StatusUnprocessableEntity, "You cannot take a role from yourself: ask another administrator.")
		}
		err = a.roles.Unassign(ctx, p.Tenant, acc.ID, role, p.Tenant)
	} else {
		var reason string
		if reason, err = line(r, "reason", 200, true); err == nil {
			err = a.roles.Assign(ctx, rbac.Assignment{Tenant: p.Tenant, Subject: acc.ID, Role: role, Scope: p.Tenant, Reason: reason})
		}
	}
	var wrong problem
	switch {
	case errors.As(err, &wrong):
		return a.showUsers(w, r, wrong.status, wrong.text)
	case errors.Is(err, rbac.ErrAssigned), errors.Is(err, rbac.ErrNotAssigned):
		return a.showUsers(w, r, http.StatusConflict, "The user's roles have changed meanwhile.")
	case errors.Is(err, rbac.ErrExclusive):
		return a.showUsers(w, r, http.StatusConflict, "Nobody may hold these roles together.")
	case errors.Is(err, rbac.ErrNotGrantable):
		return a.showUsers(w, r, http.StatusForbidden, "You may not give or take this role.")
	case errors.Is(err, rbac.ErrUnknownRole):
		return a.showUsers(w, r, http.StatusUnprocessableEntity, "There is no such role.")
	case err != nil:
		return err
	}
	return done(w, r, "/admin/users", "roles")
}

func (a *app) disableUser(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := a.demand(r, userDisable)
	if err != nil {
		return err
	}
	acc, err := a.userOf(r, p.Tenant)
	if err != nil {
		return err
	}
	if acc.ID == p.ID {
		return a.showUsers(w, r, http.StatusUnprocessableEntity, "You cannot disable yourself.")
	}
	disable, err := strconv.ParseBool(r.PostFormValue("disabled"))
	if err != nil {
		return invalid("The form does not say whether to disable or to enable.")
	}
	if err := a.auth.SetDisabled(ctx, acc.ID, disable); err != nil {
		return err
	}
	if disable {
		return done(w, r, "/admin/users", "disabled")
	}
	return done(w, r, "/admin/users", "enabled")
}
