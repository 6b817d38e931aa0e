// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/portalsec/portalsec/crypto"
	"github.com/stretchr/testify/require"
)

var binary string

// TestMain builds the program: exit codes and streams are part of what it promises.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "portalsec")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "portalsec")
		if runtime.GOOS == "windows" {
			binary += ".exe"
		}
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// portalsec runs the program and gives its exit code and what it wrote.
func portalsec(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// newLog makes a log with n events after its opening.
func newLog(t *testing.T, n int) (dir string, l *ledger.Log) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "audit")
	l, err := ledger.Open(ledger.Config{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	for i := range n {
		require.NoError(t, l.Record(t.Context(), audit.Event{
			Kind: "app.ticket_closed", Outcome: audit.Success, Tenant: []string{"acme", "globex"}[i%2],
			Actor: audit.Pseudonym(fmt.Sprint("u", i)), Source: audit.Source{Addr: "192.0.2.7", Country: "AT"},
			Details: []audit.Detail{{Name: "text", Value: "a\x1b[2J\u009b2J\u202e\U000e0001 b"}},
		}))
	}
	return dir, l
}

// change flips a bit in a log's entry.
func change(t *testing.T, dir string, entry int) {
	t.Helper()
	path := filepath.Join(dir, "audit.log")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := bytes.SplitAfter(content, []byte("\n"))
	lines[entry][len(lines[entry])/2] ^= 1
	require.NoError(t, os.WriteFile(path, bytes.Join(lines, nil), 0o600))
}

func TestVerifyGood(t *testing.T) {
	t.Parallel()
	dir, _ := newLog(t, 4) // still held by this process
	want, err := ledger.Verify(t.Context(), dir)
	require.NoError(t, err)
	code, stdout, stderr := portalsec(t, "audit", "verify", dir)
	require.Equal(t, 0, code)
	require.Empty(t, stderr)
	require.Contains(t, stdout, "entries  5\n")
	require.Contains(t, stdout, "head     "+hex.EncodeToString(want.Head[:])+"\n")
	require.Contains(t, stdout, "verdict  ok")
	require.Contains(t, stdout, "trust    none beyond this file")
}

func TestVerifyFindsAChange(t *testing.T) {
	t.Parallel()
	dir, _ := newLog(t, 4)
	change(t, dir, 3)
	code, stdout, stderr := portalsec(t, "audit", "verify", dir)
	require.Equal(t, 1, code)
	require.Empty(t, stderr)
	require.Contains(t, stdout, "entries  2\n")
	require.Contains(t, stdout, "verdict  NOT AS WRITTEN: entry 3: ")
	require.NotContains(t, stdout, "ok")
}

func TestVerifyJSON(t *testing.T) {
	t.Parallel()
	dir, _ := newLog(t, 1)
	code, stdout, _ := portalsec(t, "audit", "verify", "--json", dir)
	require.Equal(t, 0, code)
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Equal(t, true, got["ok"])
	require.Equal(t, 2.0, got["entries"])
	require.Len(t, got["head"], 64)
	require.NotContains(t, got, "problem")
	require.NotContains(t, got, "first_bad")

	change(t, dir, 0)
	code, stdout, _ = portalsec(t, "audit", "verify", dir, "--json")
	require.Equal(t, 1, code)
	got = nil
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Equal(t, false, got["ok"])
	require.Equal(t, 0.0, got["entries"])
	require.Equal(t, 0.0, got["first_bad"], "the first line is named, though its number is 0")
	require.NotEmpty(t, got["problem"])
}

func TestVerifyCannotRun(t *testing.T) {
	t.Parallel()
	newer := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(newer, "audit.log"), []byte(`{"format":"portalsec-audit-log","version":9}`+"\n"), 0o600))
	for name, args := range map[string][]string{
		"no such directory":  {"audit", "verify", filepath.Join(t.TempDir(), "missing")},
		"a newer version":    {"audit", "verify", newer},
		"no directory":       {"audit", "verify"},
		"an unknown flag":    {"audit", "verify", "--quick", newer},
		"no command":         {},
		"an unknown command": {"audit", "repair"},
	} {
		code, stdout, stderr := portalsec(t, args...)
		require.Equal(t, 2, code, name)
		require.Empty(t, stdout, name)
		require.Equal(t, 1, strings.Count(stderr, "\n"), "%s: one line: %s", name, stderr)
		require.True(t, strings.HasPrefix(stderr, "portalsec: "), name)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"audit", "verify", "--help"}, {"keys", "new", "-h"}} {
		code, stdout, stderr := portalsec(t, args...)
		require.Equal(t, 0, code)
		require.Empty(t, stderr)
		require.Contains(t, stdout, "Usage: portalsec")
	}
	_, stdout, _ := portalsec(t, "--help")
	require.Contains(t, stdout, "Exit codes: 0 done and nothing found, 1 done and something is wrong")
}

