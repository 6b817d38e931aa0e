// SPDX-License-Identifier: Apache-2.0

package outbox_test

import (
	"testing"

	"github.com/portalsec/portalsec/outbox"
	"github.com/portalsec/portalsec/outbox/outboxtest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	outboxtest.Run(t, func(*testing.T) outbox.Store { return outbox.NewMemory() })
}
