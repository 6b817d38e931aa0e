// SPDX-License-Identifier: Apache-2.0

package audit

import "strings"

// Kind names what was done, as area.act. The kinds of the SDK are the constants of this package; an
// application's own start with "app.".
type Kind string

// Duty tells what must hold before the act that an event describes may go on.
type Duty string

// The duties.
const (
	// Must: the event is durable or the act is refused.
	Must Duty = "must"
	// Should: the event is durable soon, or an alarm is raised.
	Should Duty = "should"
	// May: the event may be shed under pressure, and what was shed is counted.
	May Duty = "may"
)

// The kinds of the SDK's own events.
const (
	AuthLogin            Kind = "auth.login"
	AuthFirstFactor      Kind = "auth.first_factor"
	AuthReauthenticated  Kind = "auth.reauthenticated"
	AuthLogout           Kind = "auth.logout"
	AuthAccountCreated   Kind = "auth.account_created"
	AuthAccountDisabled  Kind = "auth.account_disabled"
	AuthAccountEnabled   Kind = "auth.account_enabled"
	AuthAccountDeleted   Kind = "auth.account_deleted"
	AuthAccountUnlocked  Kind = "auth.account_unlocked"
	AuthAccountInvited   Kind = "auth.account_invited"
	AuthProfileChanged   Kind = "auth.profile_changed"
	AuthPasswordChanged  Kind = "auth.password_changed"
	AuthPasswordReset    Kind = "auth.password_reset"
	AuthPasswordTaken    Kind = "auth.password_taken"
	AuthResetRequested   Kind = "auth.reset_requested"
	AuthRegistration     Kind = "auth.registration_requested"
	AuthEmailRequested   Kind = "auth.email_requested"
	AuthEmailChanged     Kind = "auth.email_changed"
	AuthLinkMade         Kind = "auth.link_made"
	AuthLinkRefused      Kind = "auth.link_refused"
	AuthNoticeFailed     Kind = "auth.notice_failed"
	AuthSessionStarted   Kind = "auth.session_started"
	AuthSessionRevoked   Kind = "auth.session_revoked"
	AuthSessionRefused   Kind = "auth.session_refused"
	AuthThrottled        Kind = "auth.throttled"
	AuthImpersonated     Kind = "auth.impersonation_started"
	AuthImpersonationEnd Kind = "auth.impersonation_ended"
	AuthProofNeeded      Kind = "auth.proof_needed"
	AuthReported         Kind = "auth.reported"
	AuthFrozen           Kind = "auth.factors_frozen"
	AuthUnfrozen         Kind = "auth.factors_unfrozen"
	MFAEnrolled          Kind = "mfa.enrolled"
	MFARemoved           Kind = "mfa.removed"
	MFAVerified          Kind = "mfa.verified"
	MFARequired          Kind = "mfa.required"
	MFAPolicyChanged     Kind = "mfa.policy_changed"
	RBACDecision         Kind = "rbac.decision"
	RBACAssigned         Kind = "rbac.assigned"
	RBACRevoked          Kind = "rbac.revoked"
	RBACPolicyLoaded     Kind = "rbac.policy_loaded"
	CryptoKeyCreated     Kind = "crypto.key_created"
	CryptoOpenRefused    Kind = "crypto.open_refused"
	CryptoShredded       Kind = "crypto.shredded"
	NetworkRefused       Kind = "ipfilter.refused"
	NetworkRulesChanged  Kind = "ipfilter.rules_changed"
	HTTPRequest          Kind = "http.request"
	HTTPCrossOrigin      Kind = "http.cross_origin_refused"
	HTTPPanic            Kind = "http.panic"
	RetentionPlanned     Kind = "retention.planned"
	RetentionApproved    Kind = "retention.approved"
	RetentionRun         Kind = "retention.run"
	MailFailed           Kind = "mail.failed"
	MailRetried          Kind = "mail.retried"
	MailDropped          Kind = "mail.dropped"
	LogOpened            Kind = "audit.opened"
	LogVerified          Kind = "audit.verified"
	applicationNamespace      = "app."
)

// duties closes the registry: a kind that is not in it and not in the application's namespace is unknown.
var duties = map[Kind]Duty{
	AuthLogin: Must, AuthFirstFactor: Must, AuthReauthenticated: Must, AuthAccountUnlocked: Must, AuthLogout: Should, AuthAccountCreated: Must, AuthAccountDisabled: Must,
	AuthAccountEnabled: Must, AuthAccountDeleted: Must, AuthPasswordChanged: Must,
	AuthAccountInvited: Must, AuthProfileChanged: Must, AuthPasswordReset: Must, AuthPasswordTaken: Must,
	AuthResetRequested: Should, AuthRegistration: Should, AuthEmailRequested: Must, AuthEmailChanged: Must,
	AuthLinkMade: Must, AuthLinkRefused: May, AuthNoticeFailed: Must,
	AuthSessionStarted: Should, AuthSessionRevoked: Must, AuthSessionRefused: May, AuthThrottled: Should,
	AuthImpersonated: Must, AuthImpersonationEnd: Must, AuthProofNeeded: May, AuthReported: Must, AuthFrozen: Must, AuthUnfrozen: Must,
	MFAEnrolled: Must, MFARemoved: Must, MFAVerified: Must, MFARequired: May, MFAPolicyChanged: Must,
	RBACDecision: Should, RBACAssigned: Must, RBACRevoked: Must, RBACPolicyLoaded: Must,
	CryptoKeyCreated: Must, CryptoOpenRefused: Should, CryptoShredded: Must,
	NetworkRefused: May, NetworkRulesChanged: Must,
	HTTPRequest: Should, HTTPCrossOrigin: May, HTTPPanic: Should,
	RetentionPlanned: Should, RetentionApproved: Must, RetentionRun: Must,
	MailFailed: Should, MailRetried: Should, MailDropped: Must,
	LogOpened: Must, LogVerified: Should,
}

// Duty gives the duty of a kind. The application's own kinds, and unknown ones, are [Must].
func (k Kind) Duty() Duty {
	if d, ok := duties[k]; ok {
		return d
	}
	return Must
}

// Known tells whether k is one of this package's kinds or in the application's namespace.
func (k Kind) Known() bool {
	if _, ok := duties[k]; ok {
		return true
	}
	return len(k) > len(applicationNamespace) && strings.HasPrefix(string(k), applicationNamespace)
}
