// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestBadInput starts the portal with something wrong: one clear line, the right exit code, nothing made.
func TestBadInput(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = busy.Close() }) // after the parallel subtests
	brokenKey := write(t, "root.key", "not a key\n")
	brokenPolicy := write(t, "policy.yaml", "roles:\n  customer:\n    allow: [tiket.read]\n")
	newer := write(t, "newer.db", "")

	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"unknown flag":         {[]string{"-colour", "red"}, 2, "-colour"},
		"argument":             {[]string{"start"}, 2, `"start"`},
		"address":              {[]string{"-addr", "8080"}, 2, "HOST:PORT"},
		"database kind":        {[]string{"-db", "oracle:x"}, 2, "sqlite:FILE"},
		"proxy":                {[]string{"-trusted-proxies", "10.0.0.0/99"}, 2, "10.0.0.0/99"},
		"password age":         {[]string{"-password-age", "-1h"}, 2, "-password-age"},
		"public address":       {[]string{"-public-url", "http://portal.example"}, 2, "https"},
		"no country file":      {[]string{"-country-db", "/nonexistent.mmdb"}, 2, "/nonexistent.mmdb"},
		"country file":         {[]string{"-country-db", write(t, "x.mmdb", "no database")}, 2, "x.mmdb"},
		"policy":               {[]string{"-policy", brokenPolicy}, 2, `policy.yaml:3:13`},
		"no policy":            {[]string{"-policy", "/nonexistent.yaml"}, 2, "nonexistent.yaml"},
		"key file":             {[]string{"-key", brokenKey}, 2, "root.key"},
		"database without key": {[]string{"-db", "sqlite:" + newer}, 2, "root.key is missing"},
		"port in use":          {[]string{"-addr", busy.Addr().String()}, 1, busy.Addr().String()},
		"folder is a file":     {[]string{"-data", brokenKey}, 2, "root.key"},
		"folder not allowed":   {[]string{"-data", "/proc/portal-data"}, 2, "/proc/portal-data"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			refused(t, c.code, c.want, append([]string{"-data", data}, c.args...)...)
			left, err := filepath.Glob(data + "*")
			require.NoError(t, err)
			require.Empty(t, left, "nothing half made")
		})
	}
}

// TestNewerDatabase starts on a database that a later version has changed, the SDK's tables or the portal's own.
func TestNewerDatabase(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"the SDK's":    `INSERT INTO ps_migration (version, name, applied_at) VALUES (9999, 'later', 0)`,
		"the portal's": `PRAGMA user_version = 9999`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fresh(t)
			require.Equal(t, 0, p.stop())
			db, err := sql.Open("sqlite", filepath.Join(p.data, "portal.db"))
			require.NoError(t, err)
			_, err = db.Exec(change)
			require.NoError(t, err)
			require.NoError(t, db.Close())
			refused(t, 1, "newer version", "-data", p.data)
		})
	}
}

// refused runs a portal that must not start, and gives what it said: one line.
func refused(t *testing.T, code int, want string, args ...string) (said string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, binary, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.Error(t, cmd.Run())
	require.Equal(t, code, cmd.ProcessState.ExitCode(), stderr.String())
	require.Contains(t, stderr.String(), want)
	require.Equal(t, 1, bytes.Count(stderr.Bytes(), []byte("\n")), "one line: %s", stderr.String())
	require.Empty(t, stdout.String())
	return stderr.String()
}

// TestFolders starts on folders that are not simply empty or a portal's.
func TestFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "notes"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes", "note.txt"), []byte("mine"), 0o600))
	refused(t, 2, "holds note.txt but no portal", "-data", filepath.Join(dir, "notes"))
	entries, err := os.ReadDir(filepath.Join(dir, "notes"))
	require.NoError(t, err)
	require.Len(t, entries, 2, "the note and the lock")

	p := start(t, filepath.Join(dir, "data"))
	refused(t, 1, "another process uses", "-data", p.data)
	require.Equal(t, 0, p.stop())

	key := filepath.Join(p.data, "root.key")
	require.NoError(t, os.Rename(key, key+".away"))
	refused(t, 2, "root.key is missing", "-data", p.data)
	require.NoFileExists(t, key, "no other key takes its place")
	require.NoError(t, os.Rename(key+".away", key))
	log := filepath.Join(p.data, "audit")
	require.NoError(t, os.Rename(log, log+".away"))
	refused(t, 2, "audit log", "-data", p.data)
	require.NoError(t, os.Rename(log+".away", log))
	start(t, p.data)
}

