// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/rbac"
)

type userView struct {
	User                                   auth.Account
	Roles                                  []string
	Sessions                               []session.Session
	Frozen, Self                           bool
	MaySessions, MayReset, MayDelete, Mail bool
}

// userPage is one user, for those who look after users.
func (a *app) userPage(w http.ResponseWriter, r *http.Request) error {
	return a.showUser(w, r, http.StatusOK, "")
}

func (a *app) showUser(w http.ResponseWriter, r *http.Request, status int, mistake string) error {
	ctx := r.Context()
	p, err := a.demand(r, userRead)
	if err != nil {
		return err
	}
	v := userView{MaySessions: a.may(ctx, userSession), MayReset: a.may(ctx, userReset), MayDelete: a.may(ctx, userDelete), Mail: a.mails()}
	if v.User, err = a.userOf(r, p.Tenant); err != nil {
		return err
	}
	v.Self, v.Frozen = v.User.ID == p.ID, v.User.FrozenUntil.After(a.now())
	if v.Roles, err = a.roles.Roles(ctx, p.Tenant, v.User.ID); err != nil {
		return err
	}
	if v.MaySessions {
		if v.Sessions, err = a.sessions.List(ctx, p.Tenant, v.User.ID); err != nil {
			return err
		}
	}
	return a.render(w, r, status, "user", page{Title: v.User.Name, Error: mistake, Data: v})
}

// onUser does something to the user in the path, who must be of the organisation, and somebody else.
func (a *app) onUser(perm *rbac.Perm, back, notice string, act func(r *http.Request, acc auth.Account) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		p, err := a.demand(r, perm)
		if err != nil {
			return err
		}
		acc, err := a.userOf(r, p.Tenant)
		switch {
		case err != nil:
			return err
		case acc.ID == p.ID:
			return a.showUser(w, r, http.StatusUnprocessableEntity, "This is you: use My account, or ask another administrator.")
		}
		if err := act(r, acc); err != nil {
			return mistake(err, func(status int, text string) error { return a.showUser(w, r, status, text) })
		}
		if back == "" {
			return done(w, r, "/admin/users/"+acc.ID, notice)
		}
		return done(w, r, back, notice)
	}
}

func (a *app) endUserSession(r *http.Request, acc auth.Account) error {
	err := a.sessions.Revoke(r.Context(), acc.Tenant, acc.ID, r.PathValue("session"))
	if errors.Is(err, session.ErrNoSession) {
		return nil // it has ended by itself
	}
	return err
}

func (a *app) endUserSessions(r *http.Request, acc auth.Account) error {
	_, err := a.sessions.RevokeUser(r.Context(), acc.Tenant, acc.ID, "")
	return err
}

// resetUser takes the password away and mails a link: no administrator ever knows a user's password.
func (a *app) resetUser(r *http.Request, acc auth.Account) error {
	err := a.auth.ForceReset(r.Context(), acc.ID)
	if errors.Is(err, auth.ErrNoMailer) {
		return invalid("This portal has no mail server, so no link can be sent: start it with -smtp.")
	}
	return err
}

// unlockUser lets somebody in again who was kept out: by too many wrong passwords, or by a report that froze the
// account.
func (a *app) unlockUser(r *http.Request, acc auth.Account) error {
	if err := a.auth.Unlock(r.Context(), acc.ID); err != nil {
		return err
	}
	if !acc.FrozenUntil.After(a.now()) {
		return nil
	}
	return a.auth.Unfreeze(r.Context(), acc.ID)
}

// deleteUser removes the account, its second factors and its contact details. Tickets and appointments stay until the
// retention policy's time has come. The account goes last, so that what has failed half way can be done again. Disabled,
// it lets nobody in meanwhile.
func (a *app) deleteUser(r *http.Request, acc auth.Account) error {
	ctx := r.Context()
	if err := a.auth.SetDisabled(ctx, acc.ID, true); err != nil {
		return err
	}
	if acc.FrozenUntil.After(a.now()) {
		if err := a.auth.Unfreeze(ctx, acc.ID); err != nil {
			return err
		}
	}
	factors, err := a.mfa.Factors(ctx, acc.Tenant, acc.ID)
	if err != nil {
		return err
	}
	for _, f := range factors {
		if f.Kind == portalsec.FactorRecovery {
			continue // recovery codes go with the factor that they stand in for
		}
		if err := a.mfa.Remove(ctx, acc.Tenant, acc.ID, f.ID); err != nil {
			return err
		}
	}
	if err := a.store.deleteContact(ctx, acc.Tenant, acc.ID); err != nil {
		return err
	}
	return a.auth.DeleteAccount(ctx, acc.ID)
}

// endAllSessions signs out everybody of the organisation, the administrator included.
func (a *app) endAllSessions(w http.ResponseWriter, r *http.Request) error {
	p, err := a.demand(r, userReset)
	if err != nil {
		return err
	}
	if _, err := a.sessions.RevokeTenant(r.Context(), p.Tenant); err != nil {
		return err
	}
	return done(w, r, "/login", "signedout")
}

const actAsRole = "customer"

// actAs lets a member of staff see the portal as a customer does. Only customers: nobody gains rights by it.
func (a *app) actAs(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := a.demand(r, userActAs)
	if err != nil {
		return err
	}
	acc, err := a.userOf(r, p.Tenant)
	if err != nil {
		return err
	}
	reason, err := line(r, "reason", 200, true)
	if err != nil {
		return err
	}
	roles, err := a.roles.Roles(ctx, acc.Tenant, acc.ID)
	if err != nil {
		return err
	}
	if len(roles) != 1 || roles[0] != actAsRole {
		return problem{http.StatusForbidden, "You can act as a customer only."}
	}
	if _, err := a.auth.Impersonate(ctx, w, r, acc.ID, reason); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}
