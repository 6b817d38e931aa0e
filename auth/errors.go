// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth/password"
)

// ErrLoginRefused says that the credentials were not accepted. The reason is in the audit log only.
var ErrLoginRefused = errors.New("auth: sign-in refused")

// ErrNoPending says that the request carries no pending login: there never was one, its ten minutes are over,
// it was used, or the account has changed since.
var ErrNoPending = errors.New("auth: no pending login")

// ErrNoToken says that a one-time token is not good: it never was, its time is over, it was used, or what it was
// made for has changed since.
var ErrNoToken = errors.New("auth: link is not valid")

// ErrFrozen says that the account's factors and address must not be changed now; see [Auth.Freeze].
var ErrFrozen = errors.New("auth: changes of this account are frozen")

// ErrImpersonation says that nobody may act as that account: it is disabled or the principal's own, or the principal
// acts as somebody else already.
var ErrImpersonation = errors.New("auth: impersonation is not possible")

// ErrReason says that an act asks for a reason, of 1 to 200 characters.
var ErrReason = errors.New("auth: a reason is required")

// ErrNoAccount says that there is no such account.
var ErrNoAccount = errors.New("auth: no such account")

// ErrEmailTaken says that another account has the e-mail address.
var ErrEmailTaken = errors.New("auth: e-mail address is taken")

// ErrEmail says that a text is not an e-mail address.
var ErrEmail = errors.New("auth: not an e-mail address")

// ErrName says that a text cannot be somebody's name: it is longer than 200 characters or not printable.
var ErrName = errors.New("auth: not a name")

// ErrNoMailer says that the portal sends no mail, see [Config.Mail].
var ErrNoMailer = errors.New("auth: no mailer")

// ThrottledError says that there were too many attempts and nothing was checked. [errors.Is] finds it to be
// an [ErrLoginRefused].
type ThrottledError struct {
	// RetryAfter is how long to wait before the next attempt.
	RetryAfter time.Duration
}

// Error gives a text without the time.
func (e *ThrottledError) Error() string { return "auth: too many attempts" }

// Is makes a ThrottledError an ErrLoginRefused.
func (e *ThrottledError) Is(target error) bool { return target == ErrLoginRefused }

// DenialOf gives the public answer to an error of this package's flows: 401 for refused credentials and missing
// logins, 404 for a link that is not good, 422 with what is wrong with it for a new password that is not good enough and
// for what is no e-mail address or name, 429 for too many attempts, and 503 for a busy portal and everything that broke.
//
// [ErrEmailTaken] and [ErrNoAccount] are for administrators alone and count as broken: a form for visitors must
// not show them.
func DenialOf(err error) portalsec.Denial {
	var throttled *ThrottledError
	var weak *password.PolicyError
	var proof *ProofNeededError
	switch {
	case errors.As(err, &throttled):
		return portalsec.Denial{
			Status: http.StatusTooManyRequests, Code: "too-many-attempts", Title: "Too many attempts",
			Detail: "Wait a while, then try again.", RetryAfter: throttled.RetryAfter,
		}
	case errors.Is(err, ErrLoginRefused):
		return portalsec.Denial{
			Status: http.StatusUnauthorized, Code: "sign-in-refused", Title: "Sign-in refused",
			Detail: "The e-mail address or the password is wrong.",
		}
	case errors.As(err, &proof):
		return portalsec.Denial{
			Status: http.StatusForbidden, Code: codeReauthenticate, Title: "Please confirm who you are",
		}
	case errors.Is(err, ErrFrozen):
		return portalsec.Denial{
			Status: http.StatusForbidden, Code: "factors-frozen", Title: "Changes of this account are frozen",
			Detail: "Contact the administrators of the portal.",
		}
	case errors.Is(err, ErrImpersonation):
		return portalsec.Denial{
			Status: http.StatusForbidden, Code: "impersonation-refused", Title: "You cannot act as this account",
		}
	case errors.Is(err, ErrReason):
		return portalsec.Denial{
			Status: http.StatusUnprocessableEntity, Code: "reason-required", Title: "A reason is required",
			Detail: "Give a reason of at most 200 characters.",
		}
	case errors.Is(err, ErrNoPending), errors.Is(err, ErrNoSession):
		return portalsec.Denial{
			Status: http.StatusUnauthorized, Code: "sign-in-required", Title: "Sign in first",
		}
	case errors.As(err, &weak):
		texts := make([]string, len(weak.Problems))
		for i, p := range weak.Problems {
			texts[i] = p.Text
		}
		return portalsec.Denial{
			Status: http.StatusUnprocessableEntity, Code: "password-refused", Title: "Choose another password",
			Detail: strings.Join(texts, " "),
		}
	case errors.Is(err, ErrNoToken):
		return portalsec.Denial{
			Status: http.StatusNotFound, Code: "link-not-valid", Title: "This link is not valid",
			Detail: "It works once and for a limited time, and not after a later change to the account. Ask for a new one.",
		}
	case errors.Is(err, ErrEmail):
		return portalsec.Denial{
			Status: http.StatusUnprocessableEntity, Code: "email-not-valid", Title: "Not an e-mail address",
			Detail: "Write it like name@example.com.",
		}
	case errors.Is(err, ErrName):
		return portalsec.Denial{
			Status: http.StatusUnprocessableEntity, Code: "name-not-valid", Title: "Not a name",
			Detail: "Use at most 200 characters, without line ends and other control characters.",
		}
	case errors.Is(err, password.ErrBusy):
		return portalsec.Denial{
			Status: http.StatusServiceUnavailable, Code: "busy", Title: "The portal is busy",
			Detail: "Try again in a few seconds.", RetryAfter: 5 * time.Second,
		}
	default:
		return unavailable
	}
}

// unavailable is the answer when something broke: nothing is let through.
var unavailable = portalsec.Denial{
	Status: http.StatusServiceUnavailable, Code: "unavailable", Title: "Temporarily unavailable",
	Detail: "Try again in a minute.",
}
