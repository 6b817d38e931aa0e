// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/stretchr/testify/require"
)

// inside is a context as a handler sees it.
func inside(ctx context.Context) context.Context {
	ctx = portalsec.WithPrincipal(ctx, portalsec.Principal{ID: "u1", Tenant: "acme", Session: "s1"})
	return portalsec.WithOrigin(ctx, portalsec.Origin{
		Addr: netip.MustParseAddr("192.0.2.7"), Country: "AT", Network: "office", ASN: 64496,
	})
}

func TestPrepareFillsTheEnvelope(t *testing.T) {
	t.Parallel()
	before := time.Now()
	e := audit.Prepare(inside(t.Context()), audit.Event{Kind: audit.AuthLogin, Outcome: audit.Success})
	require.Equal(t, audit.Version, e.Version)
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, e.ID)
	require.WithinRange(t, e.Time, before.Add(-time.Second), time.Now())
	require.Equal(t, time.UTC, e.Time.Location())
	require.Equal(t, audit.Info, e.Severity)
	require.Equal(t, "acme", e.Tenant)
	require.Equal(t, audit.Pseudonym("u1"), e.Actor)
	require.Empty(t, e.OnBehalfOf)
	require.Equal(t, audit.Pseudonym("s1"), e.Session)
	require.Equal(t, audit.Source{Addr: "192.0.2.7", Country: "AT", Network: "office", ASN: 64496}, e.Source)
}

func TestPrepareOutsideARequest(t *testing.T) {
	t.Parallel()
	e := audit.Prepare(t.Context(), audit.Event{Kind: audit.RetentionRun, Outcome: audit.Success})
	require.NotEmpty(t, e.ID)
	require.Empty(t, e.Actor)
	require.Empty(t, e.Trace)
	require.Equal(t, audit.Source{}, e.Source)
}

func TestPrepareChangesNothingThatIsSet(t *testing.T) {
	t.Parallel()
	set := audit.Event{
		Version: 7, ID: "id", Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Kind: audit.AuthLogin,
		Outcome: audit.Failure, Severity: audit.Critical, Tenant: "other", Actor: "a", OnBehalfOf: "b",
		Session: "s", Method: "GET", Route: "/x", Trace: "t", Source: audit.Source{Country: "DE"},
	}
	require.Equal(t, set, audit.Prepare(inside(t.Context()), set))

	once := audit.Prepare(inside(t.Context()), audit.Event{Kind: audit.AuthLogin})
	require.Equal(t, once, audit.Prepare(inside(t.Context()), once), "the second time it does nothing")
}

func TestPrepareImpersonation(t *testing.T) {
	t.Parallel()
	ctx := portalsec.WithPrincipal(t.Context(), portalsec.Principal{ID: "customer", Impersonator: "staff"})
	e := audit.Prepare(ctx, audit.Event{})
	require.Equal(t, audit.Pseudonym("staff"), e.Actor, "who sits at the keyboard")
	require.Equal(t, audit.Pseudonym("customer"), e.OnBehalfOf)

	e = audit.Prepare(ctx, audit.Event{OnBehalfOf: "another"})
	require.Equal(t, audit.Pseudonym("staff"), e.Actor)
	require.Equal(t, audit.Pseudonym("another"), e.OnBehalfOf)
}

func TestPrepareGivesEachEventAnID(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		seen[audit.Prepare(t.Context(), audit.Event{}).ID] = true
	}
	require.Len(t, seen, 1000)
}

func TestEventAsJSON(t *testing.T) {
	t.Parallel()
	e := audit.Prepare(inside(t.Context()), audit.Event{
		Kind: "app.ticket_closed", Outcome: audit.Success, Target: &audit.Target{Type: "ticket", ID: "9"},
		Subjects: []audit.Pseudonym{"u2"}, Changes: []audit.Change{{Field: "state", Old: "open", New: "closed"}},
		Details: []audit.Detail{{Name: "text", Value: "line\nfeed\x00\x1b[2J"}},
	})
	b, err := json.Marshal(e)
	require.NoError(t, err)
	for _, c := range b {
		require.GreaterOrEqual(t, c, byte(' '), "control characters are escaped")
	}
	var back audit.Event
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, e, back)

	b, err = json.Marshal(audit.Event{Kind: audit.LogOpened, Outcome: audit.Success})
	require.NoError(t, err)
	require.NotContains(t, string(b), "source", "what is empty is left out")
}

func TestForRequest(t *testing.T) {
	t.Parallel()
	r := &http.Request{Method: "POST", Pattern: "POST /tickets/{id}"}
	require.Equal(t, audit.Event{Kind: audit.NetworkRefused, Outcome: audit.Denied, Method: "POST", Route: "POST /tickets/{id}"},
		audit.ForRequest(r, audit.NetworkRefused, audit.Denied))
}
