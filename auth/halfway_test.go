// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

// TestNoticeOfHalfAChange has sessions that can no longer be ended once the account is changed. The caller gets an
// error, and the owner is told of the change all the same.
func TestNoticeOfHalfAChange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind   string
		change func(f mailing) (begin func() error)
	}{
		"address": {"auth.email-changed", func(f mailing) func() error {
			b := f.browser()
			b.mustLogin()
			token := f.emailToken(b)
			return func() error { return f.ConfirmEmail(t.Context(), f.post(), token) }
		}},
		"reset": {"auth.password-changed", func(f mailing) func() error {
			token := f.resetToken()
			return func() error { return f.CompleteReset(t.Context(), f.post(), token, newPassword) }
		}},
		"password": {"auth.password-changed", func(f mailing) func() error {
			b := f.browser()
			b.mustLogin()
			return func() error {
				return b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
					return f.ChangePassword(ctx, w, r, goodPassword, newPassword)
				})
			}
		}},
		"expired password": {"auth.password-changed", func(f mailing) func() error {
			f.wait(2 * maxAge)
			b := f.browser()
			require.NoError(t, b.login2(goodPassword))
			return func() error {
				return b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
					_, err := f.CompletePasswordChange(ctx, w, r, newPassword)
					return err
				})
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setUpMail(t, func(cfg *auth.Config) {
				if name == "expired password" {
					var err error
					cfg.Policy, err = password.NewPolicy(password.PolicyConfig{MaxAge: maxAge})
					require.NoError(t, err)
				}
			})
			f.account()
			act := c.change(f)
			f.box.take()
			calls := 0
			f.onBump = func() error {
				if calls++; calls == 2 { // the one after the change
					return errBroken
				}
				return nil
			}
			require.ErrorIs(t, act(), errBroken)
			require.Equal(t, 2, calls)
			letters := f.box.take()
			require.Len(t, letters, 1)
			require.Equal(t, c.kind, letters[0].Kind)
		})
	}
}
