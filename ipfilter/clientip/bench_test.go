// SPDX-License-Identifier: Apache-2.0

package clientip_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/portalsec/portalsec/ipfilter/clientip"
	"github.com/stretchr/testify/require"
)

var cases = []struct {
	name   string
	config clientip.Config
	r      *http.Request
}{
	{"peer", clientip.Config{}, request("198.51.100.9:4711")},
	{"stranger", xff, request("198.51.100.9:4711", "X-Forwarded-For: 203.0.113.1")},
	{"two proxies", xff, request("10.0.0.1:4711", "X-Forwarded-For: 203.0.113.1, 198.51.100.9, 192.0.2.1")},
	{"two proxies IPv6", xff, request("[2001:db8:ffff::1]:4711", "X-Forwarded-For: 203.0.113.1, 2001:db8::9%eth0, 2001:db8:ffff::2")},
	{"forwarded", forwarded, request("10.0.0.1:4711", `Forwarded: for=203.0.113.1, for="[2001:db8::9]:4711";proto=https;by=10.0.0.9, for=192.0.2.1`)},
	{"single", single, request("10.0.0.1:4711", "X-Real-IP: 198.51.100.9")},
	{"hops", hops2, request("10.0.0.1:4711", "X-Forwarded-For: 203.0.113.1, 198.51.100.9, 192.0.2.1")},
	{"refused", xff, request("10.0.0.1:4711", "X-Forwarded-For: unknown")},
	{"64 KiB", forwarded, request("10.0.0.1:4711", "Forwarded: "+strings.Repeat(`"\`, 32<<10))},
	{"64 KiB of trusted", xff, request("10.0.0.1:4711", "X-Forwarded-For: "+strings.Repeat("10.0.0.2,", 7<<10))},
}

func TestAllocations(t *testing.T) {
	for _, c := range cases {
		r, err := clientip.New(c.config)
		require.NoError(t, err)
		require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = r.Resolve(c.r) }), c.name)
	}
}

func BenchmarkResolve(b *testing.B) {
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			r, err := clientip.New(c.config)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = r.Resolve(c.r)
			}
		})
	}
}
