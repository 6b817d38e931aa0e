// SPDX-License-Identifier: Apache-2.0

package ipfilter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/ipfilter"
	"github.com/portalsec/portalsec/ipfilter/ipfiltertest"
	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	ipfiltertest.Run(t, func(*testing.T) ipfilter.RuleStore { return ipfilter.NewMemory() })
}

// from gives a request whose client has an address; none when empty.
func from(addr string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if addr == "" {
		return r
	}
	return r.WithContext(portalsec.WithOrigin(r.Context(), portalsec.Origin{Addr: netip.MustParseAddr(addr)}))
}

// reason gives the reason of a refusal, empty when there is none.
func reason(t *testing.T, err error) ipfilter.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var refused *ipfilter.RefusedError
	require.ErrorAs(t, err, &refused)
	return refused.Reason
}

func prefixes(list ...string) []ipfilter.PrefixRule {
	var rules []ipfilter.PrefixRule
	for _, p := range list {
		rules = append(rules, ipfilter.PrefixRule{Prefix: p})
	}
	return rules
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	db := countries(t)
	const in = ipfilter.Reason("")
	var (
		none        = ipfilter.Rules{}
		deny        = ipfilter.Rules{Deny: prefixes("198.51.100.0/24", "2001:db8:bad::/48", "192.0.2.66")}
		allow       = ipfilter.Rules{Allow: prefixes("192.0.2.0/24", "2001:db8::/32", "10.0.0.0/8")}
		mixed       = ipfilter.Rules{Allow: prefixes("0.0.0.0/0", "198.51.100.7", "203.0.113.0/24"), Deny: prefixes("198.51.100.0/24", "203.0.113.0/24")}
		german      = ipfilter.Rules{AllowCountries: []string{"de", "AM"}}
		notFrench   = ipfilter.Rules{DenyCountries: []string{"FR"}}
		both        = ipfilter.Rules{AllowCountries: []string{"DE", "FR"}, DenyCountries: []string{"FR"}}
		lax         = ipfilter.Rules{DenyCountries: []string{"FR"}, UnknownCountry: ipfilter.Pass}
		australian  = ipfilter.Rules{AllowCountries: []string{"AU"}}
		local       = ipfilter.Rules{AllowCountries: []string{"DE"}, PrivateIsLocal: true}
		allowFrench = ipfilter.Rules{Allow: prefixes("203.0.113.0/24"), AllowCountries: []string{"DE"}}
		reportOnly  = ipfilter.Rules{Deny: prefixes("0.0.0.0/0", "::/0"), ReportOnly: true}
		expired     = ipfilter.Rules{Allow: []ipfilter.PrefixRule{{Prefix: "192.0.2.0/24", Expires: time.Unix(1, 0)}}}
		denyExpired = ipfilter.Rules{Deny: []ipfilter.PrefixRule{{Prefix: "192.0.2.0/24", Expires: time.Unix(1, 0)}}}
	)
	for _, c := range []struct {
		name  string
		rules ipfilter.Rules
		addr  string
		want  ipfilter.Reason
	}{
		{"no rules", none, "198.51.100.1", in},
		{"no rules, IPv6", none, "2001:db8::1", in},
		{"no rules, client unknown", none, "", ipfilter.ClientUnknown},
		{"deny", deny, "198.51.100.1", ipfilter.PrefixDenied},
		{"deny mapped", deny, "::ffff:198.51.100.1", ipfilter.PrefixDenied},
		{"deny one address", deny, "192.0.2.66", ipfilter.PrefixDenied},
		{"deny another address", deny, "192.0.2.67", in},
		{"deny IPv6", deny, "2001:db8:bad::1", ipfilter.PrefixDenied},
		{"deny others", deny, "2001:db8::1", in},
		{"deny, client unknown", deny, "", ipfilter.ClientUnknown},
		{"allow", allow, "192.0.2.1", in},
		{"allow IPv6", allow, "2001:db8::1", in},
		{"allow others", allow, "198.51.100.1", ipfilter.NotInAllowlist},
		{"allow, loopback is no exception", allow, "127.0.0.1", ipfilter.NotInAllowlist},
		{"allow, 6to4 of an allowed one", allow, "2002:c000:201::1", ipfilter.NotInAllowlist},
		{"longest is allow", mixed, "198.51.100.7", in},
		{"longest is deny", mixed, "198.51.100.8", ipfilter.PrefixDenied},
		{"equal length", mixed, "203.0.113.1", ipfilter.PrefixDenied},
		{"shortest", mixed, "192.0.2.1", in},
		{"IPv4 default is not IPv6", mixed, "2001:db8::1", ipfilter.NotInAllowlist},
		{"expired allow lets nobody in", expired, "192.0.2.1", ipfilter.NotInAllowlist},
		{"expired deny", denyExpired, "192.0.2.1", in},
		{"country allowed", german, "198.51.100.1", in},
		{"country allowed, IPv6", german, "2001:db8::1", in},
		{"country allowed, mapped", german, "::ffff:198.51.100.1", in},
		{"country not allowed", german, "203.0.113.1", ipfilter.CountryDenied},
		{"country not allowed, IPv6", german, "2001:db8:f::1", ipfilter.CountryDenied},
		{"country not in the file", german, "8.8.8.8", ipfilter.CountryUnknown},
		{"EU is no country", german, "203.0.113.65", ipfilter.CountryUnknown},
		{"country, client unknown", german, "", ipfilter.ClientUnknown},
		{"country denied", notFrench, "203.0.113.1", ipfilter.CountryDenied},
		{"country not denied", notFrench, "198.51.100.1", in},
		{"country unknown with deny", notFrench, "8.8.8.8", ipfilter.CountryUnknown},
		{"country in both lists", both, "203.0.113.1", ipfilter.CountryDenied},
		{"country in one list", both, "198.51.100.1", in},
		{"unknown passes", lax, "8.8.8.8", in},
		{"unknown passes, denied does not", lax, "203.0.113.1", ipfilter.CountryDenied},
		{"unknown passes, 6to4", lax, "2002:cb00:7101::1", in},
		{"prefix is no exception to country", allowFrench, "203.0.113.1", ipfilter.CountryDenied},
		{"country is no exception to prefix", allowFrench, "198.51.100.1", ipfilter.NotInAllowlist},
		{"loopback", german, "127.0.0.1", in},
		{"loopback IPv6", german, "::1", in},
		{"loopback mapped", german, "::ffff:127.0.0.1", in},
		{"loopback of a bad file", ipfilter.Rules{DenyCountries: []string{"AU"}}, "127.0.0.1", in},
		{"private", german, "192.168.0.1", ipfilter.CountryUnknown},
		{"private is not Australia", australian, "192.168.1.1", ipfilter.CountryUnknown},
		{"private IPv6 is not Australia", australian, "fd00::1", ipfilter.CountryUnknown},
		{"carrier-grade NAT is not Australia", australian, "100.64.0.1", ipfilter.CountryUnknown},
		{"NAT64 is not Australia", australian, "64:ff9b::1.2.3.4", ipfilter.CountryUnknown},
		{"private is local", local, "192.168.0.1", in},
		{"private is local, IPv6", local, "fd00::1", in},
		{"private is local, link-local with zone", local, "fe80::1%eth0", in},
		{"private is local, carrier-grade NAT is not", local, "100.64.0.1", ipfilter.CountryUnknown},
		{"6to4 of an allowed country", german, "2002:c633:6401::1", ipfilter.CountryUnknown},
		{"Teredo of an allowed country", german, "2001:0:c633:6401::1", ipfilter.CountryUnknown},
		{"NAT64 of an allowed country", german, "64:ff9b::198.51.100.1", ipfilter.CountryUnknown},
		{"local NAT64", german, "64:ff9b:1::198.51.100.1", ipfilter.CountryUnknown},
		{"compatible with an allowed country", german, "::198.51.100.1", ipfilter.CountryUnknown},
		{"report only", reportOnly, "198.51.100.1", in},
		{"report only, client unknown", reportOnly, "", in},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, err := ipfilter.New(ipfilter.Config{Rules: c.rules, Country: db, Audit: audit.Discard})
			require.NoError(t, err)
			require.Equal(t, c.want, reason(t, f.Check(from(c.addr))))
			if c.addr != "" && !c.rules.ReportOnly {
				e := f.Explain(netip.MustParseAddr(c.addr))
				require.Equal(t, c.want, e.Reason)
				require.Equal(t, c.want == in, e.Allowed)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for want, rules := range map[string]ipfilter.Rules{
		`Rules.Allow[1]: "10.0.0.0/33"`:      {Allow: prefixes("10.0.0.0/8", "10.0.0.0/33")},
		`Rules.Deny[0]: ""`:                  {Deny: prefixes("")},
		`Rules.Deny[2]: "example.org"`:       {Deny: prefixes("10.0.0.1", "::1", "example.org")},
		`Rules.AllowCountries[1]: "UK"`:      {AllowCountries: []string{"GB", "UK"}},
		`Rules.DenyCountries[0]: "DEU"`:      {DenyCountries: []string{"DEU"}},
		`Rules.DenyCountries[0]: ""`:         {DenyCountries: []string{""}},
		`Rules.UnknownCountry: "allow"`:      {UnknownCountry: "allow"},
		`Config.Country is required`:         {AllowCountries: []string{"DE"}},
		`Config.Country is required by the `: {DenyCountries: []string{"DE"}},
	} {
		_, err := ipfilter.New(ipfilter.Config{Rules: rules})
		require.ErrorContains(t, err, want)
		f, err := ipfilter.New(ipfilter.Config{Audit: audit.Discard})
		require.NoError(t, err)
		require.ErrorContains(t, f.SetRules(t.Context(), rules, netip.MustParseAddr("192.0.2.1")), want)
		require.Equal(t, ipfilter.Rules{}, f.Rules())
	}
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	var events []audit.Event
	record := audit.RecorderFunc(func(ctx context.Context, e audit.Event) error {
		events = append(events, audit.Prepare(ctx, e))
		return nil
	})
	rules := ipfilter.Rules{
		Allow: []ipfilter.PrefixRule{{Prefix: "0.0.0.0/0"}, {Prefix: "198.51.100.0/25", Label: "office"}},
		Deny:  []ipfilter.PrefixRule{{Prefix: "198.51.100.66", Label: "printer"}}, AllowCountries: []string{"DE"},
	}
	f, err := ipfilter.New(ipfilter.Config{Rules: rules, Country: countries(t), Audit: record})
	require.NoError(t, err)
	var got portalsec.Origin
	reached := false
	h := f.Middleware()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached = true
		got, _ = portalsec.OriginFrom(r.Context())
	}))
	serve := func(r *http.Request) *httptest.ResponseRecorder {
		reached, events = false, nil
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}

	require.Equal(t, http.StatusOK, serve(from("198.51.100.1")).Code)
	require.True(t, reached)
	require.Equal(t, portalsec.Origin{Addr: netip.MustParseAddr("198.51.100.1"), Country: "DE", Network: "office"}, got)
	require.Empty(t, events)

	w := serve(from("198.51.100.66"))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.False(t, reached)
	require.NotContains(t, w.Body.String(), "prefix")
	require.NotContains(t, w.Body.String(), "198.51")
	require.Len(t, events, 1)
	require.Equal(t, audit.NetworkRefused, events[0].Kind)
	require.Equal(t, audit.Denied, events[0].Outcome)
	require.Equal(t, "prefix-denied", events[0].Reason)
	require.Equal(t, `deny[0] 198.51.100.66/32 "printer"`, events[0].Rule)
	require.Equal(t, audit.Source{Addr: "198.51.100.66", Country: "DE", Network: "printer"}, events[0].Source)

	same := w.Body.String()
	for addr, want := range map[string]string{"203.0.113.1": "country-denied", "8.8.8.8": "country-unknown", "2001:db8::1": "not-in-allowlist", "": "client-unknown"} {
		w := serve(from(addr))
		require.Equal(t, http.StatusForbidden, w.Code)
		require.False(t, reached)
		require.Equal(t, same, w.Body.String(), "the public answer tells the reason")
		require.Len(t, events, 1)
		require.Equal(t, want, events[0].Reason)
		require.Empty(t, events[0].Rule)
	}

	rules.ReportOnly = true
	require.NoError(t, f.SetRules(t.Context(), rules, netip.Addr{}))
	require.Equal(t, http.StatusOK, serve(from("203.0.113.1")).Code)
	require.True(t, reached)
	require.Equal(t, "FR", got.Country)
	require.Len(t, events, 1)
	require.Equal(t, audit.Success, events[0].Outcome)
	require.Equal(t, "country-denied", events[0].Reason)
}

