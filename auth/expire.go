// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/portalsec/portalsec/audit"
)

// CompletePasswordChange sets a new password for the pending login that r carries, whose password has expired. The
// login then goes on as after [Auth.Login]: to a session, or to another pending login for the second factor. All
// sessions of the account end, and the owner gets a letter.
//
// It returns [ErrNoPending] when r carries no login that waits for a password, and a [*password.PolicyError] for one
// that is not good enough or is the expired one, which leaves the login as it is. Of several concurrent calls exactly
// one goes on. After another error sign in again: the password may have been set.
func (a *Auth) CompletePasswordChange(ctx context.Context, w http.ResponseWriter, r *http.Request, new string) (Outcome, error) {
	p, rec, err := a.pendingLogin(ctx, r)
	if err != nil {
		return Outcome{}, err
	}
	next, from := parsePending(p.Data)
	if next != NextPassword {
		return Outcome{}, ErrNoPending
	}
	hash, err := a.newHash(ctx, rec, new)
	if err != nil {
		return Outcome{}, err
	}
	err = a.recorded(ctx, by(audit.AuthPasswordChanged, rec), func(ctx context.Context) error {
		won, err := a.oneTime.ConsumeOneTime(ctx, PurposeLogin, p.Token)
		switch {
		case err != nil:
			return fmt.Errorf("auth: consume pending login: %w", err)
		case !won:
			return ErrNoPending
		}
		won, err = a.replacePassword(ctx, &rec, NewPassword{Hash: hash, Set: a.now(), Keep: a.policy.History()}, "")
		switch {
		case !won && err != nil:
			return err
		case !won:
			return ErrNoPending
		}
		return errors.Join(err, a.notify(ctx, rec, letterPasswordChanged, nil))
	})
	switch {
	case errors.Is(err, ErrNoPending):
		return Outcome{}, ErrNoPending
	case err != nil:
		return Outcome{}, err
	}
	a.loginCookie.Clear(w)
	out, err := a.goOn(ctx, w, r, rec, from)
	if errors.Is(err, ErrLoginRefused) {
		return Outcome{}, ErrNoPending
	}
	return out, err
}
