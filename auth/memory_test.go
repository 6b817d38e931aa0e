// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"testing"

	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/authtest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	t.Run("accounts", func(t *testing.T) {
		t.Parallel()
		authtest.RunAccounts(t, func(*testing.T) auth.AccountStore { return auth.NewMemory() })
	})
	t.Run("one-time tokens", func(t *testing.T) {
		t.Parallel()
		authtest.RunOneTime(t, func(*testing.T) auth.OneTimeStore { return auth.NewMemory() })
	})
}
