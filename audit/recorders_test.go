// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/portalsec/portalsec/audit"
	"github.com/stretchr/testify/require"
)

// list is a recorder that keeps its events.
type list struct {
	mu     sync.Mutex
	events []audit.Event
}

func (l *list) Record(ctx context.Context, e audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, audit.Prepare(ctx, e))
	return nil
}

func TestMulti(t *testing.T) {
	t.Parallel()
	var first, last list
	broken := errors.New("disk full")
	m := audit.Multi(&first, nil, audit.RecorderFunc(func(context.Context, audit.Event) error { return broken }), &last)
	err := m.Record(t.Context(), audit.Event{Kind: audit.AuthLogin, Outcome: audit.Success})
	require.ErrorIs(t, err, broken)
	require.Len(t, first.events, 1)
	require.Equal(t, first.events, last.events, "the same event, ID and time included, also after the one that failed")
}

func TestMultiSucceedsWhenAllDo(t *testing.T) {
	t.Parallel()
	require.NoError(t, audit.Multi(&list{}, audit.Discard).Record(t.Context(), audit.Event{Kind: audit.AuthLogin}))
}

// personal fills every field of an event that may hold personal data.
func personal() audit.Event {
	return audit.Event{
		Kind: audit.AuthLogin, Outcome: audit.Failure, Reason: "wrong-password", Severity: audit.Warning, Tenant: "acme",
		Actor: "u1", OnBehalfOf: "u2", Subjects: []audit.Pseudonym{"u3"}, Session: "s1",
		Target: &audit.Target{Type: "ticket", ID: "9"}, Route: "POST /login", Status: 401, Rule: "office-hours",
		Source:  audit.Source{Addr: "192.0.2.7", Country: "AT", Network: "office", ASN: 64496},
		Changes: []audit.Change{{Field: "phone", Old: "+43 1 555", New: "+43 1 666"}},
		Details: []audit.Detail{{Name: "actor", Value: "three"}},
	}
}

func requireSafe(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{"192.0.2.7", "+43", "1 555", "1 666"} {
		require.NotContains(t, text, secret)
	}
}

func TestSlogShowsNoPersonalData(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	rec := audit.Slog(slog.New(slog.NewJSONHandler(&out, nil)))
	require.NoError(t, rec.Record(inside(t.Context()), personal()))
	requireSafe(t, out.String())

	var got map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	require.Equal(t, "auth.login", got["msg"])
	require.Equal(t, "WARN", got["level"])
	for name, want := range map[string]any{
		"outcome": "failure", "reason": "wrong-password", "tenant": "acme", "actor": "u1", "on_behalf_of": "u2",
		"subjects": []any{"u3"}, "session": "s1", "target": "ticket/9", "route": "POST /login", "status": 401.0,
		"severity": "warning", "country": "AT", "network": "office", "asn": 64496.0, "rule": "office-hours", "details": map[string]any{"actor": "three"},
	} {
		require.Equal(t, want, got[name], name)
	}
}

func TestEventLoggedWholeShowsNoPersonalData(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			e := personal()
			slog.New(handler(&out)).Info("refused", "event", e, "addr", e.Source.Addr)
			requireSafe(t, out.String())
			require.Contains(t, out.String(), "auth.login")
			require.Contains(t, out.String(), "[personal]")
		})
	}
}

func TestSlogLevels(t *testing.T) {
	t.Parallel()
	for severity, want := range map[audit.Severity]string{
		"": "INFO", audit.Info: "INFO", audit.Notice: "INFO", audit.Warning: "WARN", audit.Critical: "ERROR",
	} {
		var out bytes.Buffer
		rec := audit.Slog(slog.New(slog.NewTextHandler(&out, nil)))
		require.NoError(t, rec.Record(t.Context(), audit.Event{Kind: audit.AuthLogin, Severity: severity}))
		require.Contains(t, out.String(), "level="+want+" ")
	}
}

// The default logger is shared by the whole process, so this test does not run beside others.
func TestNilRecordersUseTheDefaultLogger(t *testing.T) {
	var out bytes.Buffer
	old := slog.Default()
	t.Cleanup(func() { slog.SetDefault(old) })
	nilSlog, emptyMulti := audit.Slog(nil), audit.Multi(nil)
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil))) // after they were made
	require.NoError(t, nilSlog.Record(t.Context(), audit.Event{Kind: audit.AuthLogin}))
	require.NoError(t, emptyMulti.Record(t.Context(), audit.Event{Kind: audit.AuthLogout}))
	require.Contains(t, out.String(), "msg=auth.login ")
	require.Contains(t, out.String(), "msg=auth.logout ")
}
