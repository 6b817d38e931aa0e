// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portalsec/portalsec/audit"
)

// Freeze forbids changes of an account's factors and address until a time, which must lie ahead: for an administrator
// who suspects that somebody else has got hold of it. Signing in stays possible. A present freeze is replaced, also by
// a shorter one. It returns [ErrNoAccount] when there is none with that ID.
func (a *Auth) Freeze(ctx context.Context, id string, until time.Time) error {
	until = until.UTC().Truncate(time.Microsecond)
	if !until.After(a.now()) {
		return errors.New("auth: freeze: the time must lie ahead")
	}
	return a.setFrozen(ctx, id, until, audit.AuthFrozen)
}

// Unfreeze lifts what [Auth.Freeze] or [Auth.NotMe] has forbidden. It returns [ErrNoAccount] when there is no account
// with that ID.
func (a *Auth) Unfreeze(ctx context.Context, id string) error {
	return a.setFrozen(ctx, id, time.Time{}, audit.AuthUnfrozen)
}

func (a *Auth) setFrozen(ctx context.Context, id string, until time.Time, kind audit.Kind) error {
	rec, err := a.account(ctx, id)
	if err != nil {
		return err
	}
	e := about(kind, rec)
	e.Severity = audit.Notice
	if !until.IsZero() {
		e.Details = []audit.Detail{{Name: "until", Value: until.Format(time.RFC3339)}}
	}
	return a.recorded(ctx, e, func(ctx context.Context) error {
		if err := a.accounts.SetFrozen(ctx, id, until); err != nil {
			return fmt.Errorf("auth: set frozen: %w", err)
		}
		return nil
	})
}

// FactorsFrozen tells whether changes of the account's factors are forbidden now. It is made to be the Frozen of an
// mfa.Config. For an account that is not there, or is another tenant's, it returns [ErrNoAccount]: refuse the change.
func (a *Auth) FactorsFrozen(ctx context.Context, tenant, user string) (bool, error) {
	rec, err := a.account(ctx, user)
	switch {
	case err != nil:
		return false, err
	case rec.Tenant != tenant:
		return false, ErrNoAccount
	}
	return a.frozen(rec), nil
}

func (a *Auth) frozen(rec AccountRecord) bool { return rec.FrozenUntil.After(a.now()) }