// TestMiddlewareWithoutAudit refuses although the recorder fails.
func TestMiddlewareWithoutAudit(t *testing.T) {
	t.Parallel()
	f, err := ipfilter.New(ipfilter.Config{
		Rules: ipfilter.Rules{Deny: prefixes("0.0.0.0/0")}, Audit: failing,
		Deny: func(w http.ResponseWriter, _ *http.Request, d portalsec.Denial) { w.WriteHeader(d.Status + 10) },
	})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	f.Middleware()(http.NotFoundHandler()).ServeHTTP(w, from("192.0.2.1"))
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
}

var failing = audit.RecorderFunc(func(context.Context, audit.Event) error { return errors.New("disk full") })

func TestSetRules(t *testing.T) {
	t.Parallel()
	var events []audit.Event
	record := audit.RecorderFunc(func(_ context.Context, e audit.Event) error { events = append(events, e); return nil })
	store := ipfilter.NewMemory()
	f, err := ipfilter.New(ipfilter.Config{Store: store, Audit: record, Rules: ipfilter.Rules{Deny: prefixes("203.0.113.0/24")}})
	require.NoError(t, err)
	admin := netip.MustParseAddr("192.0.2.1")

	// Until the rules are loaded nobody comes in.
	require.ErrorIs(t, f.Check(from("192.0.2.1")), ipfilter.ErrNotLoaded)
	w := httptest.NewRecorder()
	f.Middleware()(http.NotFoundHandler()).ServeHTTP(w, from("192.0.2.1"))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, ipfilter.NotLoaded, f.Explain(admin).Reason)
	require.Equal(t, string(ipfilter.NotLoaded), events[len(events)-1].Reason)
	require.NoError(t, f.Load(t.Context()))
	require.NoError(t, f.Check(from("192.0.2.1")))
	require.Error(t, f.Check(from("203.0.113.1")))

	events = nil
	rules := f.Rules()
	rules.Deny = append(rules.Deny, ipfilter.PrefixRule{Prefix: "198.51.100.77/24", Owner: "Ann", Reason: "attack"})
	require.NoError(t, f.SetRules(t.Context(), rules, admin))
	require.Equal(t, ipfilter.PrefixDenied, reason(t, f.Check(from("198.51.100.1"))))
	require.Equal(t, int64(1), f.Rules().Version)
	require.Equal(t, "198.51.100.0/24", f.Rules().Deny[1].Prefix)
	stored, err := store.LoadRules(t.Context())
	require.NoError(t, err)
	require.Equal(t, f.Rules(), stored)
	require.Len(t, events, 1)
	require.Equal(t, audit.NetworkRulesChanged, events[0].Kind)
	require.Len(t, events[0].Changes, 1)
	require.Equal(t, "deny", events[0].Changes[0].Field)
	require.Empty(t, events[0].Changes[0].Old)
	require.Contains(t, string(events[0].Changes[0].New), "198.51.100.0/24")

	// What Rules gave is the caller's own.
	f.Rules().Deny[0].Prefix = "0.0.0.0/0"
	rules.Deny[0].Prefix = "0.0.0.0/0"
	require.NoError(t, f.Check(from("192.0.2.1")))
	require.Equal(t, "203.0.113.0/24", f.Rules().Deny[0].Prefix)

	// An edit of older rules.
	events = nil
	require.ErrorIs(t, f.SetRules(t.Context(), rules, admin), ipfilter.ErrConflict)
	rules.Version = 2
	require.ErrorIs(t, f.SetRules(t.Context(), rules, admin), ipfilter.ErrConflict)
	require.Empty(t, events)

	// Lock-out.
	rules = f.Rules()
	for name, change := range map[string]func(*ipfilter.Rules){
		"denied":      func(r *ipfilter.Rules) { r.Deny = prefixes("192.0.2.0/24") },
		"not allowed": func(r *ipfilter.Rules) { r.Allow = prefixes("198.51.100.0/24") },
	} {
		r := f.Rules()
		change(&r)
		require.ErrorIs(t, f.SetRules(t.Context(), r, admin), ipfilter.ErrLockout, name)
		require.Equal(t, rules, f.Rules())
		require.NoError(t, f.Check(from("192.0.2.1")))
	}
	require.ErrorIs(t, f.SetRules(t.Context(), f.Rules(), netip.Addr{}), ipfilter.ErrLockout)
	require.Empty(t, events)
	r := f.Rules()
	r.Deny, r.ReportOnly = prefixes("0.0.0.0/0"), true
	require.NoError(t, f.SetRules(t.Context(), r, admin), "nobody is locked out of rules that only report")
	require.NoError(t, f.Check(from("192.0.2.1")))
}

