// SPDX-License-Identifier: Apache-2.0

package ipfilter_test

import (
	"net/netip"
	"testing"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/ipfilter"
)

// slowReason looks at every rule, in the order of the package comment.
func slowReason(r ipfilter.Rules, a netip.Addr) ipfilter.Reason {
	best, deny := -1, false
	look := func(list []ipfilter.PrefixRule, isDeny bool) {
		for _, rule := range list {
			if p := netip.MustParsePrefix(rule.Prefix); p.Contains(a) && (p.Bits() > best || p.Bits() == best && isDeny) {
				best, deny = p.Bits(), isDeny
			}
		}
	}
	look(r.Allow, false)
	look(r.Deny, true)
	switch {
	case best >= 0 && deny:
		return ipfilter.PrefixDenied
	case best < 0 && len(r.Allow) > 0:
		return ipfilter.NotInAllowlist
	}
	return ""
}

// FuzzPrefixRules compares the compiled rules with a slow look at every rule.
func FuzzPrefixRules(f *testing.F) {
	f.Add([]byte{0x80, 10, 1, 2, 3, 8, 0, 10, 1, 0, 0, 16, 0x80, 10, 1, 0, 0, 16}, uint32(0x0a010203))
	f.Add([]byte{0, 10, 0, 0, 0, 0}, uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, addr uint32) {
		var r ipfilter.Rules
		for ; len(b) >= 6 && len(r.Allow)+len(r.Deny) < 50; b = b[6:] {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte(b[1:5])), int(b[5])%33).Masked()
			if b[0] >= 0x80 {
				r.Deny = append(r.Deny, ipfilter.PrefixRule{Prefix: p.String()})
			} else {
				r.Allow = append(r.Allow, ipfilter.PrefixRule{Prefix: p.String()})
			}
		}
		filter, err := ipfilter.New(ipfilter.Config{Rules: r, Audit: audit.Discard})
		if err != nil {
			t.Fatal(err)
		}
		a := netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)})
		addrs := []netip.Addr{a}
		for _, list := range [][]ipfilter.PrefixRule{r.Allow, r.Deny} {
			for _, rule := range list {
				first := netip.MustParsePrefix(rule.Prefix).Addr()
				addrs = append(addrs, first, first.Prev())
			}
		}
		for _, a := range addrs {
			if got, want := filter.Explain(a).Reason, slowReason(r, a); a.IsValid() && got != want {
				t.Fatalf("%v: got %q, want %q of %+v", a, got, want, r)
			}
		}
	})
}

// FuzzPrefix checks that what is taken as a prefix is kept in a form that reads the same.
func FuzzPrefix(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "::ffff:10.0.0.0/104", "2001:DB8::/32", "fe80::1%eth0", "1.2.3.4/33", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, err := ipfilter.New(ipfilter.Config{Rules: ipfilter.Rules{Deny: []ipfilter.PrefixRule{{Prefix: s}}}})
		if err != nil {
			return
		}
		text := first.Rules().Deny[0].Prefix
		if p, err := netip.ParsePrefix(text); err != nil || p != p.Masked() || p.Addr().Is4In6() && p.Bits() >= 96 {
			t.Fatalf("%q is kept as %q", s, text)
		}
		if a, err := netip.ParseAddr(s); err == nil && first.Explain(a).Allowed {
			t.Fatalf("%q is denied and comes in", s)
		}
	})
}