// TestFirstStart kills the portal while it starts for the first time, at many moments, with its files in three
// places: the next start is whole.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		dir := t.TempDir()
		flags := []string{"-addr", "127.0.0.1:0", "-data", filepath.Join(dir, "data"),
			"-db", "sqlite:" + filepath.Join(dir, "portal.db"), "-key", filepath.Join(dir, "root.key")}
		cmd := exec.Command(binary, flags...)
		require.NoError(t, cmd.Start())
		timer := time.AfterFunc(time.Duration(i*i)*10*time.Millisecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
		p := start(t, filepath.Join(dir, "data"), flags[4:]...)
		require.Contains(t, p.as("noordzee", "customer").get("/tickets").body, "Change of insurer")
		require.Contains(t, p.as("vondel", "agent").get("/tickets").body, "Leaking tap")
		require.Equal(t, 0, p.stop())
	}
}

// TestFirstStartMoments starts on what a kill leaves in moments too short to be met by chance.
func TestFirstStartMoments(t *testing.T) {
	t.Parallel()
	list := `["audit","files","portal.db","portal.db-wal","portal.db-shm","portal.db-journal","root.key"]`
	for name, files := range map[string]map[string]string{
		"the list cut short":  {"first-start.json.new": list[:20]},
		"the list":            {"first-start.json": list},
		"the database's file": {"first-start.json": list, "portal.db": ""},
		"a key cut short":     {"first-start.json": list, "portal.db": "", "root.key": "portalsec key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := folderWith(t, files)
			start(t, data).as("vondel", "customer")
			require.NoFileExists(t, filepath.Join(data, "first-start.json.new"))
		})
	}
	t.Run("all but the list's end", func(t *testing.T) {
		t.Parallel()
		p := fresh(t)
		a := p.account("noordzee", "agent")
		require.Equal(t, 0, p.stop())
		require.NoError(t, os.WriteFile(filepath.Join(p.data, "first-start.json"), []byte(list), 0o600))
		again := start(t, p.data)
		require.Equal(t, a, again.account("noordzee", "agent"), "nothing is made anew")
		again.as("noordzee", "agent")
	})
	t.Run("a database without a list", func(t *testing.T) {
		t.Parallel()
		data := folderWith(t, map[string]string{"portal.db": ""})
		refused(t, 2, "root.key is missing", "-data", data)
		require.FileExists(t, filepath.Join(data, "portal.db"))
	})
}

// folderWith gives a data folder with some files in it.
func folderWith(t *testing.T, files map[string]string) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	for file, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(data, file), []byte(text), 0o600))
	}
	return data
}

// TestUnfinishedNeighbour starts a portal whose first start was killed when another one has come to use what that
// start had made outside of its folder: none of it is taken away.
func TestUnfinishedNeighbour(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, db := filepath.Join(dir, "root.key"), filepath.Join(dir, "portal.db")
	list, err := json.Marshal([]string{"audit", "files", db, db + "-wal", db + "-shm", db + "-journal", key})
	require.NoError(t, err)
	unfinished := func() string { return folderWith(t, map[string]string{"first-start.json": string(list)}) }

	p := start(t, filepath.Join(dir, "data"), "-key", key, "-db", "sqlite:"+db)
	refused(t, 2, "the audit log is missing", "-data", unfinished(), "-key", key, "-db", "sqlite:"+db)
	p.as("noordzee", "agent")
	require.Equal(t, 0, p.stop())
	other := start(t, unfinished(), "-key", key)
	other.as("noordzee", "agent")
	require.Equal(t, 0, other.stop())
	start(t, p.data, "-key", key, "-db", "sqlite:"+db).as("noordzee", "agent")

	foreign := filepath.Join(dir, "foreign.db")
	theirs, err := sql.Open("sqlite", foreign)
	require.NoError(t, err)
	_, err = theirs.Exec(`CREATE TABLE theirs (x)`)
	require.NoError(t, err)
	require.NoError(t, theirs.Close())
	list, err = json.Marshal([]string{"audit", "files", foreign})
	require.NoError(t, err)
	refused(t, 2, "holds no portal", "-data", unfinished(), "-key", key, "-db", "sqlite:"+foreign)
	require.FileExists(t, foreign)
}

