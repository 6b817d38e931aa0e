// SPDX-License-Identifier: Apache-2.0

package clientip_test

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/portalsec/portalsec/ipfilter/clientip"
	"github.com/stretchr/testify/require"
)

// The slow twin reads with regular expressions, from the left, and builds every list whole.

var (
	slowPort     = `(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]|0[0-9]{4})`
	slowV4       = regexp.MustCompile(`^([0-9.]+)(?::` + slowPort + `)?$`)
	slowV6       = regexp.MustCompile(`^([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(?:%.+)?$`)
	slowBracket  = regexp.MustCompile(`^\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(?:%[^\]]+)?\](:` + slowPort + `)?$`)
	slowToken    = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
	slowQuoted   = `"(?:[\t !#-\[\]-~\x80-\x{10ffff}]|\\[\t -~\x80-\x{10ffff}])*"`
	slowPair     = `(?:` + slowToken + `=(?:` + slowToken + `|` + slowQuoted + `))?`
	slowElement  = `[ \t]*` + slowPair + `[ \t]*(?:;[ \t]*` + slowPair + `[ \t]*)*`
	slowLine     = regexp.MustCompile(`^` + slowElement + `(?:,` + slowElement + `)*$`)
	slowSplit    = regexp.MustCompile(`^(` + slowElement + `)(?:,|$)`)
	slowPairs    = regexp.MustCompile(`(` + slowToken + `)=(` + slowToken + `|` + slowQuoted + `)`)
	slowEscape   = regexp.MustCompile(`\\(.)`)
	slowNodeIPv4 = regexp.MustCompile(`^([0-9.]+)(?::(?:` + slowPort + `|_[0-9A-Za-z._-]+))?$`)
	slowNodeIPv6 = regexp.MustCompile(`^\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(?:%[^\]]+)?\](?::(?:` + slowPort + `|_[0-9A-Za-z._-]+))?$`)
)

func slowAddr(s string, forms ...*regexp.Regexp) netip.Addr {
	for _, form := range forms {
		if m := form.FindStringSubmatch(s); m != nil {
			if a, err := netip.ParseAddr(m[1]); err == nil {
				return a.Unmap()
			}
		}
	}
	return netip.Addr{}
}

// slowList gives the entries of the list; the invalid address is a malformed one. It tells false when a line
// of Forwarded is malformed as a whole, so that it has no elements.
func slowList(source clientip.Source, lines []string) (entries []netip.Addr, ok bool) {
	if source != clientip.Forwarded {
		for _, e := range strings.Split(strings.Join(lines, ","), ",") {
			if e = strings.Trim(e, " \t"); e != "" {
				entries = append(entries, slowAddr(e, slowV4, slowV6, slowBracket))
			}
		}
		return entries, true
	}
	for _, line := range lines {
		if !slowLine.MatchString(line) {
			return nil, false
		}
		for {
			m := slowSplit.FindStringSubmatch(line)
			if e := strings.Trim(m[1], " \t"); e != "" {
				var found []netip.Addr
				for _, pair := range slowPairs.FindAllStringSubmatch(e, -1) {
					if !strings.EqualFold(pair[1], "for") {
						continue
					}
					if value := pair[2]; value[0] == '"' {
						value = slowEscape.ReplaceAllString(value[1:len(value)-1], "$1")
						found = append(found, slowAddr(value, slowNodeIPv4, slowNodeIPv6))
					} else {
						found = append(found, slowAddr(value, regexp.MustCompile(`^([0-9.]+)$`)))
					}
				}
				if len(found) != 1 {
					found = []netip.Addr{{}}
				}
				entries = append(entries, found[0])
			}
			if len(m[0]) == len(line) && !strings.HasSuffix(m[0], ",") {
				break
			}
			line = line[len(m[0]):]
		}
	}
	return entries, true
}

func slowTrusted(a netip.Addr) bool {
	for _, text := range proxies {
		if p, err := netip.ParsePrefix(text); err == nil && p.Contains(a) || text == a.String() {
			return true
		}
	}
	return false
}

// slowResolve gives the invalid address for a refusal.
func slowResolve(source clientip.Source, peer netip.Addr, entries []netip.Addr) netip.Addr {
	if !slowTrusted(peer) {
		return peer
	}
	if source == clientip.HopCount {
		if len(entries) < 2 {
			return netip.Addr{}
		}
		if !entries[len(entries)-1].IsValid() {
			return netip.Addr{}
		}
		return entries[len(entries)-2]
	}
	client := peer
	for i := len(entries) - 1; i >= 0; i-- {
		client = entries[i]
		if !client.IsValid() || !slowTrusted(client) {
			break
		}
	}
	return client
}

// FuzzResolve compares the resolver with its slow twin, and checks that nothing left of the client is read.
func FuzzResolve(f *testing.F) {
	for _, seed := range []string{
		"198.51.100.9, 10.0.0.2", "203.0.113.1\n198.51.100.9:80,,10.0.0.2\n", "[2001:db8::9%x]:80", "::ffff:10.0.0.1,fe80::1%eth0", "junk, 10.0.0.2",
		`for=198.51.100.9;proto=https, for="10.0.0.2:_x"`, `For="[2001:db8::9]:80";x="a,\"b\\";;, ;, for=10.0.0.2`, `x="` + "\n" + `for=10.0.0.2;for=10.0.0.3`,
		`for="\1\0.0.0.2" ; by=_a,for=unknown`, `for=198.51.100.9,for="10.0.0.2`,
	} {
		for _, peer := range []string{"10.0.0.1:80", "[::ffff:10.0.0.1]:80", "198.51.100.1"} {
			f.Add(peer, seed, `for="x,\`)
		}
	}
	resolvers := map[clientip.Source]*clientip.Resolver{}
	for _, c := range []clientip.Config{xff, forwarded, hops2} {
		r, err := clientip.New(c)
		require.NoError(f, err)
		resolvers[c.Source] = r
	}
	f.Fuzz(func(t *testing.T, remote, text, before string) {
		if strings.Count(text, ",")+strings.Count(text, "\n") >= 90 {
			return // past the bound the resolver may refuse what the twin reads
		}
		lines := strings.Split(text, "\n")
		for source, r := range resolvers {
			name := "X-Forwarded-For"
			if source == clientip.Forwarded {
				name = "Forwarded"
			}
			req := &http.Request{RemoteAddr: remote, Header: http.Header{name: lines}}
			got, err := r.Resolve(req)
			if (err == nil) != got.IsValid() || got.Is4In6() || got.Zone() != "" {
				t.Fatalf("%d: got %v, %v", source, got, err)
			}
			peer := netip.Addr{}
			if remote != "" && !(remote[0] == '[' && remote[len(remote)-1] == ']') {
				peer = slowAddr(remote, slowV4, slowV6, slowBracket)
			}
			entries, ok := slowList(source, lines)
			if ok || !peer.IsValid() {
				if want := slowResolve(source, peer, entries); got != want {
					t.Fatalf("source %d, peer %q, lines %q: got %v (%v), want %v", source, remote, lines, got, err, want)
				}
			}
			if err != nil || !slowTrusted(peer) || source != clientip.HopCount && slowTrusted(got) {
				continue
			}
			// Whatever a client writes before it, in a line of its own or in the first one, the answer stays.
			spoofed := append([]string{before, before + "," + lines[0]}, lines[1:]...)
			again, err := r.Resolve(&http.Request{RemoteAddr: remote, Header: http.Header{name: spoofed}})
			if again != got {
				t.Fatalf("source %d, lines %q: with %q before, got %v (%v), want %v", source, lines, before, again, err, got)
			}
		}
	})
}
