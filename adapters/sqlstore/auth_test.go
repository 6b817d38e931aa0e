// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"testing"

	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/authtest"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	authtest.RunAccounts(t, func(t *testing.T) auth.AccountStore {
		s, _ := open(t)
		return s.Accounts()
	})
}

func TestPendingLogins(t *testing.T) {
	t.Parallel()
	authtest.RunPending(t, func(t *testing.T) auth.PendingStore {
		s, _ := open(t)
		return s.PendingLogins()
	})
}
