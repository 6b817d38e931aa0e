// SPDX-License-Identifier: Apache-2.0

package rbactest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec/rbac"
	"github.com/portalsec/portalsec/rbac/rbactest"
	"github.com/stretchr/testify/require"
)

// faults are mistakes that a store can make, and the subtest that must find each.
var faults = map[string]string{
	"keeps whole seconds":           "List gives what Add stored, sorted by scope and role",
	"lists other tenants":           "List gives what Add stored, sorted by scope and role",
	"ignores case":                  "Texts are compared byte by byte",
	"forgets exclusion":             "Add refuses an excluded role that is held at the same time",
	"excludes for ever":             "Add refuses an excluded role that is held at the same time",
	"stores twice":                  "Add refuses a second assignment unless the first has ended",
	"never replaces":                "Add refuses a second assignment unless the first has ended",
	"counts refused adds":           "A refused Add changes nothing",
	"tests, then adds":              "Of racing Adds of exclusive roles, one wins",
	"removes silently":              "Remove returns what it deleted, once",
	"stays at its version":          "Version grows with every change and with nothing else",
	"counts before it changes":      "List shows at least the changes up to the Version before it",
	"gives nothing without context": "A method whose context has ended changes nothing",
}

const faultVariable = "PORTALSEC_RBACTEST_FAULT"

// TestFaultyStore is run by TestKitFindsFaults, in a process of its own because it must fail there. By itself it
// shows that the store of this file without a fault passes.
func TestFaultyStore(t *testing.T) {
	rbactest.Run(t, func(*testing.T) rbac.AssignmentStore {
		return &faulty{Memory: rbac.NewMemory(), fault: os.Getenv(faultVariable)}
	})
}

func TestKitFindsFaults(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	for fault, finder := range faults {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFaultyStore$", "-test.count=1")
			cmd.Env = append(os.Environ(), faultVariable+"="+fault)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "the kit passes a store that %s", fault)
			require.Contains(t, string(out), "--- FAIL: TestFaultyStore/"+strings.ReplaceAll(finder, " ", "_"))
		})
	}
}

// faulty is a store with one fault, or with none.
type faulty struct {
	*rbac.Memory
	fault string
	extra atomic.Uint64 // added to the version
}

func (s *faulty) Add(ctx context.Context, a rbac.Assignment, excluded []string) error {
	switch s.fault {
	case "keeps whole seconds":
		a.From, a.Until = a.From.Truncate(time.Second), a.Until.Truncate(time.Second)
	case "forgets exclusion":
		excluded = nil
	case "excludes for ever":
		if len(excluded) > 0 {
			list, _ := s.Memory.List(ctx, a.Tenant, a.Subject)
			if slices.ContainsFunc(list, func(h rbac.Assignment) bool { return slices.Contains(excluded, h.Role) }) {
				return rbac.ErrExclusive
			}
		}
	case "stores twice":
		_, _ = s.Memory.Remove(ctx, a.Tenant, a.Subject, a.Role, a.Scope)
	case "never replaces":
		list, _ := s.Memory.List(ctx, a.Tenant, a.Subject)
		if slices.ContainsFunc(list, func(h rbac.Assignment) bool { return h.Role == a.Role && h.Scope == a.Scope }) {
			return rbac.ErrAssigned
		}
	case "counts refused adds":
		s.extra.Add(1)
	case "tests, then adds":
		list, _ := s.Memory.List(ctx, a.Tenant, a.Subject)
		if slices.ContainsFunc(list, func(h rbac.Assignment) bool { return slices.Contains(excluded, h.Role) }) {
			return s.Memory.Add(ctx, a, excluded)
		}
		if len(excluded) > 0 {
			time.Sleep(50 * time.Millisecond) // lets the others in between; no test waits for it
		}
		return s.Memory.Add(ctx, a, nil)
	case "counts before it changes":
		s.extra.Add(1)
		time.Sleep(time.Millisecond) // as above
	}
	return s.Memory.Add(ctx, a, excluded)
}

func (s *faulty) Remove(ctx context.Context, tenant, subject, role, scope string) (rbac.Assignment, error) {
	a, err := s.Memory.Remove(ctx, tenant, subject, s.fold(role), scope)
	if s.fault == "removes silently" && errors.Is(err, rbac.ErrNotAssigned) {
		err = nil
	}
	return a, err
}

func (s *faulty) List(ctx context.Context, tenant, subject string) ([]rbac.Assignment, error) {
	switch {
	case s.fault == "gives nothing without context" && ctx.Err() != nil:
		return nil, nil
	case s.fault == "lists other tenants" && tenant == "acme":
		list, err := s.Memory.List(ctx, tenant, subject)
		more, _ := s.Memory.List(ctx, "globex", subject)
		return append(list, more...), err
	}
	return s.Memory.List(ctx, s.fold(tenant), s.fold(subject))
}

func (s *faulty) Version(ctx context.Context) (uint64, error) {
	v, err := s.Memory.Version(ctx)
	if s.fault == "stays at its version" {
		v = min(v, 1)
	}
	return v + s.extra.Load(), err
}

func (s *faulty) fold(text string) string {
	if s.fault == "ignores case" {
		return strings.ToLower(text)
	}
	return text
}
