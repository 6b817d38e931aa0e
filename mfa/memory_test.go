// SPDX-License-Identifier: Apache-2.0

package mfa_test

import (
	"testing"

	"github.com/portalsec/portalsec/mfa"
	"github.com/portalsec/portalsec/mfa/mfatest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	mfatest.Run(t, func(*testing.T) mfa.Store { return mfa.NewMemory() })
}