func TestSetRulesCountryLockout(t *testing.T) {
	t.Parallel()
	f, err := ipfilter.New(ipfilter.Config{Country: countries(t), Audit: audit.Discard})
	require.NoError(t, err)
	rules := ipfilter.Rules{AllowCountries: []string{"de"}}
	for addr, want := range map[string]error{"203.0.113.1": ipfilter.ErrLockout, "8.8.8.8": ipfilter.ErrLockout, "192.168.0.1": ipfilter.ErrLockout, "127.0.0.1": nil} {
		rules.Version = f.Rules().Version
		require.ErrorIs(t, f.SetRules(t.Context(), rules, netip.MustParseAddr(addr)), want, addr)
	}
	require.Equal(t, []string{"DE"}, f.Rules().AllowCountries)
}

// TestSetRulesUnrecorded changes nothing when the change cannot be recorded.
func TestSetRulesUnrecorded(t *testing.T) {
	t.Parallel()
	store := ipfilter.NewMemory()
	f, err := ipfilter.New(ipfilter.Config{Store: store, Audit: failing})
	require.NoError(t, err)
	require.NoError(t, f.Load(t.Context()))
	err = f.SetRules(t.Context(), ipfilter.Rules{Deny: prefixes("203.0.113.0/24")}, netip.MustParseAddr("192.0.2.1"))
	require.ErrorContains(t, err, "disk full")
	require.NoError(t, f.Check(from("203.0.113.1")))
	stored, err := store.LoadRules(t.Context())
	require.NoError(t, err)
	require.Zero(t, stored)
}

