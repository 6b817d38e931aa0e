// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth"
	"github.com/stretchr/testify/require"
)

// close guesses at an address until nobody may sign in with it any more.
func (f mailing) close(email string) {
	f.t.Helper()
	for range 100 {
		_, err := f.browser().loginAs(email, "guess")
		require.Equal(f.t, auth.ErrLoginRefused, err)
		f.wait(time.Hour)
	}
	var throttled *auth.ThrottledError
	_, err := f.browser().loginAs(email, goodPassword)
	require.ErrorAs(f.t, err, &throttled)
}

// TestRegisterClosedAddress has somebody who guesses at an address before its owner registers.
func TestRegisterClosedAddress(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	f.close(address)
	_, err := f.CompleteRegistration(t.Context(), f.post(), f.registrationToken(), newPassword)
	require.NoError(t, err)
	require.NoError(t, f.browser().login2(newPassword))
}

// TestChangeEmailToClosedAddress has somebody who guesses at an address before an account gets it.
func TestChangeEmailToClosedAddress(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	f.account()
	f.close(newAddress)
	b := f.browser()
	b.mustLogin()
	require.NoError(t, f.ConfirmEmail(t.Context(), f.post(), f.emailToken(b)))
	_, err := b.loginAs(newAddress, goodPassword)
	require.NoError(t, err)
}
