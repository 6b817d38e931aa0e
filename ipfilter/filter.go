// SPDX-License-Identifier: Apache-2.0

package ipfilter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// Config is what a [Filter] is made of.
type Config struct {
	// Rules are in force at first, and as long as Store has none.
	Rules Rules
	// Store keeps the rules that [Filter.SetRules] sets. With a store, [Filter.Load] must be called before the first
	// request. Nil keeps them until the process ends, and Load is not needed.
	Store RuleStore
	// Country tells countries. Nil is right only where there are no country rules.
	Country *CountryDB
	// Audit records refusals and changes of the rules. Nil is [audit.Slog] with the default logger.
	Audit audit.Recorder
	// Deny answers refused requests. Nil is [portalsec.Deny].
	Deny portalsec.DenyFunc
	// Clock tells when rules expire. Nil is the system's.
	Clock portalsec.Clock
}

// Filter decides who may come in. It may be used by several goroutines.
type Filter struct {
	c       Config
	current atomic.Pointer[compiled] // nil until loaded
	mu      sync.Mutex               // held while rules are loaded and set; requests never wait for it
}

// New checks c and gives a Filter. Rules that cannot be, and country rules without [Config.Country], are errors.
func New(c Config) (*Filter, error) {
	if c.Audit == nil {
		c.Audit = audit.Slog(nil)
	}
	if c.Deny == nil {
		c.Deny = portalsec.Deny
	}
	f := &Filter{c: c}
	rules, err := c.Rules.normalise()
	if err != nil {
		return nil, &RuleError{err}
	}
	f.c.Rules = rules
	compiled, err := compile(rules, c.Country, c.Clock.Now())
	if err != nil {
		return nil, &RuleError{err}
	}
	if c.Store == nil {
		f.c.Store = &Memory{rules: rules}
		f.current.Store(compiled)
	}
	return f, nil
}

// Load reads the rules from [Config.Store] and puts them in force. A portal of several processes calls it to see
// what another one has set. When it fails the rules stay as they were; where none were loaded yet, every
// request is refused with status 503.
func (f *Filter) Load(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load(ctx)
}

func (f *Filter) load(ctx context.Context) error {
	rules, err := f.c.Store.LoadRules(ctx)
	if err != nil {
		return fmt.Errorf("ipfilter: load rules: %w", err)
	}
	if c := f.current.Load(); c != nil && c.rules.Version == rules.Version {
		return nil
	}
	if rules.Version == 0 {
		rules = f.c.Rules.clone()
		rules.Version = 0
	}
	if rules, err = rules.normalise(); err != nil {
		return fmt.Errorf("ipfilter: stored rules: %w", err)
	}
	compiled, err := compile(rules, f.c.Country, f.c.Clock.Now())
	if err != nil {
		return fmt.Errorf("ipfilter: stored rules: %w", err)
	}
	f.current.Store(compiled)
	return nil
}

// Rules gives the rules in force, with their version. The caller may change what it gets.
func (f *Filter) Rules() Rules {
	c := f.current.Load()
	if c == nil {
		return f.c.Rules.clone()
	}
	return c.rules.clone()
}

// SetRules stores rules and puts them in force for every request that comes after. rules.Version must be that of
// the rules that were edited, else it returns [ErrConflict]. acting is the address that the change is made from:
// if the new rules would refuse it, or it is not known, it returns [ErrLockout]. The change is recorded before it is
// made, as [audit.NetworkRulesChanged], and is not made when that fails. Rules that cannot be are a *[RuleError].
// Whatever the error, the rules in force
// are those before, or newer ones of somebody else.
func (f *Filter) SetRules(ctx context.Context, rules Rules, acting netip.Addr) error {
	rules, err := rules.normalise()
	if err != nil {
		return &RuleError{err}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(ctx); err != nil {
		return err
	}
	before, old := f.current.Load(), rules.Version
	if old != before.rules.Version {
		return ErrConflict
	}
	rules.Version = old + 1
	after, err := compile(rules, f.c.Country, f.c.Clock.Now())
	if err != nil {
		return &RuleError{err}
	}
	if !rules.ReportOnly && after.judge(acting, f.c.Country).reason != "" {
		return ErrLockout
	}
	event := audit.Event{
		Kind: audit.NetworkRulesChanged, Severity: audit.Notice,
		Target: &audit.Target{Type: "network-rules", ID: strconv.FormatInt(rules.Version, 10)}, Changes: changes(before.rules, rules),
	}
	return audit.Act(ctx, f.c.Audit, event, func(ctx context.Context, result *audit.Event) error {
		won, err := f.c.Store.SwapRules(ctx, old, rules)
		switch {
		case err != nil:
			result.Reason, result.Changes = "store-failed", nil
			return fmt.Errorf("ipfilter: set rules: %w", err)
		case !won:
			result.Outcome, result.Reason, result.Changes = audit.Failure, "conflict", nil
			return errors.Join(ErrConflict, f.load(ctx))
		}
		f.current.Store(after)
		return nil
	})
}

// rulesNow gives the rules in force now, without those that have expired.
func (f *Filter) rulesNow() *compiled {
	c := f.current.Load()
	if c == nil || c.until.IsZero() {
		return c
	}
	now := f.c.Clock.Now()
	if now.Before(c.until) {
		return c
	}
	next, err := compile(c.rules, f.c.Country, now)
	if err != nil {
		return c // cannot be: these rules were compiled before
	}
	// If this fails another request was first, or the rules were set meanwhile; theirs are as new or newer.
	f.current.CompareAndSwap(c, next)
	return f.current.Load()
}

// Check tells whether a request may come in by the address of its origin ([portalsec.OriginFrom]). An error is an
// *[RefusedError] or [ErrNotLoaded]. Under [Rules.ReportOnly] it refuses only while the rules are not loaded. It
// records nothing and, while no rule expires, allocates nothing.
func (f *Filter) Check(r *http.Request) error {
	c := f.rulesNow()
	if c == nil {
		return ErrNotLoaded
	}
	origin, _ := portalsec.OriginFrom(r.Context())
	v := c.judge(origin.Addr, f.c.Country)
	if v.reason == "" || c.rules.ReportOnly {
		return nil
	}
	return refusals[v.reason]
}
