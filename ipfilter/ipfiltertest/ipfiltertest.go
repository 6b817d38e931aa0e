// SPDX-License-Identifier: Apache-2.0

// Package ipfiltertest tests implementations of [ipfilter.RuleStore].
package ipfiltertest

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/ipfilter"
)

// Run tests the stores that newStore gives. Each call must give an empty one that is used by nothing else. The
// subtests are the sentences of the interface's comment.
func Run(t *testing.T, newStore func(t *testing.T) ipfilter.RuleStore) {
	full := func(version int64) ipfilter.Rules {
		return ipfilter.Rules{
			Version: version,
			Allow: []ipfilter.PrefixRule{
				{Prefix: "192.0.2.0/24", Label: "office", Owner: "Ümit <&>", Reason: "it's \"ours\"", Expires: time.Date(2031, 2, 3, 4, 5, 6, 789000, time.UTC)},
				{Prefix: "2001:db8::/32"},
			},
			Deny:           []ipfilter.PrefixRule{{Prefix: "192.0.2.66/32", Reason: fmt.Sprint("change ", version)}},
			AllowCountries: []string{"AM", "DE"}, DenyCountries: []string{"FR"},
			UnknownCountry: ipfilter.Pass, PrivateIsLocal: true, ReportOnly: true,
		}
	}
	load := func(t *testing.T, s ipfilter.RuleStore) ipfilter.Rules {
		t.Helper()
		r, err := s.LoadRules(t.Context())
		if err != nil {
			t.Fatalf("LoadRules: %v", err)
		}
		return r
	}
	swap := func(t *testing.T, s ipfilter.RuleStore, old int64, r ipfilter.Rules) bool {
		t.Helper()
		won, err := s.SwapRules(t.Context(), old, r)
		if err != nil {
			t.Fatalf("SwapRules(%d): %v", old, err)
		}
		return won
	}
	expect := func(t *testing.T, got, want ipfilter.Rules) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("LoadRules gives\n%+v, want\n%+v", got, want)
		}
	}

	t.Run("an empty store gives the zero Rules", func(t *testing.T) {
		expect(t, load(t, newStore(t)), ipfilter.Rules{})
	})
	t.Run("what was stored last is loaded whole", func(t *testing.T) {
		s := newStore(t)
		if !swap(t, s, 0, full(1)) {
			t.Fatal("SwapRules(0) of an empty store lost")
		}
		expect(t, load(t, s), full(1))
		if !swap(t, s, 1, ipfilter.Rules{Version: 2}) {
			t.Fatal("SwapRules(1) lost")
		}
		expect(t, load(t, s), ipfilter.Rules{Version: 2})
	})
	t.Run("a swap of another version changes nothing", func(t *testing.T) {
		s := newStore(t)
		for _, old := range []int64{1, -1} {
			if swap(t, s, old, full(old+1)) {
				t.Errorf("SwapRules(%d) of an empty store won", old)
			}
		}
		expect(t, load(t, s), ipfilter.Rules{})
		swap(t, s, 0, full(1))
		for _, old := range []int64{0, 2} {
			if swap(t, s, old, ipfilter.Rules{Version: old + 1}) {
				t.Errorf("SwapRules(%d) at version 1 won", old)
			}
		}
		expect(t, load(t, s), full(1))
	})
	t.Run("loaded and stored rules are copies", func(t *testing.T) {
		s := newStore(t)
		mine := full(1)
		swap(t, s, 0, mine)
		mine.Allow[0].Prefix, mine.DenyCountries[0] = "0.0.0.0/0", "XX"
		loaded := load(t, s)
		loaded.Deny[0].Prefix, loaded.AllowCountries[0] = "0.0.0.0/0", "XX"
		expect(t, load(t, s), full(1))
	})
	t.Run("of many swaps of one version exactly one wins", func(t *testing.T) {
		s := newStore(t)
		for round := range int64(5) {
			const racers = 20
			wins := make(chan ipfilter.Rules, racers)
			start := make(chan struct{})
			var wg sync.WaitGroup
			for i := range racers {
				wg.Go(func() {
					r := ipfilter.Rules{Version: round + 1, Deny: []ipfilter.PrefixRule{{Prefix: fmt.Sprintf("192.0.2.%d/32", i)}}}
					<-start
					won, err := s.SwapRules(t.Context(), round, r)
					if err != nil {
						t.Errorf("SwapRules: %v", err)
					}
					if won {
						wins <- r
					}
				})
			}
			close(start)
			wg.Wait()
			if len(wins) != 1 {
				t.Fatalf("%d of %d swaps of version %d won, want 1", len(wins), racers, round)
			}
			expect(t, load(t, s), <-wins)
		}
	})
	t.Run("a cancelled context is an error and changes nothing", func(t *testing.T) {
		s := newStore(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.LoadRules(ctx); err == nil {
			t.Error("LoadRules of a cancelled context gives no error")
		}
		if won, err := s.SwapRules(ctx, 0, full(1)); err == nil || won {
			t.Errorf("SwapRules of a cancelled context = %v, %v, want an error", won, err)
		}
		expect(t, load(t, s), ipfilter.Rules{})
	})
}
