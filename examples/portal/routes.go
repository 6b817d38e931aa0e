// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/httpsec"
	"github.com/portalsec/portalsec/rbac"
)

// server gives the HTTP server: the routes, each with what it needs, inside the middleware, outermost first.
func (a *app) server() (*http.Server, error) {
	web := httpsec.Config{HSTS: a.cfg.publicURL.Scheme == "https", MaxBody: maxUpload + 1<<20,
		TrustedOrigins: []string{a.cfg.publicURL.String()}, Audit: a.audit, Deny: a.deny}
	headers, err := httpsec.Headers(web)
	if err != nil {
		return nil, err
	}
	sameSite, err := httpsec.CrossOrigin(web)
	if err != nil {
		return nil, err
	}
	web.Handler = portalsec.Chain(a.routes(),
		httpsec.Recover(a.audit, a.deny),
		headers,
		a.clients.Middleware(),
		a.network.Middleware(),
		httpsec.Limit(web.MaxBody, a.deny),
		sameSite,
		a.auth.Middleware(),
		a.mfa.Enforce(),
		audit.Middleware(a.audit),
		a.forms,
	)
	web.MaxBody = -1 // the chain has the limit, inside of the headers that its refusal needs too
	server := httpsec.Server(web)
	server.ErrorLog = slog.NewLogLogger(a.log.Handler(), slog.LevelWarn)
	return server, nil
}

