// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/mfa"
)

// refusal turns what a flow refused into what the visitor is told: never why, the audit log knows that. ok is false
// for an error that is none of the visitor's business.
func refusal(err error) (d portalsec.Denial, ok bool) {
	var tries *mfa.ThrottledError
	switch {
	case errors.As(err, &tries):
		d = auth.DenialOf(&auth.ThrottledError{RetryAfter: tries.RetryAfter})
	case errors.Is(err, mfa.ErrCode):
		d = portalsec.Denial{Status: http.StatusUnauthorized, Code: "code-refused",
			Detail: "That code is not right. Codes change every 30 seconds and each works once."}
	case errors.Is(err, mfa.ErrFrozen):
		d = auth.DenialOf(auth.ErrFrozen)
	case errors.Is(err, auth.ErrNoMailer):
		d = portalsec.Denial{Status: http.StatusServiceUnavailable, Code: "no-mail",
			Detail: "This portal sends no mail yet. Please ask the administrators of your organisation."}
	default:
		if d = auth.DenialOf(err); d.Code == "unavailable" {
			return d, false
		}
	}
	if d.Detail == "" {
		d.Detail = d.Title + "."
	}
	if d.Status == http.StatusTooManyRequests {
		d.Detail = fmt.Sprintf("Too many attempts. Please wait %d seconds and try again.", seconds(d.RetryAfter))
	}
	return d, true
}

// seconds rounds up to whole seconds, as the Retry-After header has them.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// retryAfter tells a program how long to wait, when the denial says so.
func retryAfter(w http.ResponseWriter, d portalsec.Denial) {
	if d.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(d.RetryAfter)))
	}
}

// again shows a form once more with the sentence of a refusal.
func (a *app) again(w http.ResponseWriter, r *http.Request, name string, p page, err error) error {
	d, ok := refusal(err)
	if !ok {
		return err
	}
	retryAfter(w, d)
	p.Error = d.Detail
	if name == "confirm" && d.Code == "sign-in-refused" {
		p.Error = "The password is not right."
	}
	return a.render(w, r, d.Status, name, p)
}

func (a *app) loginPage(w http.ResponseWriter, r *http.Request) error {
	if _, ok := portalsec.PrincipalFrom(r.Context()); ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	return a.render(w, r, http.StatusOK, "login", page{Title: "Sign in", Data: loginForm{Next: auth.SafeNext(r.URL.Query().Get("next"))}})
}

type loginForm struct{ Email, Next string }

func (a *app) login(w http.ResponseWriter, r *http.Request) error {
	next := auth.SafeNext(r.PostFormValue("next"))
	out, err := a.auth.Login(r.Context(), w, r, auth.Credentials{Email: r.PostFormValue("email"), Password: r.PostFormValue("password")})
	if err != nil {
		return a.again(w, r, "login", page{Title: "Sign in", Data: loginForm{r.PostFormValue("email"), next}}, err)
	}
	return onward(w, r, out.Next, next)
}

