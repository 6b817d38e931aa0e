// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/stretchr/testify/require"
)

func open(t testing.TB, dir string) *ledger.Log {
	t.Helper()
	l, err := ledger.Open(ledger.Config{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// closed makes a log with n events after its opening and gives its directory and content.
func closed(t testing.TB, n int) (dir string, content []byte) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "audit")
	l := open(t, dir)
	for i := range n {
		require.NoError(t, l.Record(t.Context(), event(i)))
	}
	require.NoError(t, l.Close())
	return dir, contentOf(t, dir)
}

func contentOf(t testing.TB, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, ledger.FileName))
	require.NoError(t, err)
	return b
}

// write puts content in the place of a log's file.
func write(t testing.TB, dir string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ledger.FileName), content, 0o600))
}

func event(i int) audit.Event {
	return audit.Event{
		Kind: "app.ticket_closed", Outcome: audit.Success, Tenant: fmt.Sprint("tenant-", i%3),
		Actor: audit.Pseudonym(fmt.Sprint("u", i%7)), Details: []audit.Detail{{Name: "n", Value: fmt.Sprint(i)}},
	}
}

func verify(t testing.TB, dir string) ledger.Report {
	t.Helper()
	r, err := ledger.Verify(t.Context(), dir)
	require.NoError(t, err)
	return r
}

func TestRecordIsInTheFileWhenItReturns(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "audit")
	l := open(t, dir)
	var synced atomic.Int64
	l.OnSync(func() error { synced.Add(1); return nil })
	e := event(1)
	e.Details[0].Value = "line\nfeed \x00 \x1b[2J </script>"
	require.NoError(t, l.Record(t.Context(), e))
	require.EqualValues(t, 1, synced.Load())

	lines := strings.Split(strings.TrimSuffix(string(contentOf(t, dir)), "\n"), "\n")
	require.Len(t, lines, 3, "first line, opening, event")
	for _, c := range []byte(lines[2]) {
		require.True(t, c >= ' ', "control characters are escaped")
	}
	var got struct {
		I     uint64
		Event audit.Event
	}
	require.NoError(t, json.Unmarshal([]byte(lines[2]), &got))
	require.EqualValues(t, 2, got.I)
	require.Equal(t, e.Details, got.Event.Details)

	entries, err := l.Read(t.Context(), ledger.Query{AllTenants: true})
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, got.Event, entries[0].Event)
	require.Equal(t, audit.LogOpened, entries[1].Event.Kind)
}

func TestModes(t *testing.T) {
	t.Parallel()
	dir, _ := closed(t, 1)
	file := filepath.Join(dir, ledger.FileName)
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	require.EqualValues(t, 0o700, mode(dir))
	require.EqualValues(t, 0o600, mode(file))

	require.NoError(t, os.Chmod(file, 0o644)) // as a restored backup may be
	open(t, dir)
	require.EqualValues(t, 0o600, mode(file))
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := ledger.Open(ledger.Config{})
	require.EqualError(t, err, "ledger: Config.Dir is required")
}

func TestClockDatesEvents(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 890, time.UTC)
	l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), Clock: func() time.Time { return at }})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	own := event(1)
	own.Time = at.Add(-time.Hour)
	require.NoError(t, l.Record(t.Context(), event(0)))
	require.NoError(t, l.Record(t.Context(), own))
	entries, err := l.Read(t.Context(), ledger.Query{AllTenants: true})
	require.NoError(t, err)
	require.Equal(t, own.Time, entries[0].Event.Time)
	require.Equal(t, at, entries[1].Event.Time)
	require.Equal(t, at, entries[2].Event.Time)
}

func TestRecordRefuses(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	huge := event(1)
	huge.Details[0].Value = strings.Repeat("x", ledger.MaxEvent)
	unencodable := event(1)
	unencodable.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, e := range map[string]audit.Event{
		"no kind":         {Outcome: audit.Success},
		"an unknown kind": {Kind: "auth.unheard_of", Outcome: audit.Success},
		"no outcome":      {Kind: audit.AuthLogin},
		"too large":       huge,
		"no JSON":         unencodable,
	} {
		require.Error(t, l.Record(t.Context(), e), name)
	}
	require.NoError(t, l.Record(t.Context(), event(1)), "what was refused does no harm to the log")
	entries, err := l.Read(t.Context(), ledger.Query{AllTenants: true})
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

func TestLargestEvent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	e := audit.Prepare(t.Context(), event(1))
	b, err := json.Marshal(e)
	require.NoError(t, err)
	e.Details[0].Value += strings.Repeat("x", ledger.MaxEvent-len(b))
	require.NoError(t, l.Record(t.Context(), e))
	require.NoError(t, l.Record(t.Context(), e))
	require.Equal(t, uint64(3), verify(t, dir).Entries)
	entries, err := l.Read(t.Context(), ledger.Query{AllTenants: true})
	require.NoError(t, err)
	require.Equal(t, e, entries[1].Event)

	e.Details[0].Value += "x"
	require.ErrorContains(t, l.Record(t.Context(), e), "65537 bytes")
}

