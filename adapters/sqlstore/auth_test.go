// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"testing"

	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/authtest"
)

func TestAccounts(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		authtest.RunAccounts(t, func(t *testing.T) auth.AccountStore {
			s, _ := b.open(t)
			return s.Accounts()
		})
	})
}

func TestOneTime(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		authtest.RunOneTime(t, func(t *testing.T) auth.OneTimeStore {
			s, _ := b.open(t)
			return s.OneTime()
		})
	})
}
