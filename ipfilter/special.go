// SPDX-License-Identifier: Apache-2.0

package ipfilter

import (
	"net/netip"

	"github.com/portalsec/portalsec/ipfilter/internal/ranges"
)

// class is the kind of an address that is known without a country file.
type class int32

const (
	public class = iota - 1 // ranges.None
	loopback
	private
	transition
	reserved
)

var classNames = map[class]string{
	public: "public", loopback: "loopback", private: "private", transition: "carries an IPv4 address", reserved: "reserved",
}

// special are the ranges that no country file is asked about, from the IANA special-purpose address
// registries. Those for documentation are left to the file: nothing is reached from them, and tests use them.
var special = func() ranges.Table {
	var entries []ranges.Entry
	for c, prefixes := range map[class][]string{
		loopback: {"127.0.0.0/8", "::1/128"},
		private: {
			"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // RFC 1918
			"fc00::/7",                    // RFC 4193
			"169.254.0.0/16", "fe80::/10", // link-local, RFC 3927 and 4291
		},
		transition: {
			"2002::/16",                      // 6to4, RFC 3056
			"2001::/32",                      // Teredo, RFC 4380
			"64:ff9b::/96", "64:ff9b:1::/48", // NAT64, RFC 6052 and 8215
			"::/96", // IPv4-compatible, RFC 4291; the unspecified address with it
		},
		reserved: {
			"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
			"100::/64", "fec0::/10", "ff00::/8",
		},
	} {
		for _, p := range prefixes {
			entries = append(entries, ranges.Entry{Prefix: netip.MustParsePrefix(p), Value: int32(c)})
		}
	}
	return ranges.New(entries)
}()

func classify(a netip.Addr) class { return class(special.Find(a)) }