// TestSetRulesManyChanges: however long the rules are, the change fits in an entry of a log, and what was left out is
// counted. The settings are never left out.
func TestSetRulesManyChanges(t *testing.T) {
	t.Parallel()
	rules := func(n, reason int) []ipfilter.PrefixRule {
		var list []ipfilter.PrefixRule
		for i := range n {
			list = append(list, ipfilter.PrefixRule{Prefix: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Reason: strings.Repeat("<", reason)})
		}
		return list
	}
	long := ipfilter.PrefixRule{Prefix: "203.0.113.0/24", Reason: strings.Repeat("x", 100_000)}
	for _, test := range []struct {
		name string
		deny []ipfilter.PrefixRule
		all  bool // whether every change is told
	}{
		{"few", rules(20, 10), true},
		{"many", rules(1000, 0), false},
		{"long reasons", rules(200, 300), false},
		{"one that is too long alone", append([]ipfilter.PrefixRule{long}, rules(20, 10)...), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var event audit.Event
			record := audit.RecorderFunc(func(_ context.Context, e audit.Event) error { event = e; return nil })
			f, err := ipfilter.New(ipfilter.Config{Audit: record})
			require.NoError(t, err)
			require.NoError(t, f.SetRules(t.Context(), ipfilter.Rules{Deny: test.deny, ReportOnly: true}, netip.MustParseAddr("192.0.2.1")))
			b, err := json.Marshal(event.Changes)
			require.NoError(t, err)
			require.LessOrEqual(t, len(b), 33<<10, "package ledger takes events of 64 KiB")
			require.Equal(t, "report_only", event.Changes[0].Field)
			told, left := len(event.Changes), 0
			require.LessOrEqual(t, told, 201)
			if last := event.Changes[told-1]; strings.HasSuffix(last.Field, " more") {
				_, err := fmt.Sscanf(last.Field, "%d more", &left)
				require.NoError(t, err)
				told--
			}
			require.Equal(t, test.all, left == 0)
			require.Equal(t, len(test.deny)+1, told+left)
			require.Greater(t, told, 15)
		})
	}
}

