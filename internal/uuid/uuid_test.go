// SPDX-License-Identifier: Apache-2.0

package uuid_test

import (
	"crypto/rand"
	"errors"
	"regexp"
	"testing"
	"testing/iotest"
	"time"

	"github.com/portalsec/portalsec/internal/uuid"
	"github.com/stretchr/testify/require"
)

func TestNewV7(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	// The time of RFC 9562 appendix A.6, whose example starts with 017f22e2-79b0.
	at := time.UnixMilli(0x017F22E279B0)
	a, err := uuid.NewV7(rand.Reader, at)
	require.NoError(t, err)
	require.Regexp(t, form, a)
	require.Equal(t, "017f22e2-79b0", a[:13])
	b, err := uuid.NewV7(rand.Reader, at.Add(time.Millisecond))
	require.NoError(t, err)
	require.Less(t, a, b, "a later one sorts after")
}

func TestNewV7RandomFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("no entropy")
	_, err := uuid.NewV7(iotest.ErrReader(broken), time.Now())
	require.ErrorIs(t, err, broken)
}
