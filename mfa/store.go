// SPDX-License-Identifier: Apache-2.0

package mfa

import (
	"context"
	"time"
)

// Factor is a second factor as it is stored.
type Factor struct {
	// ID identifies the factor, a UUID.
	ID string
	// Tenant and User own the factor.
	Tenant, User string
	// Kind is portalsec.FactorTOTP or portalsec.FactorRecovery.
	Kind string
	// Secret is the sealed secret of a TOTP factor; of recovery codes it is what their hashes were made with.
	Secret []byte
	// Step is the last time step that a TOTP factor consumed (RFC 6238 section 4.2), 0 for recovery codes.
	Step int64
	// Created is when the factor was confirmed, in UTC.
	Created time.Time
	// Codes are the recovery codes, used ones too, in any order. Empty for TOTP.
	Codes []RecoveryCode
}

// RecoveryCode is a recovery code as it is stored.
type RecoveryCode struct {
	// Hash is the salted hash of the code, 32 bytes.
	Hash []byte
	// Used is when the code was used, in UTC. Zero while it was not.
	Used time.Time
}

// Pending is an enrolment that awaits its first code.
type Pending struct {
	// ID becomes the factor's ID, so that the secret can be sealed for it.
	ID string
	// Tenant and User own the enrolment.
	Tenant, User string
	// Visit is the session or pending login in which the enrolment was begun, at most 100 bytes.
	Visit string
	// Secret is the sealed secret.
	Secret []byte
	// Expires is when the enrolment is over, in UTC.
	Expires time.Time
}

// Store keeps what the [Manager] must remember. Package mfatest tests an implementation.
//
// All methods may be called at the same time, from several processes. Where a method answers with a bool,
// the act is atomic: it was done completely and the answer is true, or nothing was changed and it is false. An error
// means that the outcome is not known; the caller then refuses. Times have a resolution of a microsecond or
// finer. A store never reads a clock, and keeps no slice of the caller's nor hands out one of its own.
type Store interface {
	FactorStore
	TryStore
	PolicyStore
}

// FactorStore keeps factors. It is part of [Store].
type FactorStore interface {
	// PutPending keeps p and forgets the pending enrolment that the user had before.
	PutPending(ctx context.Context, p Pending) error
	// Pending gives the user's pending enrolment. It returns ErrNotFound when there is none that expires after now.
	Pending(ctx context.Context, tenant, user string, now time.Time) (Pending, error)
	// Enrol turns the pending enrolment with the ID of totp, if it expires after totp.Created, into that factor
	// and adds recovery. The TOTP factor with the ID replaces, the user's earlier recovery codes and the pending
	// enrolment are gone then. It does not win if the user's TOTP factor is another one than replaces, where
	// empty means none. Of concurrent calls for one enrolment, one wins; with no such enrolment, none.
	Enrol(ctx context.Context, totp, recovery Factor, replaces string) (won bool, err error)
	// Factors gives the user's factors, oldest first, and none for an unknown user.
	Factors(ctx context.Context, tenant, user string) ([]Factor, error)
	// AdvanceTOTP consumes a time step: it sets the factor's step if it is lower. Of concurrent calls with one
	// step, one wins; a step not higher than one consumed before never does, nor an unknown factor.
	AdvanceTOTP(ctx context.Context, factor string, step int64) (won bool, err error)
	// ConsumeCode marks the recovery code with that hash as used at a time. Of concurrent calls, one wins; a
	// code used before or an unknown one never does.
	ConsumeCode(ctx context.Context, factor string, hash []byte, at time.Time) (won bool, err error)
	// Remove deletes a factor if it is that user's. Recovery codes go with the last factor that they stand in for.
	Remove(ctx context.Context, tenant, user, factor string) (removed bool, err error)
}

// TryStore counts tries of codes. It is part of [Store].
type TryStore interface {
	// TakeTry takes a try, unless now is before the end of the wait that the last one ordered: then it changes
	// nothing and gives the rest of the wait. Taking one adds 1 to the user's tries and orders a wait of
	// wait(tries) from now on. Concurrent calls each see the ones before them.
	TakeTry(ctx context.Context, tenant, user string, now time.Time, wait func(tries int) time.Duration) (taken bool, retryAfter time.Duration, err error)
	// ClearTries forgets the user's tries and wait, and nobody else's.
	ClearTries(ctx context.Context, tenant, user string) error
}

// PolicyStore keeps the policy of each tenant. It is part of [Store].
type PolicyStore interface {
	// Policy gives the tenant's policy, and ErrNotFound when none was put.
	Policy(ctx context.Context, tenant string) (Policy, error)
	// PutPolicy puts the tenant's policy in the place of the one before.
	PutPolicy(ctx context.Context, tenant string, p Policy) error
}
