// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/mfa"
)

// The machine-readable side of the portal: the same guards and the same cookie as the pages.

func (a *app) apiLogin(w http.ResponseWriter, r *http.Request) error {
	var in struct{ Email, Password string }
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	out, err := a.auth.Login(r.Context(), w, r, auth.Credentials{Email: in.Email, Password: in.Password})
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]string{"next": string(out.Next)})
}

// apiEnrol begins the enrolment that a login asks for; /api/mfa confirms it with the first code.
func (a *app) apiEnrol(w http.ResponseWriter, r *http.Request) error {
	user, _, err := a.enrolling(r)
	if err != nil {
		return err
	}
	e, err := a.mfa.BeginTOTP(r.Context(), user)
	if errors.Is(err, mfa.ErrProofNeeded) {
		return problem{http.StatusConflict, proofNeeded}
	}
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]string{"secret": e.Secret, "uri": e.URI})
}

func (a *app) apiMFA(w http.ResponseWriter, r *http.Request) error {
	var in struct{ Code string }
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	answer := struct {
		Next          string   `json:"next"`
		RecoveryCodes []string `json:"recovery_codes,omitempty"`
	}{Next: string(auth.NextSession)}
	user, pending, err := a.enrolling(r)
	switch {
	case err == nil:
		answer.RecoveryCodes, err = a.confirmTOTP(w, r, user, pending, in.Code)
	case errors.Is(err, auth.ErrNoPending):
		err = a.verifyCode(w, r, in.Code)
	}
	if errors.Is(err, mfa.ErrNotFound) {
		err = problem{http.StatusConflict, "Begin the enrolment first: POST /api/enrol."}
	}
	if errors.Is(err, mfa.ErrProofNeeded) {
		err = problem{http.StatusConflict, proofNeeded}
	}
	if err != nil {
		return err
	}
	return writeJSON(w, answer)
}

func (a *app) apiLogout(w http.ResponseWriter, r *http.Request) error {
	if err := a.auth.Logout(r.Context(), w, r); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *app) apiMe(w http.ResponseWriter, r *http.Request) error {
	p, _ := portalsec.PrincipalFrom(r.Context())
	acc, err := a.auth.Account(r.Context(), p.ID)
	if err != nil {
		return err
	}
	factors := []string{}
	for _, f := range p.Factors {
		factors = append(factors, f.Kind)
	}
	return writeJSON(w, struct {
		ID      string   `json:"id"`
		Email   string   `json:"email"`
		Name    string   `json:"name"`
		Lang    string   `json:"lang"`
		Tenant  string   `json:"tenant"`
		Roles   []string `json:"roles"`
		Factors []string `json:"factors"`
		Session string   `json:"session"`
		// ActedBy is the ID of the member of staff who acts as this user.
		ActedBy string `json:"acted_by,omitempty"`
	}{p.ID, acc.Email, acc.Name, acc.Lang, p.Tenant, p.Roles, factors, p.Session, p.Impersonator})
}

type apiTicket struct {
	ID          string          `json:"id"`
	Subject     string          `json:"subject"`
	Status      string          `json:"status"`
	Customer    string          `json:"customer"`
	Created     time.Time       `json:"created"`
	Updated     time.Time       `json:"updated"`
	Messages    []apiMessage    `json:"messages,omitempty"`
	Attachments []apiAttachment `json:"attachments,omitempty"`
}

type apiMessage struct {
	Author  string    `json:"author"`
	Body    string    `json:"body"`
	Created time.Time `json:"created"`
}

type apiAttachment struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	URL       string `json:"url"`
}

func toAPI(t ticket) apiTicket {
	out := apiTicket{ID: t.ID, Subject: t.Subject, Status: t.Status, Customer: t.Customer, Created: t.Created, Updated: t.Updated}
	for _, m := range t.Messages {
		out.Messages = append(out.Messages, apiMessage{m.Author, m.Body, m.Created})
	}
	for _, f := range t.Attachments {
		out.Attachments = append(out.Attachments, apiAttachment{f.ID, f.Name, f.MediaType, f.Size, "/tickets/" + t.ID + "/files/" + f.ID})
	}
	return out
}

func (a *app) apiTickets(w http.ResponseWriter, r *http.Request) error {
	tickets, err := a.ticketListFor(r)
	if err != nil {
		return err
	}
	list := []apiTicket{}
	for _, t := range tickets {
		list = append(list, toAPI(t))
	}
	return writeJSON(w, list)
}

func (a *app) apiTicket(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	t, err := a.ticketFor(ctx, ticketRead, r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := a.store.conversation(ctx, &t); err != nil {
		return err
	}
	if err := a.recordTicket(ctx, ticketSeen, t)(); err != nil {
		return err
	}
	return writeJSON(w, toAPI(t))
}

// health tells a load balancer whether requests can be answered.
func (a *app) health(w http.ResponseWriter, r *http.Request) error {
	if err := a.store.db.PingContext(r.Context()); err != nil {
		return problem{http.StatusServiceUnavailable, "The database does not answer."}
	}
	if a.ledger.Err() != nil {
		return problem{http.StatusServiceUnavailable, "The audit log has stopped: mend its disk and start the portal again."}
	}
	return writeJSON(w, map[string]string{"status": "ok"})
}
