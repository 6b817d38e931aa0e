// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/session"
)

// The flows of an account for programs. Each takes a JSON object and answers with a status alone, or with a problem
// document.

// flow gives the handler of a flow: it reads what the flow takes, and answers with a status when it went well.
func flow[In any](a *app, status int, do func(w http.ResponseWriter, r *http.Request, in In) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var in In
		if err := readJSON(w, r, &in); err != nil {
			return err
		}
		if err := do(w, r, in); err != nil {
			return err
		}
		w.WriteHeader(status)
		return nil
	}
}

// linkIn is the token of a mailed link.
type linkIn struct{ Token string }

// passwordIn sets a password by a mailed link.
type passwordIn struct{ Token, Password string }

type registerIn struct{ Tenant, Email, Name, Lang string }

func (a *app) apiRegister(w http.ResponseWriter, r *http.Request, in registerIn) error {
	if _, err := checkLanguage(in.Lang); err != nil {
		return err
	}
	if in.Lang == "" {
		in.Lang = preferred(r)
	}
	return a.askRegistration(r, auth.NewRegistration{Tenant: in.Tenant, Email: in.Email, Name: in.Name, Lang: in.Lang})
}

func (a *app) apiConfirmRegistration(_ http.ResponseWriter, r *http.Request, in passwordIn) error {
	return a.completeRegistration(r, in.Token, in.Password)
}

type invitationIn struct{ Token, Password, Lang string }

func (a *app) apiAcceptInvitation(_ http.ResponseWriter, r *http.Request, in invitationIn) error {
	if _, err := checkLanguage(in.Lang); err != nil {
		return err
	}
	return a.acceptInvitation(r, in.Token, in.Password, in.Lang)
}

type forgotIn struct{ Email string }

func (a *app) apiForgot(_ http.ResponseWriter, r *http.Request, in forgotIn) error {
	return a.auth.RequestReset(r.Context(), r, in.Email)
}

func (a *app) apiReset(_ http.ResponseWriter, r *http.Request, in passwordIn) error {
	return a.auth.CompleteReset(r.Context(), r, in.Token, in.Password)
}

type emailIn struct{ Password, Email string }

func (a *app) apiEmail(_ http.ResponseWriter, r *http.Request, in emailIn) error {
	return a.auth.ChangeEmail(r.Context(), r, in.Password, in.Email)
}

func (a *app) apiConfirmEmail(_ http.ResponseWriter, r *http.Request, in linkIn) error {
	return a.auth.ConfirmEmail(r.Context(), r, in.Token)
}

func (a *app) apiNotMe(_ http.ResponseWriter, r *http.Request, in linkIn) error {
	return a.auth.NotMe(r.Context(), r, in.Token)
}

type changeIn struct{ Old, New string }

func (a *app) apiPassword(w http.ResponseWriter, r *http.Request, in changeIn) error {
	return a.auth.ChangePassword(r.Context(), w, r, in.Old, in.New)
}

// apiExpired sets a password in place of one that has expired; what remains of the login is told as by apiLogin.
func (a *app) apiExpired(w http.ResponseWriter, r *http.Request) error {
	var in struct{ New string }
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	out, err := a.auth.CompletePasswordChange(r.Context(), w, r, in.New)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]string{"next": string(out.Next)})
}

type proofIn struct{ Password string }

func (a *app) apiReauthenticate(w http.ResponseWriter, r *http.Request, in proofIn) error {
	return a.auth.Reauthenticate(r.Context(), w, r, in.Password)
}

// profileIn changes what it has.
type profileIn struct{ Name, Lang *string }

func (a *app) apiProfile(_ http.ResponseWriter, r *http.Request, in profileIn) error {
	if in.Lang != nil {
		if _, err := checkLanguage(*in.Lang); err != nil {
			return err
		}
	}
	p, _ := portalsec.PrincipalFrom(r.Context())
	_, err := a.auth.UpdateProfile(r.Context(), p.ID, auth.ProfileChange{Name: in.Name, Lang: in.Lang})
	return err
}

type apiSession struct {
	ID       string    `json:"id"`
	Current  bool      `json:"current"`
	Device   string    `json:"device"`
	Addr     string    `json:"address"`
	Country  string    `json:"country,omitempty"`
	Created  time.Time `json:"created"`
	LastSeen time.Time `json:"last_seen"`
	ActedBy  string    `json:"acted_by,omitempty"`
}

func (a *app) apiSessions(w http.ResponseWriter, r *http.Request) error {
	p, _ := portalsec.PrincipalFrom(r.Context())
	sessions, err := a.sessions.List(r.Context(), p.Tenant, p.ID)
	if err != nil {
		return err
	}
	list := []apiSession{}
	for _, s := range sessions {
		list = append(list, apiSession{s.ID, s.ID == p.Session, s.Device, s.Addr.String(), s.Country, s.Created, s.LastSeen, s.Impersonator})
	}
	return writeJSON(w, list)
}

func (a *app) apiRevokeSession(w http.ResponseWriter, r *http.Request) error {
	p, _ := portalsec.PrincipalFrom(r.Context())
	err := a.sessions.Revoke(r.Context(), p.Tenant, p.ID, r.PathValue("id"))
	if errors.Is(err, session.ErrNoSession) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *app) apiRevokeOthers(w http.ResponseWriter, r *http.Request) error {
	p, _ := portalsec.PrincipalFrom(r.Context())
	if _, err := a.sessions.RevokeUser(r.Context(), p.Tenant, p.ID, p.Session); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *app) apiStopImpersonating(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.auth.StopImpersonating(r.Context(), w, r); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
