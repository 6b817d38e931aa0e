// SPDX-License-Identifier: Apache-2.0

package portalsec_test

import (
	"net/netip"
	"testing"

	"github.com/portalsec/portalsec"
	"github.com/stretchr/testify/require"
)

func TestOriginInContext(t *testing.T) {
	t.Parallel()
	_, ok := portalsec.OriginFrom(t.Context())
	require.False(t, ok)

	want := portalsec.Origin{Addr: netip.MustParseAddr("192.0.2.1"), Country: "AT", Network: "office", ASN: 64496}
	got, ok := portalsec.OriginFrom(portalsec.WithOrigin(t.Context(), want))
	require.True(t, ok)
	require.Equal(t, want, got)

	got, ok = portalsec.OriginFrom(portalsec.WithOrigin(t.Context(), portalsec.Origin{}))
	require.True(t, ok, "an unknown origin that was set is not the same as none")
	require.False(t, got.Addr.IsValid())
}

func TestOriginPrefix(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, addr, want string }{
		{"IPv4", "192.0.2.9", "192.0.2.9/32"},
		{"IPv4 mapped into IPv6", "::ffff:192.0.2.9", "192.0.2.9/32"},
		{"IPv6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"IPv6 with zone", "fe80::1%eth0", "fe80::/64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := portalsec.Origin{Addr: netip.MustParseAddr(tc.addr)}.Prefix()
			require.Equal(t, netip.MustParsePrefix(tc.want), got)
		})
	}
	require.False(t, portalsec.Origin{}.Prefix().IsValid(), "an unknown address has no network")
}
