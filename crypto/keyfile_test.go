// SPDX-License-Identifier: Apache-2.0

package crypto_test

import (
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/portalsec/portalsec/crypto"
	"github.com/stretchr/testify/require"
)

func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "root.key")
	require.NoError(t, crypto.GenerateKeyFile(path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	before, err := os.ReadFile(path)
	require.NoError(t, err)

	err = crypto.GenerateKeyFile(path)
	require.ErrorIs(t, err, fs.ErrExist)
	require.ErrorContains(t, err, path)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after, "not overwritten")

	a, err := crypto.OpenKeyFile(path)
	require.NoError(t, err)
	b, err := crypto.OpenKeyFile(path)
	require.NoError(t, err)
	require.Len(t, a.ID(), 16)
	require.Equal(t, a.ID(), b.ID())
	require.NotEqual(t, a.ID(), keyFile(t).ID())

	wrapped, err := a.Wrap(t.Context(), []byte("key"), []byte("place"))
	require.NoError(t, err)
	got, err := b.Unwrap(t.Context(), wrapped, []byte("place"))
	require.NoError(t, err)
	require.Equal(t, "key", string(got))
	for name, unwrap := range map[string]func() ([]byte, error){
		"other place": func() ([]byte, error) { return b.Unwrap(t.Context(), wrapped, []byte("Place")) },
		"other key":   func() ([]byte, error) { return keyFile(t).Unwrap(t.Context(), wrapped, []byte("place")) },
		"cut":         func() ([]byte, error) { return b.Unwrap(t.Context(), wrapped[:20], []byte("place")) },
		"nothing":     func() ([]byte, error) { return b.Unwrap(t.Context(), nil, []byte("place")) },
	} {
		_, err := unwrap()
		require.Equal(t, crypto.ErrOpen, err, name)
	}
}

// A folder whose names cannot be made durable keeps no key that a power cut may take back.
func TestGenerateKeyFileSyncsTheFolder(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("permission bits do not bind this user")
	}
	dir := filepath.Join(t.TempDir(), "write-only")
	require.NoError(t, os.Mkdir(dir, 0o300)) // so that opening it, which the sync needs, fails
	path := filepath.Join(dir, "root.key")
	require.ErrorIs(t, crypto.GenerateKeyFile(path), fs.ErrPermission)
	_, err := os.Stat(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestOpenKeyFileRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	for _, test := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{"portalsec key file v1\n" + key + "\n", 0o640, "mode 0640"},
		{"portalsec key file v1\n" + key + "\n", 0o604, "mode 0604"},
		{"portalsec key file v1\n" + key + "\n", 0o620, "chmod 600"},
		{"", 0o600, "does not begin"},
		{key + "\n", 0o600, "does not begin"},
		{"portalsec key file v2\n" + key + "\n", 0o600, "version"},
		{"portalsec key file v1\r\n" + key + "\r\n", 0o600, "version"},
		{"portalsec key file v1\n" + key + "\r\n", 0o600, "carriage returns"},
		{"portalsec key file v1\n", 0o600, "holds 0 bytes"},
		{"portalsec key file v1\n" + key[:40] + "\n", 0o600, "holds 30 bytes"},
		{"portalsec key file v1\n" + key + "AAAA\n", 0o600, "base64"},
		{"portalsec key file v1\n" + key + "\n" + key + "\n", 0o600, "more than two lines"},
		{"portalsec key file v1\n" + strings.Repeat(key, 200), 0o600, "too large"},
	} {
		path := filepath.Join(dir, "root.key")
		require.NoError(t, os.WriteFile(path, []byte(test.text), 0o600))
		require.NoError(t, os.Chmod(path, test.mode))
		_, err := crypto.OpenKeyFile(path)
		require.ErrorContains(t, err, path)
		require.ErrorContains(t, err, test.want)
		require.NotContains(t, err.Error(), key[:8])
		require.NoError(t, os.Remove(path))
	}
	_, err := crypto.OpenKeyFile(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "none")
	_, err = crypto.OpenKeyFile(dir)
	require.ErrorContains(t, err, "not a regular file")
}
