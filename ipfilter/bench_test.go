// SPDX-License-Identifier: Apache-2.0

package ipfilter_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/ipfilter"
	"github.com/stretchr/testify/require"
)

// filterOf gives a filter with n prefixes, countries and a rule that expires some time.
func filterOf(tb testing.TB, n int) *ipfilter.Filter {
	rules := ipfilter.Rules{AllowCountries: []string{"DE"}, Allow: []ipfilter.PrefixRule{
		{Prefix: "198.51.100.0/24", Label: "office", Expires: time.Now().Add(24 * time.Hour)},
	}}
	for i := range n {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i>>16) + 1, byte(i >> 8), byte(i), 0}), 24)
		rules.Deny = append(rules.Deny, ipfilter.PrefixRule{Prefix: p.String()})
	}
	f, err := ipfilter.New(ipfilter.Config{Rules: rules, Country: countries(tb), Audit: audit.Discard})
	require.NoError(tb, err)
	return f
}

func TestAllocations(t *testing.T) {
	f := filterOf(t, 1000)
	for _, addr := range []string{"198.51.100.1", "203.0.113.1", "2001:db8::1", ""} {
		r := from(addr)
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = f.Check(r) }), addr)
	}
}

func BenchmarkCheck(b *testing.B) {
	for name, n := range map[string]int{"10": 10, "100k": 100_000} {
		b.Run(name, func(b *testing.B) {
			f := filterOf(b, n)
			r := from("198.51.100.1")
			b.ReportAllocs()
			for b.Loop() {
				if err := f.Check(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
