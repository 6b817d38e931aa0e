// SPDX-License-Identifier: Apache-2.0

package retention_test

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/portalsec/portalsec/retention"
	"github.com/portalsec/portalsec/retention/retentiontest"
	"github.com/stretchr/testify/require"
)

// broken is a store that breaks one of the rules where a function is set.
type broken struct {
	*retention.Memory
	state   func(retention.State) retention.State
	begin   func(fresh, got retention.Run, err error) (retention.Run, error)
	advance func(retention.Run) retention.Run
	ends    func(retention.Run) retention.Run
	lost    func(error) error
}

func (b *broken) State(ctx context.Context, policy string) (retention.State, error) {
	st, err := b.Memory.State(ctx, policy)
	if b.state != nil {
		st = b.state(st)
	}
	return st, err
}

func (b *broken) BeginRun(ctx context.Context, fresh retention.Run, now, until time.Time) (retention.Run, error) {
	got, err := b.Memory.BeginRun(ctx, fresh, now, until)
	if b.begin != nil {
		return b.begin(fresh, got, err)
	}
	return got, err
}

func (b *broken) AdvanceRun(ctx context.Context, tx *sql.Tx, r retention.Run, now, until time.Time) error {
	if b.advance != nil {
		r = b.advance(r)
	}
	err := b.Memory.AdvanceRun(ctx, tx, r, now, until)
	if b.lost != nil {
		return b.lost(err)
	}
	return err
}

func (b *broken) EndRun(ctx context.Context, r retention.Run, now time.Time) error {
	if b.ends != nil {
		r = b.ends(r)
	}
	return b.Memory.EndRun(ctx, r, now)
}

var brokenStores = map[string]broken{
	"forgives a lost lease": {lost: func(error) error { return nil }},
	"begins without an approval": {begin: func(fresh, got retention.Run, err error) (retention.Run, error) {
		if err == retention.ErrNotApproved {
			return fresh, nil
		}
		return got, err
	}},
	"gives the lease to two": {begin: func(fresh, got retention.Run, err error) (retention.Run, error) {
		if err == retention.ErrBusy {
			return fresh, nil
		}
		return got, err
	}},
	"starts from the beginning again": {begin: func(_, got retention.Run, err error) (retention.Run, error) {
		got.Cursor = ""
		return got, err
	}},
	"moves the cutoff of a run": {begin: func(fresh, got retention.Run, err error) (retention.Run, error) {
		got.Cutoff = fresh.Cutoff
		return got, err
	}},
	"forgets the counts":    {advance: func(r retention.Run) retention.Run { r.Deleted = 0; return r }},
	"forgets the cascades":  {advance: func(r retention.Run) retention.Run { r.Cascaded = nil; return r }},
	"forgets the remainder": {ends: func(r retention.Run) retention.Run { r.Remaining = 0; return r }},
	"ends what goes on": {ends: func(r retention.Run) retention.Run {
		if r.Finished.IsZero() {
			r.Finished = r.Started
		}
		return r
	}},
	"keeps whole seconds": {state: func(s retention.State) retention.State {
		s.Approval.At = s.Approval.At.Truncate(time.Second)
		return s
	}},
	"forgets who approved": {state: func(s retention.State) retention.State { s.Approval.By = ""; return s }},
	"never sees":           {state: func(s retention.State) retention.State { s.Seen = time.Time{}; return s }},
}

const brokenStore = "PORTALSEC_TEST_BROKEN_STORE"

// TestBrokenStoreChild is the child process: the kit must fail in it.
func TestBrokenStoreChild(t *testing.T) {
	b, ok := brokenStores[os.Getenv(brokenStore)]
	if !ok {
		t.Skip("it is started by TestKitCatchesBrokenStores")
	}
	retentiontest.Run(t, func(*testing.T) retention.Store {
		fresh := b
		fresh.Memory = retention.NewMemory()
		return &fresh
	})
}

func TestKitCatchesBrokenStores(t *testing.T) {
	t.Parallel()
	for name := range brokenStores {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBrokenStoreChild$")
		cmd.Env = append(os.Environ(), brokenStore+"="+name)
		out, err := cmd.CombinedOutput()
		require.Error(t, err, "the kit lets a store pass that %s", name)
		require.Contains(t, string(out), "--- FAIL: TestBrokenStoreChild/", name)
	}
}