func TestShow(t *testing.T) {
	t.Parallel()
	dir, _ := newLog(t, 6)
	lines := func(args ...string) []string {
		code, stdout, stderr := portalsec(t, append([]string{"audit", "show", dir}, args...)...)
		require.Equal(t, 0, code, stderr)
		require.Empty(t, stderr)
		return strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	}
	all := lines()
	require.Len(t, all, 7)
	require.True(t, strings.HasPrefix(all[0], "7 "), "newest first: %s", all[0])
	require.Contains(t, all[6], "audit.opened success")
	require.Contains(t, all[0], " app.ticket_closed success tenant=globex actor=u5 country=AT ")
	for _, line := range all {
		require.NotContains(t, line, "192.0.2.7", "no personal data unless asked for")
	}
	require.Len(t, lines("--tenant", "acme"), 3)
	require.Len(t, lines("--limit", "2"), 2)
	require.Len(t, lines("--kind", "audit.opened"), 1)
	require.Len(t, lines("--kind", "audit.opened", "--kind", "app.ticket_closed"), 7)
	require.Contains(t, lines("--actor", "u2")[0], "actor=u2")
	require.True(t, strings.HasPrefix(lines("--before", "4")[0], "3 "))

	for _, line := range lines("--json", "--tenant", "acme") {
		var got struct {
			Index uint64
			Hash  string
			Event audit.Event
		}
		require.NoError(t, json.Unmarshal([]byte(line), &got))
		require.Equal(t, "acme", got.Event.Tenant)
		require.Equal(t, audit.Personal("192.0.2.7"), got.Event.Source.Addr)
		require.Equal(t, "a\x1b[2J\u009b2J\u202e\U000e0001 b", got.Event.Details[0].Value, "escapes are undone by a reader")
		require.Len(t, got.Hash, 64)
	}
}

// What somebody put into an event must not act on the terminal of who reads it.
func TestShowIsSafeForATerminal(t *testing.T) {
	t.Parallel()
	dir, _ := newLog(t, 1)
	for _, args := range [][]string{{"audit", "show", dir}, {"audit", "show", "--json", dir}} {
		_, stdout, _ := portalsec(t, args...)
		for _, r := range stdout {
			require.True(t, r == '\n' || r >= ' ' && r < 0x7f, "%U in %q", r, stdout)
		}
	}
}

func TestShowRefuses(t *testing.T) {
	t.Parallel()
	dir, _ := newLog(t, 2)
	for name, args := range map[string][]string{
		"a limit of none":   {"--limit", "0"},
		"a huge limit":      {"--limit", "1001"},
		"a kind misspelt":   {"--kind", "auth.logn"},
		"a negative number": {"--before=-1"},
	} {
		code, stdout, stderr := portalsec(t, append([]string{"audit", "show", dir}, args...)...)
		require.Equal(t, 2, code, name)
		require.Empty(t, stdout, name)
		require.NotEmpty(t, stderr, name)
	}
	change(t, dir, 2)
	code, stdout, stderr := portalsec(t, "audit", "show", dir)
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "entry 2")
}

func TestKeysNew(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "root.key")
	code, stdout, stderr := portalsec(t, "keys", "new", file)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, file)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	_, err = crypto.OpenKeyFile(file)
	require.NoError(t, err, "it is a key that the SDK reads")
	for _, word := range strings.Fields(string(content)) {
		if len(word) > 20 {
			require.NotContains(t, stdout+stderr, word, "the key is not shown")
		}
	}

	code, _, stderr = portalsec(t, "keys", "new", file)
	require.Equal(t, 2, code, "a key is never overwritten")
	require.Contains(t, stderr, file)
	again, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, content, again)

	code, _, _ = portalsec(t, "keys", "new", filepath.Join(t.TempDir(), "missing", "root.key"))
	require.Equal(t, 2, code)
}

func TestRBACCheck(t *testing.T) {
	t.Parallel()
	write := func(name, text string) string {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	good := write("roles.yaml", "roles:\n  customer:\n    description: sees their own tickets\n    allow: [{permission: ticket.read, when: own}]\n")
	more := write("more.yaml", "roles:\n  agent:\n    description: answers\n    allow: [ticket.*]\n")
	code, stdout, stderr := portalsec(t, "rbac", "check", good, more)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "customer")
	require.Contains(t, stdout, "ok: 2 roles")

	bad := write("bad.yaml", "roles:\n  customer:\n    alow: [ticket.read]\n    inherits: [nobody]\n")
	code, stdout, stderr = portalsec(t, "rbac", "check", bad)
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, bad+":3:5: ", "place and file, as the user named it")

	code, _, stderr = portalsec(t, "rbac", "check", filepath.Join(t.TempDir(), "missing.yaml"))
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "missing.yaml")
	code, _, _ = portalsec(t, "rbac", "check")
	require.Equal(t, 2, code)
}
