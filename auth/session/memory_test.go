// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"testing"

	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/session/sessiontest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	sessiontest.RunWhole(t, func(*testing.T) session.Store { return session.NewMemory() })
}
