// SPDX-License-Identifier: Apache-2.0

package throttle_test

import (
	"testing"

	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/auth/throttle/throttletest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	throttletest.Run(t, func(*testing.T) throttle.Store { return throttle.NewMemory() })
}
