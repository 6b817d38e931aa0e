// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ledger_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/stretchr/testify/require"
)

// Opening a pipe for reading waits for a writer, for ever if need be.
func TestPipeInThePlaceOfTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, ledger.FileName), 0o600))
	_, err := ledger.Open(ledger.Config{Dir: dir})
	require.ErrorContains(t, err, "not a regular file")
	_, err = ledger.Verify(t.Context(), dir)
	require.ErrorContains(t, err, "not a regular file")
	_, err = ledger.Read(t.Context(), dir, ledger.Query{AllTenants: true})
	require.ErrorContains(t, err, "not a regular file")
}