// flaky is a store that fails, or in which somebody else is always faster.
type flaky struct {
	ipfilter.Memory
	load, swap error
	faster     bool
}

func (s *flaky) LoadRules(ctx context.Context) (ipfilter.Rules, error) {
	if s.load != nil {
		return ipfilter.Rules{}, s.load
	}
	return s.Memory.LoadRules(ctx)
}

func (s *flaky) SwapRules(ctx context.Context, old int64, r ipfilter.Rules) (bool, error) {
	if s.swap != nil {
		return false, s.swap
	}
	if s.faster {
		r := ipfilter.Rules{Version: old + 1, Deny: prefixes("198.51.100.0/24")}
		if _, err := s.Memory.SwapRules(ctx, old, r); err != nil {
			return false, err
		}
	}
	return s.Memory.SwapRules(ctx, old, r)
}

func TestStoreFailures(t *testing.T) {
	t.Parallel()
	var events []audit.Event
	record := audit.RecorderFunc(func(_ context.Context, e audit.Event) error { events = append(events, e); return nil })
	down := errors.New("database is down")
	store := &flaky{load: down}
	f, err := ipfilter.New(ipfilter.Config{Store: store, Audit: record})
	require.NoError(t, err)
	require.ErrorIs(t, f.Load(t.Context()), down)
	require.ErrorIs(t, f.Check(from("192.0.2.1")), ipfilter.ErrNotLoaded)
	store.load = nil
	require.NoError(t, f.Load(t.Context()))

	admin := netip.MustParseAddr("192.0.2.1")
	rules := ipfilter.Rules{Deny: prefixes("203.0.113.0/24")}
	store.swap = down
	require.ErrorIs(t, f.SetRules(t.Context(), rules, admin), down)
	require.NoError(t, f.Check(from("203.0.113.1")))
	require.Equal(t, audit.Error, events[len(events)-1].Outcome)

	store.swap, store.faster = nil, true
	require.ErrorIs(t, f.SetRules(t.Context(), rules, admin), ipfilter.ErrConflict)
	require.NoError(t, f.Check(from("203.0.113.1")))
	require.Equal(t, ipfilter.PrefixDenied, reason(t, f.Check(from("198.51.100.1"))), "the newer rules are in force")
	require.Equal(t, "conflict", events[len(events)-1].Reason)

	store.faster, store.load = false, down
	require.ErrorIs(t, f.Load(t.Context()), down)
	require.Equal(t, ipfilter.PrefixDenied, reason(t, f.Check(from("198.51.100.1"))), "the last good rules stay")
}

