// SPDX-License-Identifier: Apache-2.0

package mfa_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/mfa"
	"github.com/stretchr/testify/require"
)

func TestBeginTOTP(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, err := b.BeginTOTP(t.Context(), ann)
	require.NoError(t, err)
	require.Len(t, e.Secret, 32)
	require.Equal(t, b.now.Add(15*time.Minute), e.Expires)

	u, err := url.Parse(e.URI)
	require.NoError(t, err)
	require.Equal(t, "otpauth", u.Scheme)
	require.Equal(t, "totp", u.Host)
	require.Equal(t, "/Acme Portal:ann@example.com", u.Path)
	require.Equal(t, url.Values{
		"secret": {e.Secret}, "issuer": {"Acme Portal"}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"},
	}, u.Query())

	again, err := b.PendingTOTP(t.Context(), ann)
	require.NoError(t, err)
	require.Equal(t, e, again)
	other, err := b.BeginTOTP(t.Context(), ann)
	require.NoError(t, err)
	require.NotEqual(t, e.Secret, other.Secret)

	_, err = b.BeginTOTP(t.Context(), mfa.User{Tenant: "acme", Label: "ann", Visit: "s-1"})
	require.ErrorContains(t, err, "User.ID")
	_, err = b.BeginTOTP(t.Context(), mfa.User{Tenant: "acme", ID: "ann", Visit: "s-1"})
	require.ErrorContains(t, err, "User.Label")
}

func TestConfirmTOTP(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.ConfirmTOTP(t.Context(), ann, "123456")
	require.ErrorIs(t, err, mfa.ErrNotFound)
	e, err := b.BeginTOTP(t.Context(), ann)
	require.NoError(t, err)
	_, err = b.ConfirmTOTP(t.Context(), ann, b.code(t, e, 10*time.Minute))
	require.ErrorIs(t, err, mfa.ErrCode)
	require.Equal(t, "wrong-code", b.last().Reason)

	first := b.code(t, e, 0)
	codes, err := b.ConfirmTOTP(t.Context(), ann, first)
	require.NoError(t, err)
	require.Len(t, codes, 10)
	got := b.last()
	require.Equal(t, audit.MFAEnrolled, got.Kind)
	require.Equal(t, audit.Success, got.Outcome)
	require.Equal(t, "acme", got.Tenant)
	require.Equal(t, audit.Pseudonym("ann"), got.Actor)
	require.Equal(t, []audit.Pseudonym{"ann"}, got.Subjects)

	_, err = b.PendingTOTP(t.Context(), ann)
	require.ErrorIs(t, err, mfa.ErrProofNeeded)
	_, err = b.Verify(t.Context(), ann, first)
	require.ErrorIs(t, err, mfa.ErrCode, "the enrolment code must not sign in")
	require.Equal(t, "replayed", b.last().Reason)
	b.pass(30 * time.Second)
	_, err = b.Verify(t.Context(), ann, b.code(t, e, 0))
	require.NoError(t, err)
}

func TestConfirmTOTPExpired(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, err := b.BeginTOTP(t.Context(), ann)
	require.NoError(t, err)
	b.pass(15 * time.Minute)
	_, err = b.ConfirmTOTP(t.Context(), ann, b.code(t, e, 0))
	require.ErrorIs(t, err, mfa.ErrNotFound)
}

