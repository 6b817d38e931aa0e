// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/stretchr/testify/require"
)

// build builds the program for a port that is free, because its own may be in use.
func build(t *testing.T, dir string) (program string) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, free.Close())
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	moved := bytes.ReplaceAll(source, []byte("127.0.0.1:8081"), []byte(free.Addr().String()))
	require.NotEqual(t, source, moved)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), moved, 0o600))
	here, err := os.Getwd()
	require.NoError(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "main.go"): filepath.Join(dir, "main.go")}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	program = filepath.Join(dir, "quickstart")
	out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return program
}

// TestQuickstart runs the program and signs in as its one user.
func TestQuickstart(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(build(t, dir))
	cmd.Dir = dir
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	words := strings.Fields(line)
	address, secret := words[0], words[len(words)-1]

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := &http.Client{Jar: jar, Timeout: 10 * time.Second}
	status := func(res *http.Response, err error) int {
		t.Helper()
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	require.Eventually(t, func() bool { // it listens a moment after it has printed
		res, err := client.Get(address)
		return err == nil && status(res, err) == http.StatusUnauthorized
	}, 10*time.Second, 20*time.Millisecond)
	login := strings.TrimSuffix(address, "invoices") + "login"
	form := url.Values{"email": {"clerk@example.com"}, "password": {"wrong"}}
	require.Equal(t, http.StatusUnauthorized, status(client.PostForm(login, form)))
	form.Set("password", secret)
	require.Equal(t, http.StatusOK, status(client.PostForm(login, form)), "redirected to the invoices")
	require.Equal(t, http.StatusOK, status(client.Get(address)))

	report, err := ledger.Verify(t.Context(), filepath.Join(dir, "quickstart-data"))
	require.NoError(t, err)
	require.True(t, report.OK(), report.Problem)
}

// TestReadme holds the README's example to the code: it is a part of this program, less one indent.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(readme), "```go\n")
	require.True(t, ok)
	example, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	require.NotEmpty(t, example)
	require.Contains(t, strings.ReplaceAll(string(program), "\n\t", "\n"), example)
}
