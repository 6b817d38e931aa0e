// SPDX-License-Identifier: Apache-2.0

package sessiontest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/session/sessiontest"
)

// broken are stores with one mistake each. The kit must find every one.
var broken = map[string]func(*session.Memory) session.Store{
	"touch writes back what it read":      func(m *session.Memory) session.Store { return writesBack{m} },
	"touch knows no end":                  func(m *session.Memory) session.Store { return endless{m} },
	"rotate adds and leaves the old":      func(m *session.Memory) session.Store { return leavesOld{m} },
	"rotate looks before it writes":       func(m *session.Memory) session.Store { return looksFirst{m} },
	"create looks at the version first":   func(m *session.Memory) session.Store { return staleCreate{m} },
	"bump removes and counts nothing up":  func(m *session.Memory) session.Store { return noVersion{m} },
	"delete does not ask whose it is":     func(m *session.Memory) session.Store { return anybodys{m} },
	"tenants are compared by their start": func(m *session.Memory) session.Store { return byPrefix{m} },
}

// latency is a round trip to a server: the window of a race.
func latency() { time.Sleep(time.Millisecond) }

type writesBack struct{ *session.Memory }

func (s writesBack) TouchSession(ctx context.Context, h session.Hash, t session.Touch) (session.Record, error) {
	never := t
	never.WriteBefore = time.Time{}
	r, err := s.Memory.TouchSession(ctx, h, never)
	if err != nil || !r.LastSeen.Before(t.WriteBefore) || !r.LastSeen.Before(t.Now) {
		return r, err
	}
	latency()
	r.LastSeen = t.Now
	return r, s.Memory.CreateSession(ctx, r, 1)
}

type endless struct{ *session.Memory }

func (s endless) TouchSession(ctx context.Context, h session.Hash, t session.Touch) (session.Record, error) {
	t.AliveAfter = time.Time{}
	return s.Memory.TouchSession(ctx, h, t)
}

type leavesOld struct{ *session.Memory }

func (s leavesOld) RotateSession(ctx context.Context, old session.Hash, next session.Record) error {
	r, err := s.get(ctx, old)
	if err != nil {
		return err
	}
	r.Token, r.Factors, r.AuthTime, r.LastSeen = next.Token, next.Factors, next.AuthTime, next.LastSeen
	v, _ := s.UserVersion(ctx, r.Tenant, r.User)
	return s.CreateSession(ctx, r, v)
}

func (s leavesOld) get(ctx context.Context, h session.Hash) (session.Record, error) {
	return s.TouchSession(ctx, h, session.Touch{})
}

type looksFirst struct{ *session.Memory }

func (s looksFirst) RotateSession(ctx context.Context, old session.Hash, next session.Record) error {
	r, err := s.TouchSession(ctx, old, session.Touch{})
	if err != nil {
		return err
	}
	latency()
	if _, err := s.DeleteSession(ctx, r.Tenant, r.User, r.ID); err != nil {
		return err
	}
	r.Token, r.Factors, r.AuthTime, r.LastSeen = next.Token, next.Factors, next.AuthTime, next.LastSeen
	v, _ := s.UserVersion(ctx, r.Tenant, r.User)
	return s.CreateSession(ctx, r, v)
}

type staleCreate struct{ *session.Memory }

func (s staleCreate) CreateSession(ctx context.Context, r session.Record, version int64) error {
	present, err := s.UserVersion(ctx, r.Tenant, r.User)
	if err != nil {
		return err
	}
	if present != version {
		return session.ErrNoSession
	}
	latency()
	present, _ = s.UserVersion(ctx, r.Tenant, r.User)
	return s.Memory.CreateSession(ctx, r, present)
}

type noVersion struct{ *session.Memory }

func (s noVersion) UserVersion(ctx context.Context, _, _ string) (int64, error) { return 1, ctx.Err() }

type anybodys struct{ *session.Memory }

func (s anybodys) DeleteSession(ctx context.Context, tenant, user, id string) (bool, error) {
	for _, u := range []string{user, "ann", "bob"} {
		if ok, err := s.Memory.DeleteSession(ctx, tenant, u, id); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

type byPrefix struct{ *session.Memory }

func (s byPrefix) DeleteTenant(ctx context.Context, tenant string) (int, error) {
	n, err := s.Memory.DeleteTenant(ctx, tenant)
	more, _ := s.Memory.DeleteTenant(ctx, tenant+"/berlin")
	return n + more, err
}

const variable = "PORTALSEC_BROKEN_STORE"

// TestKitFindsBrokenStores runs the kit on each of them in a process of its own, where it must fail.
func TestKitFindsBrokenStores(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestBrokenStore$")
			cmd.Env = append(os.Environ(), variable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestBrokenStore/") {
				t.Errorf("the kit found nothing: %v\n%s", err, out)
			}
		})
	}
}

// TestBrokenStore is what TestKitFindsBrokenStores runs.
func TestBrokenStore(t *testing.T) {
	b, ok := broken[os.Getenv(variable)]
	if !ok {
		t.Skip("run by TestKitFindsBrokenStores")
	}
	sessiontest.Run(t, func(*testing.T) session.Store { return b(session.NewMemory()) })
}