// routes says what every address needs. There is no way to add one without saying it.
func (a *app) routes() http.Handler {
	m := rbac.NewMux(a.roles)
	a.gets = http.NewServeMux()
	page := func(pattern string, access rbac.Access, h handler) {
		m.Handle(pattern, access, a.handle(h))
		if strings.HasPrefix(pattern, "GET ") {
			a.gets.Handle(pattern, http.NotFoundHandler())
		}
	}

	page("GET /{$}", rbac.Public("sends visitors to the login"), a.home)
	page("GET /healthz", rbac.Public("load balancers ask without a session"), a.health)
	page("GET /dev/outbox", rbac.Public("loopback only, demonstration only"), a.outboxPage)
	m.Handle("GET /static/{file}", rbac.Public("style sheet and icon"), static())

	page("GET /login", rbac.Public("to sign in"), a.loginPage)
	page("POST /login", rbac.Public("to sign in"), a.login)
	page("GET /mfa", rbac.Public("guarded by the pending login"), a.mfaPage)
	page("POST /mfa", rbac.Public("guarded by the pending login"), a.mfaVerify)
	page("GET /enrol", rbac.Public("guarded by the pending login or the session"), userOnly(a.enrolPage))
	page("POST /enrol", rbac.Public("guarded by the pending login or the session"), userOnly(a.enrolConfirm))
	page("GET /password", rbac.Public("guarded by the pending login"), a.expiredPage)
	page("POST /password", rbac.Public("guarded by the pending login"), a.replaceExpired)
	page("POST /logout", rbac.Public("ending no session does no harm"), a.logout)
	page("GET /confirm", rbac.SignedIn("to prove who one is again"), userOnly(a.confirmPage))
	page("POST /confirm", rbac.SignedIn("to prove who one is again"), userOnly(a.confirm))

	page("GET /register", rbac.Public("to register"), a.registerPage)
	page("POST /register", rbac.Public("to register"), a.register)
	page("GET "+registrationLink.path, rbac.Public("guarded by the mailed link"), a.linkPage(registrationLink))
	page("POST "+registrationLink.path, rbac.Public("guarded by the mailed link"), a.confirmRegistration)
	page("GET "+invitationLink.path, rbac.Public("guarded by the mailed link"), a.linkPage(invitationLink))
	page("POST "+invitationLink.path, rbac.Public("guarded by the mailed link"), a.welcome)
	page("GET /forgot", rbac.Public("who forgot the password cannot sign in"), a.forgotPage)
	page("POST /forgot", rbac.Public("who forgot the password cannot sign in"), a.forgot)
	page("GET "+resetLink.path, rbac.Public("guarded by the mailed link"), a.linkPage(resetLink))
	page("POST "+resetLink.path, rbac.Public("guarded by the mailed link"), a.reset)
	page("GET "+emailLink.path, rbac.Public("guarded by the mailed link"), a.linkPage(emailLink))
	page("POST "+emailLink.path, rbac.Public("guarded by the mailed link"), a.confirmEmail)
	page("GET "+notMeLink.path, rbac.Public("guarded by the mailed link"), a.linkPage(notMeLink))
	page("POST "+notMeLink.path, rbac.Public("guarded by the mailed link"), a.notMe)
	page("POST /impersonation/stop", rbac.SignedIn("to be oneself again"), a.stopImpersonating)

	page("GET /tickets", rbac.Need(ticketRead).Object(), a.ticketsPage)
	page("GET /tickets/new", rbac.Need(ticketOpen).Object(), a.newTicketPage)
	page("POST /tickets", rbac.Need(ticketOpen).Object(), a.openTicket)
	page("GET /tickets/{id}", rbac.Need(ticketRead).Object(), a.ticketPage)
	page("POST /tickets/{id}/reply", rbac.Need(ticketReply).Object(), a.replyTicket)
	page("POST /tickets/{id}/close", rbac.Need(ticketClose).Object(), a.closeTicket)
	page("POST /tickets/{id}/delete", rbac.Need(ticketDelete).Object(), a.deleteTicket)
	page("GET /tickets/{id}/files/{file}", rbac.Need(attachmentRead).Object(), a.download)

	page("GET /appointments", rbac.Need(appointmentRead).Object(), a.appointmentsPage)
	page("POST /appointments", rbac.Need(appointmentBook).Object(), a.bookAppointment)
	page("POST /appointments/{id}/move", rbac.Need(appointmentMove).Object(), a.moveAppointment)
	page("POST /appointments/{id}/cancel", rbac.Need(appointmentCancel).Object(), a.cancelAppointment)

	page("GET /account", rbac.SignedIn("one's own account"), a.accountPage)
	page("POST /account/contact", rbac.SignedIn("one's own account"), a.saveContact)
	page("POST /account/profile", rbac.SignedIn("one's own account"), userOnly(a.saveProfile))
	page("POST /account/email", rbac.SignedIn("one's own account"), userOnly(a.changeEmail))
	page("POST /account/password", rbac.SignedIn("one's own account"), userOnly(a.changePassword))
	page("POST /account/sessions/revoke-others", rbac.SignedIn("one's own account"), userOnly(a.fresh(a.revokeOthers)))
	page("POST /account/sessions/{id}/revoke", rbac.SignedIn("one's own account"), userOnly(a.fresh(a.revokeSession)))
	page("POST /account/factors/{id}/remove", rbac.SignedIn("one's own account"), userOnly(a.fresh(a.removeFactor)))

	page("GET /admin/users", rbac.Need(userRead).Object(), a.usersPage)
	page("POST /admin/users", rbac.Need(userCreate).Object(), a.createUser)
	page("POST /admin/users/{id}/roles", rbac.Need(roleAssign).Object(), a.changeRole)
	page("POST /admin/users/{id}/disabled", rbac.Need(userDisable).Object(), a.disableUser)
	act := func(pattern string, perm *rbac.Perm, back, notice string, do func(*http.Request, auth.Account) error) {
		page("POST /admin/users/{id}"+pattern, rbac.Need(perm).Object(), a.onUser(perm, back, notice, do))
	}
	page("GET /admin/users/{id}", rbac.Need(userRead).Object(), a.userPage)
	act("/sessions/{session}/end", userSession, "", "ended", a.endUserSession)
	act("/sessions/end", userSession, "", "ended", a.endUserSessions)
	act("/reset", userReset, "", "resetBy", a.resetUser)
	act("/unlock", userReset, "", "unlocked", a.unlockUser)
	act("/delete", userDelete, "/admin/users", "userGone", a.deleteUser)
	page("POST /admin/sessions/end", rbac.Need(userReset).Object(), a.endAllSessions)
	page("POST /customers/{id}/act-as", rbac.Need(userActAs).Object(), a.actAs)
	page("GET /admin/reports", rbac.Need(reportRead).Object(), a.reportsPage)
	page("POST /admin/reports/{id}/close", rbac.Need(reportClose).Object(), a.closeReport)
	page("GET /admin/mail", rbac.Need(mailRead).Object(), a.mailPage)
	page("POST /admin/mail/{id}/retry", rbac.Need(mailEdit).Object(), a.retryMail)
	page("POST /admin/mail/{id}/drop", rbac.Need(mailEdit).Object(), a.dropMail)
	page("GET /admin/security", rbac.Need(securityRead).Object(), a.securityPage)
	page("POST /admin/security", rbac.Need(securityEdit).Object(), a.saveSecurity)
	page("GET /admin/network", rbac.Need(networkRead).Object(), a.networkPage)
	page("POST /admin/network", rbac.Need(networkEdit).Object(), a.saveNetwork)
	page("GET /admin/audit", rbac.Need(auditRead).Object(), a.auditPage)
	page("POST /admin/audit/verify", rbac.Need(auditRead).Object(), a.verifyAudit)
	page("GET /admin/retention", rbac.Need(retentionRead).Object(), a.retentionPage)
	page("POST /admin/retention/{policy}/dry-run", rbac.Need(retentionPlan).Object(), a.dryRun)
	page("POST /admin/retention/{policy}/approve", rbac.Need(retentionApprove).Object(), a.approveRetention)
	page("POST /admin/retention/{policy}/run", rbac.Need(retentionRun).Object(), a.runRetention)

	page("POST /api/login", rbac.Public("to sign in"), a.apiLogin)
	page("POST /api/enrol", rbac.Public("guarded by the pending login or the session"), userOnly(a.apiEnrol))
	page("POST /api/mfa", rbac.Public("guarded by the pending login or the session"), userOnly(a.apiMFA))
	page("POST /api/logout", rbac.Public("ending no session does no harm"), a.apiLogout)
	page("GET /api/me", rbac.SignedIn("who one is"), a.apiMe)
	page("POST /api/register", rbac.Public("to register"), flow(a, http.StatusAccepted, a.apiRegister))
	page("POST /api/register/confirm", rbac.Public("guarded by the mailed link"), flow(a, http.StatusNoContent, a.apiConfirmRegistration))
	page("POST /api/invitation/accept", rbac.Public("guarded by the mailed link"), flow(a, http.StatusNoContent, a.apiAcceptInvitation))
	page("POST /api/reset/request", rbac.Public("who forgot the password cannot sign in"), flow(a, http.StatusAccepted, a.apiForgot))
	page("POST /api/reset", rbac.Public("guarded by the mailed link"), flow(a, http.StatusNoContent, a.apiReset))
	page("POST /api/email/confirm", rbac.Public("guarded by the mailed link"), flow(a, http.StatusNoContent, a.apiConfirmEmail))
	page("POST /api/not-me", rbac.Public("guarded by the mailed link"), flow(a, http.StatusNoContent, a.apiNotMe))
	page("POST /api/email", rbac.SignedIn("one's own account"), userOnly(flow(a, http.StatusAccepted, a.apiEmail)))
	page("POST /api/password", rbac.SignedIn("one's own account"), userOnly(flow(a, http.StatusNoContent, a.apiPassword)))
	page("POST /api/reauthenticate", rbac.SignedIn("to prove who one is again"), userOnly(flow(a, http.StatusNoContent, a.apiReauthenticate)))
	page("PATCH /api/profile", rbac.SignedIn("one's own account"), userOnly(flow(a, http.StatusNoContent, a.apiProfile)))
	page("POST /api/password/expired", rbac.Public("guarded by the pending login"), a.apiExpired)
	page("GET /api/sessions", rbac.SignedIn("one's own account"), a.apiSessions)
	page("DELETE /api/sessions/others", rbac.SignedIn("one's own account"), userOnly(a.fresh(a.apiRevokeOthers)))
	page("DELETE /api/sessions/{id}", rbac.SignedIn("one's own account"), userOnly(a.fresh(a.apiRevokeSession)))
	page("POST /api/impersonation/stop", rbac.SignedIn("to be oneself again"), a.apiStopImpersonating)
	page("GET /api/tickets", rbac.Need(ticketRead).Object(), a.apiTickets)
	page("GET /api/tickets/{id}", rbac.Need(ticketRead).Object(), a.apiTicket)
	return m
}

// static serves the style sheet and the icon. They may be cached for an hour: they hold nothing of anybody.
func static() http.Handler {
	files := http.FileServerFS(staticFiles)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		files.ServeHTTP(w, r)
	})
}
