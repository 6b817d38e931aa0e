// SPDX-License-Identifier: Apache-2.0

package mfa_test

import (
	"bufio"
	"fmt"
	"os"
	"testing"

	"github.com/portalsec/portalsec/mfa"
	"github.com/stretchr/testify/require"
)

const rfcSecret = "12345678901234567890"

// vectors reads lines of a number and a code.
func vectors(t *testing.T, file string) map[int64]string {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	codes := make(map[int64]string)
	for s := bufio.NewScanner(f); s.Scan(); {
		var n int64
		var code string
		_, err := fmt.Sscan(s.Text(), &n, &code)
		require.NoError(t, err)
		codes[n] = code
	}
	require.NotEmpty(t, codes)
	return codes
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for counter, code := range vectors(t, "testdata/rfc4226.txt") {
		steps, err := mfa.Matches([]byte(rfcSecret), code, counter)
		require.NoError(t, err)
		require.Contains(t, steps, counter)
	}
	for seconds, code := range vectors(t, "testdata/rfc6238.txt") {
		steps, err := mfa.Matches([]byte(rfcSecret), code[2:], seconds/30)
		require.NoError(t, err)
		require.Equal(t, []int64{seconds / 30}, steps)
	}
}

func TestMatchesRefuses(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"", "755224 ", "75522", "0755224", "-55224", "+55224", "75522a", "٧٥٥٢٢٤", "969429" /* step 3 */} {
		steps, err := mfa.Matches([]byte(rfcSecret), code, 1)
		require.NoError(t, err)
		require.Empty(t, steps, code)
	}
}