// Who has the password only can neither replace the factor nor see a new secret.
func TestEnrolNeedsProof(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pending, err := b.BeginTOTP(as(t.Context(), portalsec.FactorPassword), ann)
	require.NoError(t, err, "a first factor needs the password only")
	old, oldCodes := b.enrol(t)
	staff := portalsec.Principal{ID: ann.ID, Tenant: ann.Tenant, Impersonator: "staff", Factors: []portalsec.FactorProof{
		{Kind: portalsec.FactorPassword}, {Kind: portalsec.FactorTOTP},
	}}
	other := staff
	other.ID, other.Impersonator = "bob", ""
	for name, ctx := range map[string]func() (mfa.Enrolment, error){
		"nobody":   func() (mfa.Enrolment, error) { return b.BeginTOTP(t.Context(), ann) },
		"password": func() (mfa.Enrolment, error) { return b.BeginTOTP(as(t.Context(), portalsec.FactorPassword), ann) },
		"mail code": func() (mfa.Enrolment, error) {
			return b.BeginTOTP(as(t.Context(), portalsec.FactorPassword, portalsec.FactorEmail), ann)
		},
		"impersonator": func() (mfa.Enrolment, error) {
			return b.BeginTOTP(portalsec.WithPrincipal(t.Context(), staff), ann)
		},
		"another user": func() (mfa.Enrolment, error) {
			return b.BeginTOTP(portalsec.WithPrincipal(t.Context(), other), ann)
		},
		"pending": func() (mfa.Enrolment, error) {
			return b.PendingTOTP(as(t.Context(), portalsec.FactorPassword), ann)
		},
		"confirm": func() (mfa.Enrolment, error) {
			_, err := b.ConfirmTOTP(as(t.Context(), portalsec.FactorPassword), ann, b.code(t, pending, 0))
			return mfa.Enrolment{}, err
		},
	} {
		_, err := ctx()
		require.ErrorIs(t, err, mfa.ErrProofNeeded, name)
	}

	proven := as(t.Context(), portalsec.FactorPassword, portalsec.FactorTOTP)
	e, err := b.BeginTOTP(proven, ann)
	require.NoError(t, err)
	_, err = b.Verify(t.Context(), ann, b.code(t, old, 0))
	require.NoError(t, err, "the old app works until the new one is confirmed")
	codes, err := b.ConfirmTOTP(proven, ann, b.code(t, e, 0))
	require.NoError(t, err)
	require.Contains(t, b.last().Details, audit.Detail{Name: "replaces", Value: old.ID})
	b.pass(time.Minute)
	for _, code := range []string{b.code(t, old, 0), oldCodes[0]} {
		_, err = b.Verify(t.Context(), ann, code)
		require.ErrorIs(t, err, mfa.ErrCode)
	}
	for _, code := range []string{b.code(t, e, 0), codes[0]} {
		_, err = b.Verify(t.Context(), ann, code)
		require.NoError(t, err)
	}
}

func TestEnrolmentPrintsNoSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, err := b.BeginTOTP(t.Context(), ann)
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("begun", "enrolment", e)
	text := log.String() + fmt.Sprintf("%v %+v %#v %s", e, e, e, e)
	events, err := json.Marshal(b.events)
	require.NoError(t, err)
	require.NotContains(t, text+string(events), e.Secret)
	require.Contains(t, text, e.ID)
}

// TestVisits: who merely knows the password and began an enrolment first shares nothing with the user.
func TestVisits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	thief, user := ann, ann
	thief.Visit = "login 2"
	known, err := b.BeginTOTP(t.Context(), thief)
	require.NoError(t, err)
	_, err = b.PendingTOTP(t.Context(), user)
	require.ErrorIs(t, err, mfa.ErrNotFound, "the secret that somebody else has seen is not shown")
	_, err = b.ConfirmTOTP(t.Context(), user, b.code(t, known, 0))
	require.ErrorIs(t, err, mfa.ErrNotFound)

	own, err := b.BeginTOTP(t.Context(), user)
	require.NoError(t, err)
	_, err = b.PendingTOTP(t.Context(), thief)
	require.ErrorIs(t, err, mfa.ErrNotFound)
	_, err = b.ConfirmTOTP(t.Context(), thief, b.code(t, own, 0))
	require.ErrorIs(t, err, mfa.ErrNotFound)
	_, err = b.ConfirmTOTP(t.Context(), user, b.code(t, own, 0))
	require.NoError(t, err)

	nowhere := mfa.User{Tenant: "acme", ID: "bob", Label: "bob"}
	_, err = b.BeginTOTP(t.Context(), nowhere)
	require.EqualError(t, err, "mfa: User.Visit is required")
	nowhere.Visit = strings.Repeat("v", 101)
	_, err = b.BeginTOTP(t.Context(), nowhere)
	require.EqualError(t, err, "mfa: User.Visit is too long")
}
