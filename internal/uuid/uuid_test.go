// SPDX-License-Identifier: Apache-2.0

package uuid_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/portalsec/portalsec/internal/uuid"
	"github.com/stretchr/testify/require"
)

func TestNewV7(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	// The time of RFC 9562 appendix A.6, whose example starts with 017f22e2-79b0.
	at := time.UnixMilli(0x017F22E279B0)
	a := uuid.NewV7(at)
	require.Regexp(t, form, a)
	require.Equal(t, "017f22e2-79b0", a[:13])
	b := uuid.NewV7(at.Add(time.Millisecond))
	require.Less(t, a, b, "a later one sorts after")
}