// Rules that the log has are put in force also when who set them hangs up meanwhile.
func TestSetRulesOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var events []audit.Event
	hangsUp := audit.RecorderFunc(func(_ context.Context, e audit.Event) error { events = append(events, e); cancel(); return nil })
	f, err := ipfilter.New(ipfilter.Config{Audit: hangsUp})
	require.NoError(t, err)
	require.NoError(t, f.Load(ctx))
	require.NoError(t, f.SetRules(ctx, ipfilter.Rules{Deny: prefixes("203.0.113.0/24")}, netip.MustParseAddr("192.0.2.1")))
	require.Len(t, events, 1)
	require.Equal(t, ipfilter.PrefixDenied, reason(t, f.Check(from("203.0.113.1"))))
}

// TestTwoFilters are two processes on one store.
func TestTwoFilters(t *testing.T) {
	t.Parallel()
	store := ipfilter.NewMemory()
	admin := netip.MustParseAddr("192.0.2.1")
	var fs [2]*ipfilter.Filter
	for i := range fs {
		f, err := ipfilter.New(ipfilter.Config{Store: store, Audit: audit.Discard})
		require.NoError(t, err)
		require.NoError(t, f.Load(t.Context()))
		fs[i] = f
	}
	edited := fs[1].Rules()
	require.NoError(t, fs[0].SetRules(t.Context(), ipfilter.Rules{Deny: prefixes("203.0.113.0/24")}, admin))
	require.ErrorIs(t, fs[1].SetRules(t.Context(), edited, admin), ipfilter.ErrConflict)
	require.Equal(t, ipfilter.PrefixDenied, reason(t, fs[1].Check(from("203.0.113.1"))))
	edited = fs[1].Rules()
	edited.Deny = nil
	require.NoError(t, fs[1].SetRules(t.Context(), edited, admin))
	require.Error(t, fs[0].Check(from("203.0.113.1")))
	require.NoError(t, fs[0].Load(t.Context()))
	require.NoError(t, fs[0].Check(from("203.0.113.1")))
}

