// SPDX-License-Identifier: Apache-2.0

package clientip

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/ipfilter/internal/ranges"
)

// Source is where the address of the client comes from.
type Source uint8

// The sources.
const (
	// Peer takes the address that the connection comes from. It is for portals without a proxy, and the default.
	Peer Source = iota
	// XForwardedFor reads X-Forwarded-For, to which each proxy appends.
	XForwardedFor
	// Forwarded reads the "for" parameters of Forwarded (RFC 7239), to which each proxy appends.
	Forwarded
	// SingleHeader reads a header that holds one address and is set anew by the proxy, such as X-Real-IP.
	SingleHeader
	// HopCount takes the entry of X-Forwarded-For that [Config.Hops] proxies ago was appended. It is for proxies whose
	// own addresses change; only the peer's need be known.
	HopCount
)

// Config says where the client's address is to be found. The zero Config believes the connection only.
type Config struct {
	// Source is where the address comes from.
	Source Source
	// Trusted are the addresses and prefixes of the proxies in front of the portal, such as "10.0.0.7" or
	// "2001:db8::/64". Whoever is not listed is a client, and headers from there are ignored. An empty list
	// trusts nobody.
	Trusted []string
	// TrustUnix says that who connects by a Unix socket is a trusted proxy. Without it such requests are refused,
	// because their peer has no address.
	TrustUnix bool
	// Hops is how many entries from the right the client's stands, 1 being the last. It is for [HopCount] only.
	Hops int
	// Header is the name of the header. It is for [SingleHeader] only. The two lists, X-Forwarded-For and Forwarded,
	// are refused here.
	Header string
	// Audit records refused requests. Nil is [audit.Slog] with the default logger.
	Audit audit.Recorder
	// Deny answers refused requests. Nil is [portalsec.Deny].
	Deny portalsec.DenyFunc
}

// Resolver finds clients' addresses. It may be used by several goroutines.
type Resolver struct {
	source  Source
	trusted ranges.Table
	unix    bool
	hops    int
	header  string // canonical
	audit   audit.Recorder
	deny    portalsec.DenyFunc
}

// New checks c and gives a Resolver.
func New(c Config) (*Resolver, error) {
	r := &Resolver{source: c.Source, unix: c.TrustUnix, audit: c.Audit, deny: c.Deny}
	entries := make([]ranges.Entry, 0, len(c.Trusted))
	for i, text := range c.Trusted {
		p, err := ranges.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("clientip: Config.Trusted[%d]: %w", i, err)
		}
		entries = append(entries, ranges.Entry{Prefix: p})
	}
	r.trusted = ranges.New(entries)
	switch c.Source {
	case Peer:
	case XForwardedFor:
		r.header = headerXForwardedFor
	case Forwarded:
		r.header = headerForwarded
	case SingleHeader:
		if !isToken(c.Header) {
			return nil, fmt.Errorf("clientip: Config.Header %q is not the name of a header", c.Header)
		}
		r.header = textproto.CanonicalMIMEHeaderKey(c.Header)
		if r.header == headerXForwardedFor || r.header == headerForwarded {
			return nil, fmt.Errorf("clientip: Config.Header %q holds a list: set Config.Source for it", c.Header)
		}
	case HopCount:
		if c.Hops < 1 {
			return nil, fmt.Errorf("clientip: Config.Hops is %d, want 1 or more", c.Hops)
		}
		r.header, r.hops = headerXForwardedFor, c.Hops
	default:
		return nil, fmt.Errorf("clientip: Config.Source %d is unknown", c.Source)
	}
	if r.audit == nil {
		r.audit = audit.Slog(nil)
	}
	if r.deny == nil {
		r.deny = portalsec.Deny
	}
	return r, nil
}

const (
	headerXForwardedFor = "X-Forwarded-For"
	headerForwarded     = "Forwarded"
)

// maxEntries bounds how far a list is read. Each entry that is passed over was written by a proxy of the
// portal's own, and nobody has so many. Empty entries count, else a header of commas would be read whole.
const maxEntries = 100

// Resolve gives the address of the client: IPv4 or IPv6, never IPv4-mapped and without zone. An error is an
// *[UnresolvedError], and then the request must be refused.
func (r *Resolver) Resolve(req *http.Request) (netip.Addr, error) {
	peer, ok := parsePeer(req.RemoteAddr)
	if !ok && !(r.unix && isUnix(req)) {
		return netip.Addr{}, errPeer
	}
	if r.source == Peer || ok && r.trusted.Find(peer) == ranges.None {
		return known(peer)
	}
	lines := req.Header[r.header]
	switch r.source {
	case SingleHeader:
		if len(lines) != 1 {
			return netip.Addr{}, errSingle
		}
		if a, ok := parseEntry(trim(lines[0])); ok {
			return a, nil
		}
		return netip.Addr{}, errEntry
	case HopCount:
		return r.count(lines)
	default:
		return r.walk(lines, peer)
	}
}

// known refuses the address of a peer that has none.
func known(peer netip.Addr) (netip.Addr, error) {
	if !peer.IsValid() {
		return netip.Addr{}, errPeer
	}
	return peer, nil
}

// walk passes over the trusted entries from the right.
func (r *Resolver) walk(lines []string, peer netip.Addr) (netip.Addr, error) {
	leftmost := peer
	l := list{lines: lines, quoted: r.source == Forwarded}
	for range maxEntries {
		entry, ok := l.last()
		if !ok {
			return known(leftmost)
		}
		if entry == "" {
			continue
		}
		var a netip.Addr
		if r.source == Forwarded {
			a, ok = parseForwarded(entry)
		} else {
			a, ok = parseEntry(entry)
		}
		if !ok {
			return netip.Addr{}, errEntry
		}
		if r.trusted.Find(a) == ranges.None {
			return a, nil
		}
		leftmost = a
	}
	return netip.Addr{}, errLong
}

// count takes the entry at a fixed place.
func (r *Resolver) count(lines []string) (netip.Addr, error) {
	l := list{lines: lines}
	left := r.hops
	for range maxEntries + r.hops {
		entry, ok := l.last()
		if !ok {
			return netip.Addr{}, errShort
		}
		if entry == "" {
			continue
		}
		a, ok := parseEntry(entry)
		if !ok {
			return netip.Addr{}, errEntry
		}
		if left--; left == 0 {
			return a, nil
		}
	}
	return netip.Addr{}, errLong
}

// isUnix tells whether the request came by a Unix socket. net/http gives such a peer as "@" or its path, and
// nothing on some systems; then the socket that the server listens on tells.
func isUnix(req *http.Request) bool {
	if strings.HasPrefix(req.RemoteAddr, "@") || strings.HasPrefix(req.RemoteAddr, "/") {
		return true
	}
	local, ok := req.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && req.RemoteAddr == "" && local.Network() == "unix"
}