// A client that hangs up must not keep what it did out of the log.
func TestRecordInAnEndedContext(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		require.NoError(t, l.Record(ctx, event(1)))
	}
	entries, err := l.Read(t.Context(), ledger.Query{AllTenants: true})
	require.NoError(t, err)
	require.Len(t, entries, 51)
}

func TestConcurrentRecordsShareASync(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	var syncs atomic.Int64
	release := make(chan struct{})
	started := make(chan struct{}, 1)
	l.OnSync(func() error {
		if syncs.Add(1) == 1 {
			started <- struct{}{}
			<-release
		}
		return nil
	})
	const n = 100
	var wg sync.WaitGroup
	record := func(i int) {
		wg.Go(func() {
			if err := l.Record(t.Context(), event(i)); err != nil {
				t.Error(err)
			}
		})
	}
	record(0)
	<-started
	for i := 1; i < n; i++ {
		record(i)
	}
	require.Eventually(t, func() bool { return l.Waiting() == n-1 }, 10*time.Second, time.Millisecond)
	close(release)
	wg.Wait()
	require.EqualValues(t, 2, syncs.Load(), "one for the first, one for all that came meanwhile")
	require.Equal(t, ledger.Report{Entries: n + 1, Head: l.Head()}, verify(t, dir))
}

