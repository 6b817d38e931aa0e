// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/stretchr/testify/require"
)

func TestReadNeedsATenant(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	require.NoError(t, l.Record(t.Context(), event(1)))
	for _, q := range []ledger.Query{{}, {Limit: 5}, {Actor: "u1"}, {NoTenant: true}, {Tenant: "acme", AllTenants: true}, {AllTenants: true, Limit: -1}, {AllTenants: true, Limit: 1001}} {
		got, err := l.Read(t.Context(), q)
		require.Error(t, err, "%+v", q)
		require.Empty(t, got)
		got, err = ledger.Read(t.Context(), dir, q)
		require.Error(t, err, "%+v", q)
		require.Empty(t, got)
	}
}

func TestReadShowsOneTenantOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	for i := range 30 {
		require.NoError(t, l.Record(t.Context(), event(i)))
	}
	none := event(1)
	none.Tenant = ""
	require.NoError(t, l.Record(t.Context(), none))
	got, err := l.Read(t.Context(), ledger.Query{Tenant: "tenant-1"})
	require.NoError(t, err)
	require.Len(t, got, 10)
	for _, e := range got {
		require.Equal(t, "tenant-1", e.Event.Tenant)
	}
	got, err = l.Read(t.Context(), ledger.Query{Tenant: "tenant-1", NoTenant: true})
	require.NoError(t, err)
	require.Len(t, got, 12, "also the opening of the log and the event of no tenant")
	for _, e := range got {
		require.Contains(t, []string{"tenant-1", ""}, e.Event.Tenant)
	}
	for _, tenant := range []string{"tenant-", "tenant-11", "TENANT-1", "tenant-1 "} {
		got, err = l.Read(t.Context(), ledger.Query{Tenant: tenant})
		require.NoError(t, err)
		require.Empty(t, got, tenant)
	}
}

func TestReadFilters(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	for i := range 20 {
		require.NoError(t, l.Record(t.Context(), event(i)))
	}
	impersonated := event(1)
	impersonated.Kind, impersonated.Actor, impersonated.OnBehalfOf = "app.looked", "staff", "u1"
	require.NoError(t, l.Record(t.Context(), impersonated))

	got, err := l.Read(t.Context(), ledger.Query{AllTenants: true, Actor: "u1"})
	require.NoError(t, err)
	require.Len(t, got, 4, "its own acts and those done for it")
	require.Equal(t, audit.Kind("app.looked"), got[0].Event.Kind)

	got, err = l.Read(t.Context(), ledger.Query{AllTenants: true, Kinds: []audit.Kind{audit.LogOpened, "app.looked"}})
	require.NoError(t, err)
	require.Len(t, got, 2)

	got, err = l.Read(t.Context(), ledger.Query{Tenant: "tenant-1", Actor: "u1", Kinds: []audit.Kind{"app.ticket_closed"}})
	require.NoError(t, err)
	require.Len(t, got, 1, "all conditions together")
}

func indexes(entries []ledger.Entry) (list []uint64) {
	for _, e := range entries {
		list = append(list, e.Index)
	}
	return list
}

// Pages give what one long read gives, whatever their size and wherever they begin.
func TestReadPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	const n = 1100 // several marks
	for i := range n - 1 {
		require.NoError(t, l.Record(t.Context(), event(i)))
	}
	var all []uint64
	for i := uint64(n); i > 0; i-- {
		all = append(all, i)
	}
	reads := map[string]func(ledger.Query) ([]ledger.Entry, error){
		"Log.Read": func(q ledger.Query) ([]ledger.Entry, error) { return l.Read(t.Context(), q) },
		"Read":     func(q ledger.Query) ([]ledger.Entry, error) { return ledger.Read(t.Context(), dir, q) },
	}
	for name, read := range reads {
		for _, size := range []int{1000, 97} {
			var got []uint64
			for before := uint64(0); ; {
				page, err := read(ledger.Query{AllTenants: true, Before: before, Limit: size})
				require.NoError(t, err)
				if len(page) == 0 {
					break
				}
				got = append(got, indexes(page)...)
				before = page[len(page)-1].Index
			}
			require.True(t, slices.Equal(all, got), "%s by %d", name, size)
		}
		for before := uint64(1); before <= n+300; before++ {
			page, err := read(ledger.Query{AllTenants: true, Before: before, Limit: 1})
			require.NoError(t, err)
			if want := min(before-1, n); want == 0 {
				require.Empty(t, page)
			} else {
				require.Equal(t, []uint64{want}, indexes(page), "%s before %d", name, before)
			}
			if name == "Read" {
				before += 70 // each of these reads back from the end
			}
		}
	}
}

func TestReadDefaultLimit(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	for i := range 150 {
		require.NoError(t, l.Record(t.Context(), event(i)))
	}
	got, err := l.Read(t.Context(), ledger.Query{AllTenants: true})
	require.NoError(t, err)
	require.Len(t, got, 100)
	require.EqualValues(t, 151, got[0].Index)
}

