// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/stretchr/testify/require"
)

func TestAct(t *testing.T) {
	t.Parallel()
	down := errors.New("store is down")
	for name, c := range map[string]struct {
		act    func(result *audit.Event) error
		err    error
		second audit.Event // empty when there is none
	}{
		"done":   {act: func(*audit.Event) error { return nil }},
		"failed": {act: func(*audit.Event) error { return down }, err: down, second: audit.Event{Outcome: audit.Error}},
		"failed, and says how": {
			act: func(result *audit.Event) error {
				result.Reason, result.Severity = "store", audit.Warning
				return down
			},
			err: down, second: audit.Event{Outcome: audit.Error, Reason: "store", Severity: audit.Warning},
		},
		"refused": {
			act: func(result *audit.Event) error { result.Outcome = audit.Denied; return down },
			err: down, second: audit.Event{Outcome: audit.Denied},
		},
		"somebody else was first": {
			act: func(result *audit.Event) error {
				result.Outcome, result.Reason = audit.Failure, "lost-race"
				return nil
			},
			second: audit.Event{Outcome: audit.Failure, Reason: "lost-race"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log list
			e := audit.Event{Kind: audit.MFARemoved, Tenant: "acme"}
			err := audit.Act(t.Context(), &log, e, func(_ context.Context, result *audit.Event) error {
				require.Len(t, log.events, 1, "recorded before it is done")
				return c.act(result)
			})
			if c.err == nil {
				require.NoError(t, err)
			}
			require.ErrorIs(t, err, c.err)
			require.Equal(t, audit.Success, log.events[0].Outcome)
			if c.second.Outcome == "" {
				require.Len(t, log.events, 1)
				return
			}
			require.Len(t, log.events, 2)
			second := log.events[1]
			require.Equal(t, c.second.Outcome, second.Outcome)
			require.Equal(t, c.second.Reason, second.Reason)
			if c.second.Severity != "" {
				require.Equal(t, c.second.Severity, second.Severity)
			}
			require.Equal(t, e.Tenant, second.Tenant)
			require.NotEqual(t, log.events[0].ID, second.ID)
		})
	}
}

func TestActUnrecorded(t *testing.T) {
	t.Parallel()
	full, down := errors.New("disk full"), errors.New("store is down")
	e := audit.Event{Kind: audit.MFARemoved}
	broken := audit.RecorderFunc(func(context.Context, audit.Event) error { return full })
	err := audit.Act(t.Context(), broken, e, func(context.Context, *audit.Event) error {
		t.Error("done without a record")
		return nil
	})
	require.ErrorIs(t, err, full)
	require.ErrorContains(t, err, "audit: record mfa.removed")

	later := audit.RecorderFunc(func(_ context.Context, e audit.Event) error {
		if e.Outcome == audit.Success {
			return nil
		}
		return full
	})
	err = audit.Act(t.Context(), later, e, func(context.Context, *audit.Event) error { return down })
	require.ErrorIs(t, err, down)
	require.ErrorIs(t, err, full)
}

func TestActOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
		gone := audit.RecorderFunc(func(context.Context, audit.Event) error { cancel(); return nil })
		err := audit.Act(ctx, gone, audit.Event{Kind: audit.MFARemoved}, func(ctx context.Context, _ *audit.Event) error {
			require.NoError(t, ctx.Err())
			require.Equal(t, "kept", ctx.Value(key{}))
			start := time.Now()
			<-ctx.Done()
			require.Equal(t, 15*time.Second, time.Since(start), "not for ever")
			return ctx.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