func TestConcurrentRecordsReadsAndClose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	const writers, each = 16, 40
	var wg sync.WaitGroup
	var good atomic.Uint64
	stop := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				switch err := l.Record(t.Context(), event(w*each+i)); {
				case err == nil:
					if good.Add(1) == writers*each/2 {
						close(stop)
					}
				case !errors.Is(err, ledger.ErrClosed):
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for {
				if _, err := l.Read(t.Context(), ledger.Query{AllTenants: true, Limit: 300}); err != nil {
					return // closed
				}
				if r, err := ledger.Verify(t.Context(), dir); err != nil || !r.OK() {
					t.Errorf("while it is written: %+v, %v", r, err)
				}
				if _, err := ledger.Read(t.Context(), dir, ledger.Query{AllTenants: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		<-stop
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	require.NoError(t, l.Close(), "again")
	require.ErrorIs(t, l.Record(t.Context(), event(0)), ledger.ErrClosed)
	_, err := l.Read(t.Context(), ledger.Query{AllTenants: true})
	require.ErrorIs(t, err, ledger.ErrClosed)
	r := verify(t, dir)
	require.True(t, r.OK(), r.Problem)
	require.Equal(t, good.Load()+1, r.Entries, "each event that was acknowledged, and no other")
}

func TestFailedSyncIsFinal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	require.NoError(t, l.Record(t.Context(), event(1)))
	require.NoError(t, l.Err())
	broken := errors.New("I/O error")
	fail := true
	l.OnSync(func() error {
		if fail {
			return broken
		}
		return nil
	})
	require.ErrorIs(t, l.Record(t.Context(), event(2)), broken)
	fail = false
	size := len(contentOf(t, dir))
	err := l.Record(t.Context(), event(3))
	require.ErrorIs(t, err, broken, "though the disk would work again")
	require.ErrorContains(t, err, "stopped at an earlier failure")
	require.Len(t, contentOf(t, dir), size, "nothing is written any more")
	require.ErrorIs(t, l.Err(), broken, "for a health check")

	entries, err := l.Read(t.Context(), ledger.Query{AllTenants: true})
	require.NoError(t, err)
	require.Len(t, entries, 2, "what was safe can be read")
	require.NoError(t, l.Close())
	l = open(t, dir)
	require.NoError(t, l.Record(t.Context(), event(4)))
	require.True(t, verify(t, dir).OK())
}

func TestFailedWriteIsFinalForAllThatWait(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	full := errors.New("no space left")
	l.OnWrite(func(b []byte) (int, error) {
		f, err := os.OpenFile(filepath.Join(dir, ledger.FileName), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		n, _ := f.Write(b[:len(b)/2])
		return n, full
	})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := l.Record(t.Context(), event(i)); !errors.Is(err, full) {
				t.Errorf("Record = %v", err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, l.Close())
	l = open(t, dir)
	opened := newest(t, l)
	require.Equal(t, audit.Warning, opened.Severity, "half a line was cut")
	require.True(t, verify(t, dir).OK())
}

func newest(t *testing.T, l *ledger.Log) audit.Event {
	t.Helper()
	entries, err := l.Read(t.Context(), ledger.Query{AllTenants: true, Limit: 1})
	require.NoError(t, err)
	require.Len(t, entries, 1)
	return entries[0].Event
}

func TestFileTakenAway(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(path string) error{
		"removed":   os.Remove,
		"renamed":   func(path string) error { return os.Rename(path, path+".1") },
		"replaced":  func(path string) error { os.Remove(path); return os.WriteFile(path, nil, 0o600) },
		"truncated": func(path string) error { return os.Truncate(path, 100) },
		"appended": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString("x")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := open(t, dir)
			require.NoError(t, l.Record(t.Context(), event(1)))
			require.NoError(t, act(filepath.Join(dir, ledger.FileName)))
			require.Error(t, l.Record(t.Context(), event(2)))
		})
	}
}

func TestOpenCutsATornLine(t *testing.T) {
	t.Parallel()
	_, whole := closed(t, 5)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	lastLine := lines[len(lines)-2]
	for _, keep := range []int{1, 4, 100, len(lastLine) - 2, len(lastLine) - 1} {
		dir := t.TempDir()
		write(t, dir, whole[:len(whole)-len(lastLine)+keep])
		r := verify(t, dir)
		require.False(t, r.OK())
		require.EqualValues(t, 6, r.FirstBad)
		require.EqualValues(t, 5, r.Entries)

		l := open(t, dir)
		e := newest(t, l)
		require.Equal(t, audit.LogOpened, e.Kind)
		require.Equal(t, "unfinished-line-cut", e.Reason)
		require.Equal(t, []audit.Detail{{Name: "entries", Value: "5"}, {Name: "cut_bytes", Value: fmt.Sprint(keep)}}, e.Details)
		require.NoError(t, l.Record(t.Context(), event(9)))
		require.NoError(t, l.Close())
		require.Equal(t, uint64(7), verify(t, dir).Entries)
		require.True(t, verify(t, dir).OK())
	}
}

func TestOpenBeginsAnewAfterATornFirstLine(t *testing.T) {
	t.Parallel()
	for keep := range len(ledger.Header) {
		dir := t.TempDir()
		write(t, dir, []byte(ledger.Header[:keep]))
		open(t, dir)
		require.Equal(t, uint64(1), verify(t, dir).Entries)
		require.True(t, verify(t, dir).OK())
	}
}

func TestOpenGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	dir, _ := closed(t, 3)
	l := open(t, dir)
	e := newest(t, l)
	require.Equal(t, []audit.Detail{{Name: "entries", Value: "4"}}, e.Details)
	require.Equal(t, audit.Info, e.Severity)
	require.NoError(t, l.Record(t.Context(), event(4)))
	require.Equal(t, uint64(6), verify(t, dir).Entries)
}

func TestOpenRefusesABrokenLink(t *testing.T) {
	t.Parallel()
	dir, whole := closed(t, 9)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	bad := bytes.Replace(whole, lines[4], bytes.Replace(lines[4], []byte("tenant-"), []byte("tenanT-"), 1), 1)
	write(t, dir, bad)
	_, err := ledger.Open(ledger.Config{Dir: dir})
	var broken *ledger.BrokenError
	require.ErrorAs(t, err, &broken)
	require.EqualValues(t, 4, broken.Entry)
	require.ErrorContains(t, err, "entry 4")
	require.Equal(t, bad, contentOf(t, dir), "evidence is left as it is")
}

func TestOpenRefusesWhatIsNoLog(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"another file":        "hello\n",
		"another, unfinished": "hello",
		"one huge line":       strings.Repeat("x", 1<<20),
		"zeros":               strings.Repeat("\x00", 5000),
	} {
		dir := t.TempDir()
		write(t, dir, []byte(content))
		_, err := ledger.Open(ledger.Config{Dir: dir})
		var broken *ledger.BrokenError
		require.ErrorAs(t, err, &broken, name)
		require.Zero(t, broken.Entry)
		require.Equal(t, content, string(contentOf(t, dir)), name)
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	newer := strings.Replace(ledger.Header, `"version":1`, `"version":2`, 1)
	write(t, dir, []byte(newer+"whatever it holds\n"))
	_, err := ledger.Open(ledger.Config{Dir: dir})
	require.ErrorIs(t, err, ledger.ErrNewerFormat)
	_, err = ledger.Verify(t.Context(), dir)
	require.ErrorIs(t, err, ledger.ErrNewerFormat)
	_, err = ledger.Read(t.Context(), dir, ledger.Query{AllTenants: true})
	require.ErrorIs(t, err, ledger.ErrNewerFormat)

	// The same change to a log of this version is a change, not a version.
	dir, whole := closed(t, 2)
	write(t, dir, bytes.Replace(whole, []byte(ledger.Header), []byte(newer), 1))
	r := verify(t, dir)
	require.False(t, r.OK())
	require.Zero(t, r.FirstBad)
}

func TestSecondOpenIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	_, err := ledger.Open(ledger.Config{Dir: dir})
	require.ErrorIs(t, err, ledger.ErrInUse)
	require.ErrorContains(t, err, dir, "which log")
	require.NoError(t, l.Record(t.Context(), event(1)), "the first is not disturbed")
	require.NoError(t, l.Close())
	open(t, dir)
}

const holdDir = "LEDGER_TEST_HOLD"

// TestMain lets the test binary also be the second process of TestSecondProcessIsRefused.
func TestMain(m *testing.M) {
	if dir := os.Getenv(holdDir); dir != "" {
		_, err := ledger.Open(ledger.Config{Dir: dir})
		fmt.Println(err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	ask := func() string {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), holdDir+"="+dir)
		out, err := cmd.Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	require.Contains(t, ask(), "another process writes this log")
	require.NoError(t, l.Close())
	require.Equal(t, "<nil>", ask())
}