// onward leads to what remains of a login, and to the page that the visitor wanted when nothing does.
func onward(w http.ResponseWriter, r *http.Request, remains auth.Next, next string) error {
	if path := map[auth.Next]string{auth.NextPassword: "/password", auth.NextTOTP: "/mfa", auth.NextEnrol: "/enrol"}[remains]; path != "" {
		next = path + "?" + url.Values{"next": {next}}.Encode()
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

func (a *app) mfaPage(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.auth.PendingLogin(r); err != nil {
		return a.toSignIn(w, r, err)
	}
	return a.render(w, r, http.StatusOK, "mfa", page{Title: "Second factor", Data: loginForm{Next: auth.SafeNext(r.URL.Query().Get("next"))}})
}

func (a *app) mfaVerify(w http.ResponseWriter, r *http.Request) error {
	next := auth.SafeNext(r.PostFormValue("next"))
	err := a.verifyCode(w, r, r.PostFormValue("code"))
	switch {
	case errors.Is(err, auth.ErrNoPending):
		return a.toSignIn(w, r, err)
	case err != nil:
		return a.again(w, r, "mfa", page{Title: "Second factor", Data: loginForm{Next: next}}, err)
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// verifyCode finishes a pending login with a code from the app, or a recovery code.
func (a *app) verifyCode(w http.ResponseWriter, r *http.Request, code string) error {
	pending, err := a.auth.PendingLogin(r)
	if err != nil {
		return err
	}
	if pending.Next != auth.NextTOTP {
		return auth.ErrNoPending
	}
	proof, err := a.mfa.Verify(r.Context(), mfaUser(pending.Account, pending.ID), code)
	if err != nil {
		return err
	}
	_, err = a.auth.CompleteLogin(r.Context(), w, r, proof)
	return err
}

// toSignIn sends a visitor without a pending login back to the start.
func (a *app) toSignIn(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, auth.ErrNoPending) {
		return err
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

// mfaUser gives whose factors are meant, in the session or pending login that the request belongs to.
func mfaUser(acc auth.Account, visit string) mfa.User {
	return mfa.User{Tenant: acc.Tenant, ID: acc.ID, Label: acc.Email, Visit: visit}
}

// enrolling gives who enrols a second factor: the visitor whose login waits for it, or the signed-in user.
func (a *app) enrolling(r *http.Request) (u mfa.User, pending bool, err error) {
	if p, ok := portalsec.PrincipalFrom(r.Context()); ok {
		// A browser left open, or a stolen session, must not suffice (ASVS 7.5.1).
		if err := a.auth.CheckFresh(p, 0); err != nil {
			return u, false, err
		}
		acc, err := a.auth.Account(r.Context(), p.ID)
		return mfaUser(acc, p.Session), false, err
	}
	p, err := a.auth.PendingLogin(r)
	if err == nil && p.Next != auth.NextEnrol {
		err = auth.ErrNoPending
	}
	return mfaUser(p.Account, p.ID), true, err
}

const proofNeeded = "Sign in with your second factor first: only then can it be replaced or removed."

type enrolForm struct {
	Next    string
	QR      template.URL
	Secret  string
	Pending bool
}

func (a *app) enrolPage(w http.ResponseWriter, r *http.Request) error {
	user, pending, err := a.enrolling(r)
	if err != nil {
		return a.toSignIn(w, r, err)
	}
	// Loading the page again shows the same picture, not one that makes the scanned one worthless.
	e, err := a.mfa.PendingTOTP(r.Context(), user)
	if errors.Is(err, mfa.ErrNotFound) {
		e, err = a.mfa.BeginTOTP(r.Context(), user)
	}
	if errors.Is(err, mfa.ErrProofNeeded) {
		return enrolledMeanwhile(w, r, pending)
	}
	if err != nil {
		return err
	}
	return a.renderEnrol(w, r, http.StatusOK, e, pending, auth.SafeNext(r.URL.Query().Get("next")), "")
}

func (a *app) renderEnrol(w http.ResponseWriter, r *http.Request, status int, e mfa.Enrolment, pending bool, next, mistake string) error {
	png, err := e.PNG(448)
	if err != nil {
		return err
	}
	return a.render(w, r, status, "enrol", page{Title: "Set up your second factor", Error: mistake, Data: enrolForm{
		Next: next, Secret: e.Secret, Pending: pending,
		QR: template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png)),
	}})
}

func (a *app) enrolConfirm(w http.ResponseWriter, r *http.Request) error {
	next := auth.SafeNext(r.PostFormValue("next"))
	user, pending, err := a.enrolling(r)
	if err != nil {
		return a.toSignIn(w, r, err)
	}
	codes, err := a.confirmTOTP(w, r, user, pending, r.PostFormValue("code"))
	if d, ok := refusal(err); ok {
		e, err := a.mfa.PendingTOTP(r.Context(), user)
		if errors.Is(err, mfa.ErrNotFound) {
			return enrolAgain(w, r, next)
		}
		if err != nil {
			return err
		}
		return a.renderEnrol(w, r, d.Status, e, pending, next, d.Detail)
	}
	switch {
	case errors.Is(err, mfa.ErrProofNeeded):
		return enrolledMeanwhile(w, r, pending)
	case errors.Is(err, mfa.ErrNotFound):
		return enrolAgain(w, r, next)
	case err != nil:
		return err
	}
	return a.render(w, r, http.StatusOK, "recovery", page{Title: "Your recovery codes", Data: struct {
		Codes []string
		Next  string
	}{codes, next}})
}

// enrolAgain shows a new picture in place of one that is too old, or that another browser's has replaced.
func enrolAgain(w http.ResponseWriter, r *http.Request, next string) error {
	http.Redirect(w, r, "/enrol?"+url.Values{"next": {next}, "done": {"replaced"}}.Encode(), http.StatusSeeOther)
	return nil
}

// enrolledMeanwhile tells who enrols that the account has a second factor already, which this browser has not
// shown.
func enrolledMeanwhile(w http.ResponseWriter, r *http.Request, pending bool) error {
	if pending {
		return done(w, r, "/login", "enrolled")
	}
	return problem{http.StatusForbidden, proofNeeded}
}

// confirmTOTP ends the enrolment with its first code. A login that waited for it is completed, a session gets
// a new token.
func (a *app) confirmTOTP(w http.ResponseWriter, r *http.Request, u mfa.User, pending bool, code string) ([]string, error) {
	codes, err := a.mfa.ConfirmTOTP(r.Context(), u, code)
	if err != nil {
		return nil, err
	}
	proof := portalsec.FactorProof{Kind: portalsec.FactorTOTP, At: time.Now().UTC()}
	if pending {
		_, err = a.auth.CompleteLogin(r.Context(), w, r, proof)
	} else {
		_, err = a.sessions.Rotate(r.Context(), w, r, proof)
	}
	if err != nil {
		return nil, err
	}
	a.notify(r.Context(), factorAdded, u.ID, "") // ASVS 6.3.7
	return codes, nil
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) error {
	if err := a.auth.Logout(r.Context(), w, r); err != nil {
		return err
	}
	return done(w, r, "/login", "signedout")
}

// confirmPage asks for the password again before something sensitive.
func (a *app) confirmPage(w http.ResponseWriter, r *http.Request) error {
	return a.render(w, r, http.StatusOK, "confirm", page{Title: "Please confirm that it is you",
		Data: loginForm{Next: auth.SafeNext(r.URL.Query().Get("next"))}})
}

func (a *app) confirm(w http.ResponseWriter, r *http.Request) error {
	next := auth.SafeNext(r.PostFormValue("next"))
	if err := a.auth.Reauthenticate(r.Context(), w, r, r.PostFormValue("password")); err != nil {
		return a.again(w, r, "confirm", page{Title: "Please confirm that it is you", Data: loginForm{Next: next}}, err)
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// names gives the name of an account, asking for each once. It is for one request.
func (a *app) names(ctx context.Context) func(id string) string {
	known := map[string]string{"": ""}
	p, _ := portalsec.PrincipalFrom(ctx)
	return func(id string) string {
		if n, ok := known[id]; ok {
			return n
		}
		n := "a former user"
		if acc, err := a.auth.Account(ctx, id); err == nil && acc.Tenant == p.Tenant {
			n = acc.Name
		}
		known[id] = n
		return n
	}
}