// TestCopies starts copies and moved folders of first starts that were killed: each is undone where it is, and
// nothing of another portal is touched.
func TestCopies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	for try := 0; !exists(filepath.Join(data, "first-start.json")); try++ {
		require.Less(t, try, 10, "the portal was never killed on the way: it had started each time")
		require.NoError(t, os.RemoveAll(data))
		cmd := exec.Command(binary, "-addr", "127.0.0.1:0", "-data", data)
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool {
			return exists(filepath.Join(data, "first-start.json")) || exists(filepath.Join(data, "demo-accounts.json"))
		},
			time.Minute, time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
	twin, moved := filepath.Join(dir, "twin"), filepath.Join(dir, "moved")
	require.NoError(t, os.CopyFS(twin, os.DirFS(data)))
	require.NoError(t, os.CopyFS(moved, os.DirFS(data)))

	p := start(t, data)
	require.Equal(t, 0, p.stop())
	other := start(t, twin)
	other.as("vondel", "customer")
	require.Equal(t, 0, other.stop())
	start(t, moved).as("noordzee", "agent")
	start(t, data).as("noordzee", "customer") // as whole as before
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestDatabases names databases that are not this portal's.
func TestDatabases(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign.db")
	db, err := sql.Open("sqlite", foreign)
	require.NoError(t, err)
	_, err = db.Exec(`CREATE TABLE theirs (x)`)
	require.NoError(t, err)
	p := start(t, filepath.Join(dir, "data"))
	require.Equal(t, 0, p.stop())
	refused(t, 2, "holds no portal", "-data", p.data, "-db", "sqlite:"+foreign)
	var tables int
	require.NoError(t, db.QueryRow(`SELECT COUNT(*) FROM sqlite_master`).Scan(&tables))
	require.Equal(t, 1, tables, "nothing was written into it")
	require.NoError(t, db.Close())

	shared := filepath.Join(dir, "shared.db")
	first := start(t, filepath.Join(dir, "a"), "-db", "sqlite:"+shared)
	refused(t, 2, "is missing", "-data", filepath.Join(dir, "b"), "-db", "sqlite:"+shared)
	require.Equal(t, 0, first.stop())
	start(t, filepath.Join(dir, "a"), "-db", "sqlite:"+shared).as("noordzee", "agent")
	refused(t, 2, "first-admin", "-data", filepath.Join(dir, "c"), "-demo=false", "-first-admin", "nobody")
}

// TestTwoFirstStarts starts two portals on one new folder at once: one runs, the other says why it does not.
func TestTwoFirstStarts(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	var ready, busy int
	results := make(chan string, 2)
	for range cap(results) {
		cmd := exec.Command(binary, "-addr", "127.0.0.1:0", "-data", data)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		go func() {
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				if strings.HasPrefix(lines.Text(), "Portal ready") {
					results <- "ready"
				}
			}
			_ = cmd.Wait()
			results <- stderr.String()
		}()
	}
	for range cap(results) {
		switch r := <-results; {
		case r == "ready":
			ready++
		case strings.Contains(r, "another process uses"):
			busy++
		default:
			t.Errorf("unexpected: %s", r)
		}
	}
	require.Equal(t, 1, ready)
	require.Equal(t, 1, busy)
}

// TestRealPortal makes a portal that is no demonstration, with the accounts that its administrator makes, and
// starts it again without the flag.
func TestRealPortal(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, data, "-demo=false", "-first-admin", "boss@example.org")
	require.Equal(t, http.StatusNotFound, p.client().get("/dev/outbox").status)
	admin := p.firstAdministrator("boss@example.org")
	page := admin.post("/admin/users", "name", "Ann", "email", "ann@example.org")
	require.Equal(t, http.StatusOK, page.status)
	token := regexp.MustCompile(`/welcome\?token=([\w-]+)<`).FindStringSubmatch(page.body)
	require.NotNil(t, token, page.body)
	const chosen = "orange tractors hum 84"
	ann := p.client()
	require.Equal(t, http.StatusOK, ann.get("/welcome?token="+token[1]).status)
	require.Equal(t, http.StatusSeeOther, ann.post("/welcome", "token", token[1], "new", chosen, "again", chosen).status)
	require.Equal(t, "enrol", ann.login(account{Email: "ann@example.org", Password: chosen}))
	require.Equal(t, http.StatusNotFound, p.client().get("/welcome?token="+token[1]).status, "it works once")
	require.Equal(t, 0, p.stop())

	p = start(t, data)
	require.Equal(t, http.StatusNotFound, p.client().get("/dev/outbox").status, "it stays what it was made as")
	require.NotContains(t, p.client().get("/login").body, "Demonstration")
}

// TestWrongKey starts a portal with another root key than its data was made with.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, data)
	require.Equal(t, 0, p.stop())
	other := start(t, filepath.Join(t.TempDir(), "other"))
	require.Equal(t, 0, other.stop())

	refused(t, 1, "root key", "-data", data, "-key", filepath.Join(other.data, "root.key"))

	start(t, data) // with its own key it starts as before
}
