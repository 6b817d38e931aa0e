// SPDX-License-Identifier: Apache-2.0

package mfa

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/internal/uuid"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

const (
	period        = 30 // seconds, ASVS 6.5.5
	digits        = 6
	secretSize    = 20 // bytes: RFC 4226 section 4 (R6) recommends 160 bits
	drift         = 1  // steps either way, RFC 6238 section 5.2
	enrolmentTime = 15 * time.Minute
	maxVisit      = 100 // bytes
)

var secretText = base32.StdEncoding.WithPadding(base32.NoPadding)

// Enrolment is what a user needs to set up an authenticator app. It is secret: show it once, over TLS, to that
// user only. It prints without the secret.
type Enrolment struct {
	// ID becomes the factor's ID.
	ID string
	// Secret is the secret in base32, 32 characters, for typing into an app that cannot scan.
	Secret string
	// URI is the otpauth URI that the QR code holds.
	URI string
	// Expires is until when the first code can confirm the enrolment, in UTC.
	Expires time.Time
}

// String gives the ID only.
func (e Enrolment) String() string { return "mfa.Enrolment(" + e.ID + ")" }

// GoString gives the ID only.
func (e Enrolment) GoString() string { return e.String() }

// LogValue gives the ID only.
func (e Enrolment) LogValue() slog.Value { return slog.StringValue(e.String()) }

// BeginTOTP makes a new secret for an authenticator app. Nothing is enrolled until [Manager.ConfirmTOTP] has seen
// a first code, within 15 minutes and in the same visit. Beginning again, in whatever visit, forgets the secret
// begun before.
//
// It returns [ErrProofNeeded] when ctx carries another principal than the user, or an impersonated one, and when
// the user has a factor already and the session has not proven two: else who stole a password could replace
// the factor (NIST SP 800-63B-4 section 4.1.2.1). A first factor can be enrolled without a principal, during login.
// It returns [ErrFrozen] when Config.Frozen says so.
func (m *Manager) BeginTOTP(ctx context.Context, u User) (Enrolment, error) {
	if _, err := m.mayEnrol(ctx, u); err != nil {
		return Enrolment{}, err
	}
	now := m.now()
	id, secret := uuid.NewV7(now), make([]byte, secretSize)
	rand.Read(secret) // never fails: it ends the process instead
	e, err := m.enrolment(u, id, secret, now.Add(enrolmentTime))
	if err != nil {
		return Enrolment{}, err
	}
	sealed, err := m.sealer.Seal(ctx, row(u, id), secret)
	if err != nil {
		return Enrolment{}, fmt.Errorf("mfa: seal secret: %w", err)
	}
	p := Pending{ID: id, Tenant: u.Tenant, User: u.ID, Visit: u.Visit, Secret: sealed, Expires: e.Expires}
	if err := m.store.PutPending(ctx, p); err != nil {
		return Enrolment{}, fmt.Errorf("mfa: begin enrolment: %w", err)
	}
	return e, nil
}

// PendingTOTP gives the enrolment that awaits its first code, to show the QR code again. It returns
// [ErrNotFound] when none was begun in this visit, and [ErrProofNeeded] and [ErrFrozen] as BeginTOTP does.
func (m *Manager) PendingTOTP(ctx context.Context, u User) (Enrolment, error) {
	if _, err := m.mayEnrol(ctx, u); err != nil {
		return Enrolment{}, err
	}
	p, secret, err := m.pending(ctx, u)
	if err != nil {
		return Enrolment{}, err
	}
	return m.enrolment(u, p.ID, secret, p.Expires)
}

