// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"testing"

	"github.com/portalsec/portalsec/rbac"
	"github.com/portalsec/portalsec/rbac/rbactest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	rbactest.Run(t, func(*testing.T) rbac.AssignmentStore { return rbac.NewMemory() })
}
