// SPDX-License-Identifier: Apache-2.0

package ranges_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/portalsec/portalsec/ipfilter/internal/ranges"
	"github.com/stretchr/testify/require"
)

func TestParsePrefix(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1":               "192.0.2.1/32",
		"192.0.2.1/24":            "192.0.2.0/24",
		"0.0.0.0/0":               "0.0.0.0/0",
		"2001:db8::1":             "2001:db8::1/128",
		"2001:DB8:0::/32":         "2001:db8::/32",
		"::ffff:192.0.2.1":        "192.0.2.1/32",
		"::ffff:192.0.2.0/120":    "192.0.2.0/24",
		"::ffff:0:0/96":           "0.0.0.0/0",
		"::ffff:0:0/95":           "::fffe:0:0/95",
		"64:ff9b::192.0.2.0/120":  "64:ff9b::c000:200/120",
		"::192.0.2.1":             "::c000:201/128",
		"2002:c000:201::/48":      "2002:c000:201::/48",
		"::ffff:192.0.2.1/128":    "192.0.2.1/32",
		"255.255.255.255/32":      "255.255.255.255/32",
		"ffff::/16":               "ffff::/16",
		"fe80::/10":               "fe80::/10",
		"::ffff:255.255.255.0/97": "128.0.0.0/1",
	} {
		got, err := ranges.ParsePrefix(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got.String(), in)
	}
	for _, in := range []string{"", " ", "192.0.2.1 ", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/024", "192.0.2/24", "192.0.2.01",
		"0xc0.0.2.1", "3221225985", "::1/129", "fe80::1%eth0", "fe80::%eth0/64", "example.org", "192.0.2.1:80", "[::1]", "192.0.2.0-192.0.2.9"} {
		_, err := ranges.ParsePrefix(in)
		require.Error(t, err, in)
	}
}

// slow looks at every entry.
func slow(entries []ranges.Entry, a netip.Addr) int32 {
	best, value := -1, ranges.None
	for _, e := range entries {
		if e.Prefix.Contains(a) && e.Prefix.Bits() > best {
			best, value = e.Prefix.Bits(), e.Value
		}
	}
	return value
}

// FuzzTable compares the table with the slow look at every entry, at each prefix's edges and beside them.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 10, 0, 0, 0, 8, 0, 10, 1, 0, 0, 16, 0, 10, 0, 0, 0, 9})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 32, 0, 0, 0, 0, 0, 32})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 32, 1, 1, 2, 3, 4, 126, 1, 1, 2, 3, 4, 128})
	f.Fuzz(func(t *testing.T, b []byte) {
		var entries []ranges.Entry
		for i := 0; len(b) >= 6 && i < 60; i++ {
			var a netip.Addr
			bits := int(b[5]) % 33
			if b[0]%2 == 0 {
				a = netip.AddrFrom4([4]byte(b[1:5]))
			} else {
				// The first byte is spread over the front, so that long prefixes nest as well.
				a = netip.AddrFrom16([16]byte{b[1], 0, 0, 0, 0, 0, 0, b[2], 0, 0, 0, 0, 0, 0, b[3], b[4]})
				bits = int(b[5]) % 129
			}
			entries = append(entries, ranges.Entry{Prefix: netip.PrefixFrom(a, bits).Masked(), Value: int32(i)})
			b = b[6:]
		}
		table := ranges.New(slices.Clone(entries))
		check := func(a netip.Addr) {
			if !a.IsValid() || a.Is4In6() { // mapped addresses are IPv4, and IPv6 prefixes do not hold them
				return
			}
			if got, want := table.Find(a), slow(entries, a); got != want {
				t.Fatalf("Find(%v) = %d, want %d of %v", a, got, want, entries)
			}
		}
		for _, e := range entries {
			first, last := e.Prefix.Addr(), ranges.LastAddr(e.Prefix)
			for _, a := range []netip.Addr{first, first.Prev(), first.Next(), last, last.Prev(), last.Next()} {
				check(a)
			}
		}
	})
}

func TestFind(t *testing.T) {
	t.Parallel()
	table := ranges.New([]ranges.Entry{
		{netip.MustParsePrefix("10.0.0.0/8"), 1}, {netip.MustParsePrefix("10.0.0.0/8"), 2}, {netip.MustParsePrefix("::/0"), 3},
	})
	for in, want := range map[string]int32{
		"10.1.2.3": 1, "::ffff:10.1.2.3": 1, "11.0.0.0": ranges.None, "9.255.255.255": ranges.None, "fe80::1%eth0": 3, "::": 3,
	} {
		require.Equal(t, want, table.Find(netip.MustParseAddr(in)), in)
	}
	require.Equal(t, ranges.None, table.Find(netip.Addr{}))
	require.Equal(t, ranges.None, new(ranges.Table).Find(netip.MustParseAddr("::1")))
}
