// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/portalsec/portalsec/auth/internal/breached"
	"github.com/stretchr/testify/require"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestRun(t *testing.T) {
	t.Parallel()
	plain := write(t, "plain.txt", "Password\nshort\nletmein99\npassword\n")
	hashes := write(t, "hashes.txt", "7C4A8D09CA3762AF61E59520943DC26494F8941B:37359195\nF7C3BC1D808E04732ADF679965CCC34CA7AE3441:2\n") // 123456, 123456789
	out := filepath.Join(t.TempDir(), "out.filter")
	var said bytes.Buffer
	require.NoError(t, run([]string{"-o", out, "-mincount", "3", plain, hashes}, &said, io.Discard))
	require.Equal(t, plain+": 3 taken, 1 left out\n"+hashes+": 1 taken, 1 left out\n"+out+": 3 passwords in 112 bytes\n", said.String())
	f, err := breached.Open(out)
	require.NoError(t, err)
	for pw, want := range map[string]bool{"password": true, "letmein99": true, "123456": true, "short": false, "123456789": false, "Password": false} {
		require.Equal(t, want, f.Contains(breached.Key(pw)), pw)
	}
	// Again, over the old file: the same bytes, and nothing left beside it.
	before, err := os.ReadFile(out)
	require.NoError(t, err)
	require.NoError(t, run([]string{"-mincount", "3", "-o", out, hashes, plain}, io.Discard, io.Discard))
	after, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, before, after)
	entries, err := os.ReadDir(filepath.Dir(out))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestLimit(t *testing.T) {
	t.Parallel()
	plain := write(t, "plain.txt", "password1\nPASSWORD1\npassword2\npassword3\n")
	out := filepath.Join(t.TempDir(), "out.filter")
	require.NoError(t, run([]string{"-o", out, "-n", "2", plain, plain}, io.Discard, io.Discard))
	f, err := breached.Open(out)
	require.NoError(t, err)
	require.Equal(t, 2, f.Len())
	require.True(t, f.Contains(breached.Key("password1")) && f.Contains(breached.Key("password2")))
	require.False(t, f.Contains(breached.Key("password3")))
}

// A failed run says where and leaves the old file alone.
func TestRunRefuses(t *testing.T) {
	t.Parallel()
	out := write(t, "out.filter", "old")
	bad := write(t, "bad.txt", "7C4A8D09CA3762AF61E59520943DC26494F8941B:1\nletmein\n")
	empty := write(t, "empty.txt", "\n")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no file":    {[]string{bad}, "name the file to write"},
		"no list":    {[]string{"-o", out}, "at least one list"},
		"bad line":   {[]string{"-o", out, bad}, bad + ": line 2: not a SHA-1"},
		"no list 2":  {[]string{"-o", out, filepath.Join(t.TempDir(), "none")}, "none"},
		"no entries": {[]string{"-o", out, empty}, "no passwords"},
		"a flag":     {[]string{"-what"}, "flag provided but not defined"},
		"no folder":  {[]string{"-o", filepath.Join(out, "x"), write(t, "good.txt", "password\n")}, "not a directory"},
	} {
		require.ErrorContains(t, run(c.args, io.Discard, io.Discard), c.want, name)
	}
	require.ErrorIs(t, run([]string{"-h"}, io.Discard, io.Discard), flag.ErrHelp)
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "old", string(text))
}
