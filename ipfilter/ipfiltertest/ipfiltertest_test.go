// SPDX-License-Identifier: Apache-2.0

package ipfiltertest_test

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/ipfilter"
	"github.com/portalsec/portalsec/ipfilter/ipfiltertest"
	"github.com/stretchr/testify/require"
)

// broken is a store with one fault.
type broken struct {
	fault string
	mu    sync.Mutex
	rules ipfilter.Rules
}

func (b *broken) LoadRules(ctx context.Context) (ipfilter.Rules, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != "context ignored" && ctx.Err() != nil {
		return ipfilter.Rules{}, ctx.Err()
	}
	if b.fault == "shared slices" {
		return b.rules, nil
	}
	return clone(b.rules), nil
}

func (b *broken) SwapRules(ctx context.Context, old int64, r ipfilter.Rules) (bool, error) {
	if b.fault != "context ignored" && ctx.Err() != nil {
		return false, ctx.Err()
	}
	b.mu.Lock()
	same := b.rules.Version == old
	if b.fault == "compare and store apart" {
		b.mu.Unlock()
		time.Sleep(time.Millisecond) // a round trip to a server: the window of the race
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	switch b.fault {
	case "version ignored":
		same = true
	case "only newer":
		same = old >= b.rules.Version
	case "a field lost":
		for i := range r.Allow {
			r.Allow[i].Owner = ""
		}
	}
	if !same {
		return false, nil
	}
	b.rules = clone(r)
	if b.fault == "shared slices" {
		b.rules = r
	}
	return true, nil
}

func clone(r ipfilter.Rules) ipfilter.Rules {
	r.Allow = append([]ipfilter.PrefixRule(nil), r.Allow...)
	r.Deny = append([]ipfilter.PrefixRule(nil), r.Deny...)
	r.AllowCountries = append([]string(nil), r.AllowCountries...)
	r.DenyCountries = append([]string(nil), r.DenyCountries...)
	return r
}

const variable = "IPFILTERTEST_FAULT"

// TestStore is the test that TestKit runs in a process of its own, because a failure cannot be taken back.
func TestStore(t *testing.T) {
	fault, set := os.LookupEnv(variable)
	if !set {
		t.Skip("run by TestKit")
	}
	ipfiltertest.Run(t, func(*testing.T) ipfilter.RuleStore { return &broken{fault: fault} })
}

// TestKit finds each fault, and none in the store without one.
func TestKit(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"", "context ignored", "shared slices", "compare and store apart", "version ignored", "only newer", "a field lost"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestStore$")
		cmd.Env = append(os.Environ(), variable+"="+fault)
		out, err := cmd.CombinedOutput()
		if fault == "" {
			require.NoError(t, err, "%s", out)
			continue
		}
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "a store with %s passes", fault)
		require.Contains(t, string(out), "--- FAIL", fault)
	}
}