func TestReadAfterReopening(t *testing.T) {
	t.Parallel()
	dir, _ := closed(t, 600)
	l := open(t, dir)
	got, err := l.Read(t.Context(), ledger.Query{AllTenants: true, Before: 300, Limit: 2})
	require.NoError(t, err)
	require.Equal(t, []uint64{299, 298}, indexes(got))
}

// A line that was changed while the log is open is not shown.
func TestReadFindsAChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	for i := range 20 {
		require.NoError(t, l.Record(t.Context(), event(i)))
	}
	whole := contentOf(t, dir)
	write(t, dir, bytes.Replace(whole, []byte(`"value":"9"`), []byte(`"value":"8"`), 1))
	for name, read := range map[string]func(ledger.Query) ([]ledger.Entry, error){
		"Log.Read": func(q ledger.Query) ([]ledger.Entry, error) { return l.Read(t.Context(), q) },
		"Read":     func(q ledger.Query) ([]ledger.Entry, error) { return ledger.Read(t.Context(), dir, q) },
	} {
		got, err := read(ledger.Query{AllTenants: true, Limit: 5})
		require.NoError(t, err, "what is newer is good")
		require.Len(t, got, 5)
		_, err = read(ledger.Query{AllTenants: true})
		var broken *ledger.BrokenError
		require.ErrorAs(t, err, &broken, name)
		require.EqualValues(t, 11, broken.Entry)
	}

	// A forged last entry with a right hash is only seen by the log that wrote another one.
	lines := bytes.SplitAfter(whole, []byte("\n"))
	last, ok := ledger.ParseLine(bytes.TrimSuffix(lines[21], []byte("\n")))
	require.True(t, ok)
	forged := bytes.Replace(last.Event, []byte(`"value":"19"`), []byte(`"value":"18"`), 1)
	lines[21] = ledger.AppendLine(nil, last.Index, last.Prev, ledger.Link(last.Index, last.Prev, forged), forged)
	write(t, dir, bytes.Join(lines, nil))
	_, err := l.Read(t.Context(), ledger.Query{AllTenants: true, Limit: 1})
	require.ErrorContains(t, err, "entry 21")
}

func TestReadOfBrokenFiles(t *testing.T) {
	t.Parallel()
	_, whole := closed(t, 3)
	for name, tc := range map[string]struct {
		content []byte
		want    int
		problem string
	}{
		"empty":              {nil, 0, ""},
		"only a first line":  {[]byte(ledger.Header), 0, ""},
		"a torn end":         {whole[:len(whole)-9], 3, ""},
		"a garbled end":      {append(bytes.Clone(whole), "x\n"...), 0, "newest entry"},
		"zeros at the end":   {append(bytes.Clone(whole), make([]byte, 1<<20)...), 0, "too long"},
		"a huge line inside": {append(append(bytes.Clone(whole), make([]byte, 1<<20)...), '\n'), 0, "too long"},
		"no log":             {[]byte("hello\nworld\n"), 0, "first line"},
	} {
		dir := t.TempDir()
		write(t, dir, tc.content)
		got, err := ledger.Read(t.Context(), dir, ledger.Query{AllTenants: true})
		if tc.problem == "" {
			require.NoError(t, err, name)
			require.Len(t, got, tc.want, name)
		} else {
			require.ErrorContains(t, err, tc.problem, name)
		}
	}
	_, err := ledger.Read(t.Context(), t.TempDir(), ledger.Query{AllTenants: true})
	require.Error(t, err)
}

func TestReadHonoursItsContext(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Read(ctx, ledger.Query{AllTenants: true})
	require.ErrorIs(t, err, context.Canceled)
}

// 100,000 entries are read back to the first one, and opened, without strain.
func TestHundredThousandEntries(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("writes 50 MB")
	}
	const n = 100_000
	dir := t.TempDir()
	content := []byte(ledger.Header)
	prev := ledger.Genesis
	for i := uint64(1); i <= n; i++ {
		event := fmt.Appendf(nil, `{"v":1,"id":"%036d","time":"2026-01-02T03:04:05Z","kind":"app.x","outcome":"success","severity":"info","tenant":"acme","actor":"u%d"}`, i, i)
		hash := ledger.Link(i, prev, event)
		content = ledger.AppendLine(content, i, prev, hash, event)
		prev = hash
	}
	write(t, dir, content)
	l := open(t, dir)
	got, err := l.Read(t.Context(), ledger.Query{Tenant: "acme", Actor: "u1"})
	require.NoError(t, err)
	require.Equal(t, []uint64{1}, indexes(got))
	got, err = l.Read(t.Context(), ledger.Query{Tenant: "acme", Before: 5000, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, []uint64{4999}, indexes(got))
}
