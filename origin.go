// SPDX-License-Identifier: Apache-2.0

package portalsec

import (
	"context"
	"net/netip"
)

// Origin is where a request comes from. Package ipfilter/clientip sets the address, package ipfilter the country and
// the network; packages ipfilter, audit, auth and auth/session read it.
type Origin struct {
	// Addr is the verified address of the client. The zero Addr means that it is not known.
	Addr netip.Addr
	// Country is the ISO 3166-1 alpha-2 code in upper case, empty when unknown.
	Country string
	// Network is the label of the network that the address is in, such as "office". Empty when none.
	Network string
	// ASN is the number of the autonomous system, 0 when unknown. No package sets it yet.
	ASN uint32
}

// Prefix gives the network that counts as one client: the address itself for IPv4, its /64 for IPv6,
// because one IPv6 subscriber owns at least that. It is invalid when the address is.
func (o Origin) Prefix() netip.Prefix {
	a := o.Addr.Unmap()
	switch {
	case !a.IsValid():
		return netip.Prefix{}
	case a.Is4():
		return netip.PrefixFrom(a, 32)
	default:
		return netip.PrefixFrom(a.WithZone(""), 64).Masked()
	}
}

type originKey struct{}

// WithOrigin gives a context that carries o.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, &o)
}

// OriginFrom gives the origin of a context, and whether one was set.
func OriginFrom(ctx context.Context) (Origin, bool) {
	if o, ok := ctx.Value(originKey{}).(*Origin); ok {
		return *o, true
	}
	return Origin{}, false
}