// ConfirmTOTP enrols the authenticator app that shows code and gives ten recovery codes. They are stored as
// hashes: show them now, they cannot be had again. An app and recovery codes that the user had before no longer
// work. The code is consumed and proves the factor; who calls from a session adds a proof of
// portalsec.FactorTOTP to it.
//
// It returns [ErrNotFound] when no enrolment of this visit is pending, [ErrCode] for a wrong code, which may be tried again,
// and [ErrProofNeeded] and [ErrFrozen] as BeginTOTP does.
func (m *Manager) ConfirmTOTP(ctx context.Context, u User, code string) ([]string, error) {
	present, err := m.mayEnrol(ctx, u)
	if err != nil {
		return nil, err
	}
	now := m.now()
	p, secret, err := m.pending(ctx, u)
	if err != nil {
		return nil, err
	}
	f := Factor{
		ID: p.ID, Tenant: u.Tenant, User: u.ID, Kind: portalsec.FactorTOTP, Secret: p.Secret, Created: now,
	}
	// Whoever enrols can see the secret, so there is nothing to guess here and no try to count.
	steps, err := matches(secret, normalise(code), stepOf(now))
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		e := audit.Event{Kind: audit.MFAEnrolled, Outcome: audit.Failure, Reason: "wrong-code"}
		if err := m.record(ctx, u, f, e); err != nil {
			return nil, err
		}
		return nil, ErrCode
	}
	f.Step = steps[len(steps)-1]
	recovery, codes, err := newRecovery(u, now)
	if err != nil {
		return nil, err
	}
	replaces := presentTOTP(present)
	e := audit.Event{Kind: audit.MFAEnrolled}
	if replaces != "" {
		e.Details = []audit.Detail{{Name: "replaces", Value: replaces}}
	}
	err = m.change(ctx, u, f, e, func(ctx context.Context) (bool, error) { return m.store.Enrol(ctx, f, recovery, replaces) })
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// mayEnrol tells whether the session of ctx may give the user a factor. It gives the factors that there are.
func (m *Manager) mayEnrol(ctx context.Context, u User) ([]Factor, error) {
	switch {
	case u.ID == "":
		return nil, errors.New("mfa: User.ID is required")
	case u.Visit == "":
		return nil, errors.New("mfa: User.Visit is required")
	case len(u.Visit) > maxVisit:
		return nil, errors.New("mfa: User.Visit is too long")
	}
	p, ok := portalsec.PrincipalFrom(ctx)
	if ok && (p.Impersonator != "" || !own(p, u)) {
		return nil, ErrProofNeeded
	}
	factors, err := m.factors(ctx, u.Tenant, u.ID)
	if err != nil {
		return nil, err
	}
	if enrolled(factors) && !p.TwoFactors() {
		return nil, ErrProofNeeded
	}
	if err := m.mayChange(ctx, u); err != nil {
		return nil, err
	}
	return factors, nil
}

func (m *Manager) pending(ctx context.Context, u User) (Pending, []byte, error) {
	p, err := m.store.Pending(ctx, u.Tenant, u.ID, m.now())
	if errors.Is(err, ErrNotFound) || err == nil && p.Visit != u.Visit {
		return Pending{}, nil, ErrNotFound
	}
	if err != nil {
		return Pending{}, nil, fmt.Errorf("mfa: pending enrolment: %w", err)
	}
	secret, err := m.sealer.Open(ctx, row(u, p.ID), p.Secret)
	if err != nil {
		return Pending{}, nil, fmt.Errorf("mfa: open secret: %w", err)
	}
	return p, secret, nil
}

func (m *Manager) enrolment(u User, id string, secret []byte, expires time.Time) (Enrolment, error) {
	if u.Label == "" {
		return Enrolment{}, errors.New("mfa: User.Label is required")
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: m.issuer, AccountName: u.Label, Period: period, Secret: secret})
	if err != nil {
		return Enrolment{}, fmt.Errorf("mfa: make key URI: %w", err)
	}
	return Enrolment{ID: id, Secret: key.Secret(), URI: key.URL(), Expires: expires}, nil
}

// matches gives the steps around now whose code equals code, lowest first. All candidates are computed and
// compared in constant time, so that the time does not tell which one it was.
func matches(secret []byte, code string, now int64) ([]int64, error) {
	if !isTOTP(code) {
		return nil, nil
	}
	text := secretText.EncodeToString(secret)
	var steps []int64
	for step := max(now-drift, 0); step <= now+drift; step++ {
		want, err := hotp.GenerateCode(text, uint64(step))
		if err != nil {
			return nil, fmt.Errorf("mfa: make code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// stepOf gives the time step of t, RFC 6238 section 4.2.
func stepOf(t time.Time) int64 { return t.Unix() / period }

// timeOf gives the start of a step.
func timeOf(step int64) time.Time { return time.Unix(step*period, 0).UTC() }