// TestStoredRulesThatCannotBe: a country rule in the store and a portal started without the file.
func TestStoredRulesThatCannotBe(t *testing.T) {
	t.Parallel()
	store := ipfilter.NewMemory()
	_, err := store.SwapRules(t.Context(), 0, ipfilter.Rules{Version: 1, AllowCountries: []string{"DE"}})
	require.NoError(t, err)
	f, err := ipfilter.New(ipfilter.Config{Store: store, Audit: audit.Discard})
	require.NoError(t, err)
	require.ErrorContains(t, f.Load(t.Context()), "Config.Country is required")
	require.ErrorIs(t, f.Check(from("127.0.0.1")), ipfilter.ErrNotLoaded)
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	now := start
	f, err := ipfilter.New(ipfilter.Config{Audit: audit.Discard, Clock: func() time.Time { return now }, Rules: ipfilter.Rules{
		Allow: []ipfilter.PrefixRule{{Prefix: "0.0.0.0/0"}, {Prefix: "192.0.2.0/24", Label: "contractor", Expires: start.Add(2 * time.Hour)}, {Prefix: "192.0.2.0/24", Label: "hall"}},
		Deny:  []ipfilter.PrefixRule{{Prefix: "192.0.2.0/24", Expires: start.Add(time.Hour)}},
	}})
	require.NoError(t, err)
	at := func(d time.Duration, want ipfilter.Reason, rule string) {
		t.Helper()
		now = start.Add(d)
		require.Equal(t, want, reason(t, f.Check(from("192.0.2.1"))))
		require.Contains(t, f.Explain(netip.MustParseAddr("192.0.2.1")).Rule, rule)
	}
	at(0, ipfilter.PrefixDenied, "deny[0]")
	at(time.Hour-1, ipfilter.PrefixDenied, "deny[0]")
	at(time.Hour, "", "contractor")
	at(2*time.Hour-1, "", "contractor")
	at(2*time.Hour, "", "hall")
	require.Len(t, f.Rules().Deny, 1, "an expired rule stays in the list")
}

// TestSwapsUnderLoad never gives a verdict that neither of the two rule sets gives.
func TestSwapsUnderLoad(t *testing.T) {
	t.Parallel()
	f, err := ipfilter.New(ipfilter.Config{Audit: audit.Discard, Rules: ipfilter.Rules{Allow: prefixes("192.0.2.0/24")}})
	require.NoError(t, err)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			inside, outside := from("192.0.2.1"), from("203.0.113.1")
			for {
				select {
				case <-done:
					return
				default:
				}
				if f.Check(inside) != nil || f.Check(outside) == nil {
					t.Error("wrong verdict")
					return
				}
			}
		})
	}
	for i := range 300 {
		r := f.Rules()
		r.Allow, r.Deny = prefixes("192.0.2.0/24"), prefixes("203.0.113.0/24")
		if i%2 == 0 {
			r.Allow, r.Deny = prefixes("192.0.2.0/25", fmt.Sprintf("198.51.100.%d", i%256)), nil
		}
		require.NoError(t, f.SetRules(t.Context(), r, netip.MustParseAddr("192.0.2.1")))
	}
	close(done)
	wg.Wait()
}

func TestExplain(t *testing.T) {
	t.Parallel()
	f, err := ipfilter.New(ipfilter.Config{Country: countries(t), Audit: audit.Discard, Rules: ipfilter.Rules{
		Version: 7, Allow: []ipfilter.PrefixRule{{Prefix: "0.0.0.0/0"}, {Prefix: "203.0.113.0/24", Label: "Paris"}}, AllowCountries: []string{"DE"},
	}})
	require.NoError(t, err)
	require.Equal(t, strings.TrimPrefix(`
address:       203.0.113.9 (public)
result:        refused, country-denied
prefix rule:   allow[1] 203.0.113.0/24 "Paris"
country:       FR, by the file of 2026-03-01
country rules: do not allow FR
rules version: 7
`, "\n"), f.Explain(netip.MustParseAddr("::ffff:203.0.113.9")).String())
	require.Contains(t, f.Explain(netip.Addr{}).String(), "refused, client-unknown")
	for addr, want := range map[string]string{
		"127.0.0.1": "do not apply to loopback", "198.51.100.1": "allow DE", "10.0.0.1": "refuse unknown", "2002::1": "carries an IPv4 address",
	} {
		require.Contains(t, f.Explain(netip.MustParseAddr(addr)).String(), want)
	}
}
