// SPDX-License-Identifier: Apache-2.0

package mfa

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// A user has five tries; then the waits begin, and double up to an hour. They end with the first right code, and
// the user is never shut out for good. An attacker who has the password and never rests has about 9,000 tries
// a year, each right by a chance of 3 in a million.
const (
	freeTries   = 5
	firstWait   = 30 * time.Second
	longestWait = time.Hour
)

// wait gives the wait after a number of tries.
func wait(tries int) time.Duration {
	if tries < freeTries {
		return 0
	}
	doublings := min(tries-freeTries, 10) // keeps the shift from overflowing
	return min(firstWait<<doublings, longestWait)
}

// Verify takes a code from the user's authenticator app, or one of the recovery codes, and consumes it. The proof
// tells which it was: who calls adds it to the session. Spaces, hyphens, lower case and full-width digits do no
// harm. One step of 30 seconds of clock drift either way is allowed, and never stored (RFC 6238 section 5.2).
//
// It returns [ErrCode] for any code that does not count, and *[ThrottledError], without looking at the code,
// after too many tries. Any other error means that the code was not verified and may have been consumed.
func (m *Manager) Verify(ctx context.Context, u User, code string) (portalsec.FactorProof, error) {
	if u.ID == "" {
		return portalsec.FactorProof{}, errors.New("mfa: User.ID is required")
	}
	now := m.now()
	taken, retryAfter, err := m.store.TakeTry(ctx, u.Tenant, u.ID, now, wait)
	if err != nil {
		return portalsec.FactorProof{}, fmt.Errorf("mfa: take try: %w", err)
	}
	if !taken {
		e := audit.Event{Kind: audit.MFAVerified, Outcome: audit.Denied, Reason: "throttled", Severity: audit.Warning}
		if err := m.record(ctx, u, Factor{}, e); err != nil {
			return portalsec.FactorProof{}, err
		}
		return portalsec.FactorProof{}, &ThrottledError{RetryAfter: retryAfter}
	}
	f, reason, err := m.consume(ctx, u, normalise(code), now)
	if err != nil {
		return portalsec.FactorProof{}, err
	}
	if reason != "" {
		e := audit.Event{Kind: audit.MFAVerified, Outcome: audit.Failure, Reason: reason}
		if err := m.record(ctx, u, f, e); err != nil {
			return portalsec.FactorProof{}, err
		}
		return portalsec.FactorProof{}, ErrCode
	}
	if err := m.record(ctx, u, f, audit.Event{Kind: audit.MFAVerified, Outcome: audit.Success}); err != nil {
		return portalsec.FactorProof{}, err
	}
	if err := m.store.ClearTries(ctx, u.Tenant, u.ID); err != nil {
		return portalsec.FactorProof{}, fmt.Errorf("mfa: clear tries: %w", err)
	}
	return portalsec.FactorProof{Kind: f.Kind, At: now}, nil
}

// consume finds the factor that a normalised code belongs to and consumes the code. A reason tells why it did
// not; the factor is then the one that the code would have been for, if that is known.
func (m *Manager) consume(ctx context.Context, u User, code string, now time.Time) (Factor, string, error) {
	factors, err := m.factors(ctx, u.Tenant, u.ID)
	if err != nil {
		return Factor{}, "", err
	}
	if !enrolled(factors) {
		return Factor{}, "not-enrolled", nil
	}
	recovery, isRecovery := asRecovery(code)
	for _, f := range factors {
		switch {
		case f.Kind == portalsec.FactorTOTP && isTOTP(code):
			reason, err := m.consumeTOTP(ctx, u, f, code, now)
			return f, reason, err
		case f.Kind == portalsec.FactorRecovery && isRecovery:
			reason, err := m.consumeRecovery(ctx, f, recovery, now)
			return f, reason, err
		}
	}
	return Factor{}, "wrong-code", nil
}

func (m *Manager) consumeTOTP(ctx context.Context, u User, f Factor, code string, now time.Time) (string, error) {
	secret, err := m.sealer.Open(ctx, row(u, f.ID), f.Secret)
	if err != nil {
		return "", fmt.Errorf("mfa: open secret: %w", err)
	}
	steps, err := matches(secret, code, stepOf(now))
	if err != nil {
		return "", err
	}
	if len(steps) == 0 {
		return "wrong-code", nil
	}
	// Neighbouring steps may have the same digits: each is accepted once, the lower one first.
	for _, step := range steps {
		won, err := m.store.AdvanceTOTP(ctx, f.ID, step)
		if err != nil {
			return "", fmt.Errorf("mfa: consume step: %w", err)
		}
		if won {
			return "", nil
		}
	}
	return "replayed", nil
}

func (m *Manager) consumeRecovery(ctx context.Context, f Factor, code string, now time.Time) (string, error) {
	c, ok, err := findRecovery(f, code)
	if err != nil {
		return "", err
	}
	if !ok {
		return "wrong-code", nil
	}
	won, err := m.store.ConsumeCode(ctx, f.ID, c.Hash, now)
	if err != nil {
		return "", fmt.Errorf("mfa: consume recovery code: %w", err)
	}
	if !won {
		return "replayed", nil
	}
	return "", nil
}
