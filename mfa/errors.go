// SPDX-License-Identifier: Apache-2.0

package mfa

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrCode refuses a code. It is the same for one that is wrong, used before or too old, and for a user who
	// has no factor: which of them it was is told to the audit log only.
	ErrCode = errors.New("mfa: code refused")
	// ErrNotFound says that there is no such factor, or no enrolment that awaits its first code.
	ErrNotFound = errors.New("mfa: not found")
	// ErrProofNeeded refuses to change the factors of a user in a session that may not: the user has a factor
	// and has not proven one in it, or somebody else acts in it.
	ErrProofNeeded = errors.New("mfa: a proof of the present second factor is needed first")
	// ErrFrozen refuses to change the factors of a user because Config.Frozen says that they are to stay as they are.
	// Its public answer is status 403 with the code "factors-frozen", as auth.DenialOf gives it for auth.ErrFrozen.
	ErrFrozen = errors.New("mfa: the user's factors are frozen")
	// ErrRequired says that the principal must prove a second factor before going on.
	ErrRequired = errors.New("mfa: a second factor is required")
)

// ThrottledError refuses a code unseen because too many were tried since the last right one.
type ThrottledError struct {
	// RetryAfter is how long to wait until a code is looked at again.
	RetryAfter time.Duration
}

// Error tells how long to wait.
func (e *ThrottledError) Error() string {
	return fmt.Sprintf("mfa: too many tries, wait %s", e.RetryAfter.Round(time.Second))
}
