// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"testing"

	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/session/sessiontest"
)

func TestSessions(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		sessiontest.Run(t, func(t *testing.T) session.Store {
			s, _ := b.open(t)
			return s.Sessions()
		})
	})
}
