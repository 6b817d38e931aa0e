// SPDX-License-Identifier: Apache-2.0

package clientip_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/ipfilter/clientip"
	"github.com/stretchr/testify/require"
)

// request gives a request from a peer with header lines "Name: value".
func request(peer string, lines ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = peer
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

var (
	proxies   = []string{"10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.1"}
	xff       = clientip.Config{Source: clientip.XForwardedFor, Trusted: proxies}
	forwarded = clientip.Config{Source: clientip.Forwarded, Trusted: proxies}
	single    = clientip.Config{Source: clientip.SingleHeader, Trusted: proxies, Header: "x-real-ip"}
	hops2     = clientip.Config{Source: clientip.HopCount, Trusted: proxies, Hops: 2}
)

func TestResolve(t *testing.T) {
	t.Parallel()
	const refused = ""
	unix := func(c clientip.Config) clientip.Config { c.TrustUnix = true; return c }
	for _, c := range []struct {
		name   string
		config clientip.Config
		peer   string
		lines  []string
		want   string
	}{
		{"R1 IPv4", clientip.Config{}, "198.51.100.1:80", nil, "198.51.100.1"},
		{"R1 IPv6 is canonical", clientip.Config{}, "[2001:DB8:0:0::1]:80", nil, "2001:db8::1"},
		{"R1 zone drops", clientip.Config{}, "[fe80::1%eth0]:80", nil, "fe80::1"},
		{"R1 bare IPv4", clientip.Config{}, "198.51.100.1", nil, "198.51.100.1"},
		{"R1 bare IPv6", clientip.Config{}, "2001:db8::1", nil, "2001:db8::1"},
		{"R1 bare with zone", clientip.Config{}, "fe80::1%eth0", nil, "fe80::1"},
		{"R1 mapped folds", clientip.Config{}, "[::ffff:198.51.100.1]:80", nil, "198.51.100.1"},
		{"R1 mapped in hex folds", clientip.Config{}, "[::ffff:c633:6401]:80", nil, "198.51.100.1"},
		{"R1 mapped with zone folds", clientip.Config{}, "[::ffff:198.51.100.1%eth0]:80", nil, "198.51.100.1"},
		{"R1 empty", clientip.Config{}, "", nil, refused},
		{"R1 name", clientip.Config{}, "localhost:80", nil, refused},
		{"R1 leading zero", clientip.Config{}, "198.51.100.01:80", nil, refused},
		{"R1 hex", clientip.Config{}, "0xc6.51.100.1:80", nil, refused},
		{"R1 short form", clientip.Config{}, "127.1:80", nil, refused},
		{"R1 number", clientip.Config{}, "2130706433:80", nil, refused},
		{"R1 port too great", clientip.Config{}, "198.51.100.1:65536", nil, refused},
		{"R1 no port after colon", clientip.Config{}, "198.51.100.1:", nil, refused},
		{"R1 brackets without port", clientip.Config{}, "[2001:db8::1]", nil, refused},
		{"R1 IPv4 in brackets", clientip.Config{}, "[198.51.100.1]:80", nil, refused},
		{"R1 empty zone", clientip.Config{}, "[fe80::1%]:80", nil, refused},
		{"R1 zone on IPv4", clientip.Config{}, "198.51.100.1%eth0", nil, refused},
		{"R1 space", clientip.Config{}, " 198.51.100.1:80", nil, refused},
		{"R1 bad peer with a good header", xff, "proxy:80", []string{"X-Forwarded-For: 198.51.100.9"}, refused},

		{"R2 peer ignores headers", clientip.Config{Trusted: proxies}, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9"}, "10.0.0.1"},
		{"R2 stranger", xff, "198.51.100.1:80", []string{"X-Forwarded-For: 198.51.100.9"}, "198.51.100.1"},
		{"R2 stranger with junk", xff, "198.51.100.1:80", []string{"X-Forwarded-For: junk"}, "198.51.100.1"},
		{"R2 loopback is not trusted by itself", clientip.Config{Source: clientip.XForwardedFor}, "127.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9"}, "127.0.0.1"},
		{"R2 private is not trusted by itself", xff, "192.168.0.1:80", []string{"X-Forwarded-For: 198.51.100.9"}, "192.168.0.1"},
		{"R2 single header", single, "198.51.100.1:80", []string{"X-Real-IP: 198.51.100.9"}, "198.51.100.1"},
		{"R2 hop count", hops2, "198.51.100.1:80", []string{"X-Forwarded-For: 198.51.100.9, 198.51.100.8"}, "198.51.100.1"},

		{"R3 one proxy", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9"}, "198.51.100.9"},
		{"R3 spoofed on the left", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 203.0.113.1, 198.51.100.9, 192.0.2.1"}, "198.51.100.9"},
		{"R3 several lines", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 198.51.100.9", "X-Forwarded-For: 10.0.0.2"}, "198.51.100.9"},
		{"R3 junk left of the client", xff, "10.0.0.1:80", []string{"X-Forwarded-For: junk", "X-Forwarded-For: , \x00,198.51.100.9"}, "198.51.100.9"},
		{"R3 IPv6 proxies", xff, "[2001:db8:ffff::1]:80", []string{"X-Forwarded-For: 2001:db8::9, 2001:db8:ffff::2"}, "2001:db8::9"},
		{"R3 trusted behind the client", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 10.0.0.3, 198.51.100.9"}, "198.51.100.9"},

		{"R4 port", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9:4711"}, "198.51.100.9"},
		{"R4 brackets", xff, "10.0.0.1:80", []string{"X-Forwarded-For: [2001:DB8::9]"}, "2001:db8::9"},
		{"R4 brackets and port", xff, "10.0.0.1:80", []string{"X-Forwarded-For: [2001:db8::9]:4711"}, "2001:db8::9"},
		{"R4 spaces and tabs", xff, "10.0.0.1:80", []string{"X-Forwarded-For: \t 198.51.100.9\t , \t10.0.0.2 "}, "198.51.100.9"},
		{"R4 last of IPv6 is no port", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 2001:db8::9:80"}, "2001:db8::9:80"},
		{"R4 mapped", xff, "10.0.0.1:80", []string{"X-Forwarded-For: ::ffff:198.51.100.9"}, "198.51.100.9"},
		{"R4 zone of a Go proxy", xff, "10.0.0.1:80", []string{"X-Forwarded-For: fe80::9%eth0"}, "fe80::9"},

		{"R5 name", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9, unknown"}, refused},
		{"R5 quotes", xff, "10.0.0.1:80", []string{`X-Forwarded-For: "198.51.100.9"`}, refused},
		{"R5 other space", xff, "10.0.0.1:80", []string{"X-Forwarded-For: \u00a0198.51.100.9"}, refused},
		{"R5 two addresses", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9 198.51.100.8"}, refused},
		{"R5 port missing", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9:"}, refused},
		{"R5 port with sign", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9:+80"}, refused},
		{"R5 after brackets", xff, "10.0.0.1:80", []string{"X-Forwarded-For: [2001:db8::9]80"}, refused},
		{"R5 brackets open", xff, "10.0.0.1:80", []string{"X-Forwarded-For: [2001:db8::9"}, refused},
		{"R5 bracket alone", xff, "10.0.0.1:80", []string{"X-Forwarded-For: ["}, refused},
		{"R5 between trusted ones", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9, 10.0.0.300, 10.0.0.2"}, refused},
		{"R5 empty elements", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9,, ,10.0.0.2, \t", "X-Forwarded-For: ,"}, "198.51.100.9"},

		{"R6 all trusted", xff, "10.0.0.1:80", []string{"X-Forwarded-For: , 10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"R7 no header", xff, "10.0.0.1:80", nil, "10.0.0.1"},
		{"R7 empty list", xff, "10.0.0.1:80", []string{"X-Forwarded-For: ", "X-Forwarded-For: ,,"}, "10.0.0.1"},

		{"R8 one", single, "10.0.0.1:80", []string{"X-Real-IP: 198.51.100.9"}, "198.51.100.9"},
		{"R8 trusted value", single, "10.0.0.1:80", []string{"X-Real-IP: 10.0.0.9"}, "10.0.0.9"},
		{"R8 none", single, "10.0.0.1:80", nil, refused},
		{"R8 empty", single, "10.0.0.1:80", []string{"X-Real-IP: "}, refused},
		{"R8 two lines", single, "10.0.0.1:80", []string{"X-Real-IP: 198.51.100.9", "X-Real-IP: 198.51.100.9"}, refused},
		{"R8 two addresses", single, "10.0.0.1:80", []string{"X-Real-IP: 198.51.100.9, 198.51.100.8"}, refused},

		{"R9 token", forwarded, "10.0.0.1:80", []string{"Forwarded: for=198.51.100.9;proto=https;by=10.0.0.1"}, "198.51.100.9"},
		{"R9 case", forwarded, "10.0.0.1:80", []string{"forwarded: By=_x;FOR=198.51.100.9"}, "198.51.100.9"},
		{"R9 quoted with port", forwarded, "10.0.0.1:80", []string{`Forwarded: for="198.51.100.9:4711"`}, "198.51.100.9"},
		{"R9 quoted IPv6", forwarded, "10.0.0.1:80", []string{`Forwarded: For="[2001:db8:cafe::17]:4711"`}, "2001:db8:cafe::17"},
		{"R9 obfuscated port", forwarded, "10.0.0.1:80", []string{`Forwarded: for="198.51.100.9:_p.1-x"`}, "198.51.100.9"},
		{"R9 quoted pairs", forwarded, "10.0.0.1:80", []string{`Forwarded: for="\1\98.51.100.9";x="a\"b\\"`}, "198.51.100.9"},
		{"R9 comma in quotes", forwarded, "10.0.0.1:80", []string{`Forwarded: for=203.0.113.1, for=198.51.100.9;x="a, for=203.0.113.2", for=10.0.0.2`}, "198.51.100.9"},
		{"R9 semicolon and mark in quotes", forwarded, "10.0.0.1:80", []string{`Forwarded: x=";for=203.0.113.2,\"";for=198.51.100.9`}, "198.51.100.9"},
		{"R9 empty pairs", forwarded, "10.0.0.1:80", []string{"Forwarded: ;for=198.51.100.9;;"}, "198.51.100.9"},
		{"R9 open quotation left of the client", forwarded, "10.0.0.1:80", []string{`Forwarded: for=", for=198.51.100.9, for=10.0.0.2`}, "198.51.100.9"},
		{"R9 open quotation in a line before", forwarded, "10.0.0.1:80", []string{`Forwarded: x="`, `Forwarded: for=198.51.100.9;x="y"`}, "198.51.100.9"},
		{"R9 several lines", forwarded, "10.0.0.1:80", []string{"Forwarded: for=203.0.113.1", "Forwarded: for=198.51.100.9", "Forwarded: for=10.0.0.2"}, "198.51.100.9"},
		{"R9 no for", forwarded, "10.0.0.1:80", []string{"Forwarded: for=198.51.100.9, proto=https"}, refused},
		{"R9 two for", forwarded, "10.0.0.1:80", []string{"Forwarded: for=198.51.100.9;For=198.51.100.9"}, refused},
		{"R9 unknown", forwarded, "10.0.0.1:80", []string{"Forwarded: for=unknown"}, refused},
		{"R9 obfuscated", forwarded, "10.0.0.1:80", []string{"Forwarded: for=_hidden"}, refused},
		{"R9 IPv6 without brackets", forwarded, "10.0.0.1:80", []string{`Forwarded: for="2001:db8::1"`}, refused},
		{"R9 IPv6 without quotes", forwarded, "10.0.0.1:80", []string{`Forwarded: for=[2001:db8::1]`}, refused},
		{"R9 port without quotes", forwarded, "10.0.0.1:80", []string{`Forwarded: for=198.51.100.9:80`}, refused},
		{"R9 IPv4 in brackets", forwarded, "10.0.0.1:80", []string{`Forwarded: for="[198.51.100.9]"`}, refused},
		{"R9 space in quotes", forwarded, "10.0.0.1:80", []string{`Forwarded: for=" 198.51.100.9"`}, refused},
		{"R9 space around equals", forwarded, "10.0.0.1:80", []string{`Forwarded: for = 198.51.100.9`}, refused},
		{"R9 open quotation", forwarded, "10.0.0.1:80", []string{`Forwarded: for=198.51.100.9, for="10.0.0.2`}, refused},
		{"R9 text after quotation", forwarded, "10.0.0.1:80", []string{`Forwarded: for="198.51.100.9"x`}, refused},
		{"R9 no value", forwarded, "10.0.0.1:80", []string{`Forwarded: for=`}, refused},
		{"R9 only semicolon", forwarded, "10.0.0.1:80", []string{`Forwarded: for=198.51.100.9, ;`}, refused},
		{"R9 like X-Forwarded-For", forwarded, "10.0.0.1:80", []string{`Forwarded: 198.51.100.9`}, refused},
		{"R9 control character", forwarded, "10.0.0.1:80", []string{"Forwarded: x=\"\x01\";for=198.51.100.9"}, refused},

		{"R10 another header", xff, "10.0.0.1:80", []string{"Forwarded: for=198.51.100.9", "X-Real-IP: 198.51.100.8", "X_Forwarded_For: 198.51.100.7"}, "10.0.0.1"},
		{"R10 case", xff, "10.0.0.1:80", []string{"x-FORWARDED-for: 198.51.100.9"}, "198.51.100.9"},
		{"R10 connection", xff, "10.0.0.1:80", []string{"Connection: X-Forwarded-For, close", "X-Forwarded-For: 198.51.100.9"}, "198.51.100.9"},

		{"R11 long list, near client", xff, "10.0.0.1:80", []string{"X-Forwarded-For: " + strings.Repeat("203.0.113.1,", 9000) + "198.51.100.9, 10.0.0.2"}, "198.51.100.9"},
		{"R11 long list of trusted", xff, "10.0.0.1:80", []string{"X-Forwarded-For: " + strings.Repeat("10.0.0.2,", 9000)}, refused},
		{"R11 commas", xff, "10.0.0.1:80", []string{"X-Forwarded-For: " + strings.Repeat(",", 64<<10)}, refused},

		{"R12 mapped peer of an IPv4 prefix", xff, "[::ffff:10.0.0.1]:80", []string{"X-Forwarded-For: 198.51.100.9"}, "198.51.100.9"},
		{"R12 mapped hop", xff, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9, ::ffff:10.0.0.2"}, "198.51.100.9"},
		{"R12 mapped prefix", clientip.Config{Source: clientip.XForwardedFor, Trusted: []string{"::ffff:10.0.0.0/104"}}, "10.9.9.9:80", []string{"X-Forwarded-For: 198.51.100.9"}, "198.51.100.9"},
		{"R12 all IPv6 is no IPv4", clientip.Config{Source: clientip.XForwardedFor, Trusted: []string{"::/0"}}, "[::ffff:10.9.9.9]:80", []string{"X-Forwarded-For: 198.51.100.9"}, "10.9.9.9"},
		{"R12 compatible", xff, "[::10.0.0.1]:80", []string{"X-Forwarded-For: 198.51.100.9"}, "::a00:1"},
		{"R12 NAT64", xff, "[64:ff9b::10.0.0.1]:80", []string{"X-Forwarded-For: 198.51.100.9"}, "64:ff9b::a00:1"},
		{"R12 6to4", xff, "[2002:a00:1::]:80", []string{"X-Forwarded-For: 198.51.100.9"}, "2002:a00:1::"},

		{"R14 not trusted", xff, "@", []string{"X-Forwarded-For: 198.51.100.9"}, refused},
		{"R14 not trusted path", xff, "/run/x.sock", []string{"X-Forwarded-For: 198.51.100.9"}, refused},
		{"R14 trusted", unix(xff), "@", []string{"X-Forwarded-For: 198.51.100.9, 10.0.0.2"}, "198.51.100.9"},
		{"R14 trusted path", unix(xff), "/run/x.sock", []string{"X-Forwarded-For: 198.51.100.9"}, "198.51.100.9"},
		{"R14 trusted without header", unix(xff), "@", nil, refused},
		{"R14 trusted with all trusted", unix(xff), "@", []string{"X-Forwarded-For: 10.0.0.2"}, "10.0.0.2"},
		{"R14 a name is no socket", unix(xff), "localhost", []string{"X-Forwarded-For: 198.51.100.9"}, refused},
		{"R14 nothing is no socket", unix(xff), "", []string{"X-Forwarded-For: 198.51.100.9"}, refused},
		{"R14 peer has no address", clientip.Config{TrustUnix: true}, "@", nil, refused},

		{"R15 second", hops2, "10.0.0.1:80", []string{"X-Forwarded-For: 203.0.113.1, 198.51.100.9", "X-Forwarded-For: ,203.0.113.2"}, "198.51.100.9"},
		{"R15 fewer", hops2, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9,"}, refused},
		{"R15 none", hops2, "10.0.0.1:80", nil, refused},
		{"R15 malformed", hops2, "10.0.0.1:80", []string{"X-Forwarded-For: junk, 10.0.0.2"}, refused},
		{"R15 malformed on the way", hops2, "10.0.0.1:80", []string{"X-Forwarded-For: 198.51.100.9, junk"}, refused},
		{"R15 left of it", hops2, "10.0.0.1:80", []string{"X-Forwarded-For: junk, 198.51.100.9, 10.0.0.2"}, "198.51.100.9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := clientip.New(c.config)
			require.NoError(t, err)
			req := request(c.peer, c.lines...)
			before := req.Header.Clone()
			got, err := r.Resolve(req)
			require.Equal(t, before, req.Header)
			require.Equal(t, c.peer, req.RemoteAddr)
			if c.want == refused {
				var u *clientip.UnresolvedError
				require.ErrorAs(t, err, &u)
				require.NotEmpty(t, u.Cause)
				require.False(t, got.IsValid())
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got.String())
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"", "junk", "10.0.0.0/33", "10.0.0", "010.0.0.1", "fe80::1%eth0", "proxy.example", "10.0.0.1:80", " 10.0.0.1"} {
		_, err := clientip.New(clientip.Config{Trusted: []string{"10.0.0.1", entry}})
		require.ErrorContains(t, err, "Config.Trusted[1]", entry)
	}
	for _, n := range []int{0, -1} {
		_, err := clientip.New(clientip.Config{Source: clientip.HopCount, Hops: n, Trusted: proxies})
		require.ErrorContains(t, err, "Config.Hops")
	}
	for _, header := range []string{"", "X Real", "x-forwarded-for", "FORWARDED", "X:"} {
		_, err := clientip.New(clientip.Config{Source: clientip.SingleHeader, Header: header, Trusted: proxies})
		require.ErrorContains(t, err, "Config.Header", header)
	}
	_, err := clientip.New(clientip.Config{Source: 99})
	require.ErrorContains(t, err, "Config.Source")
}

// TestUnixSocket serves on a real one.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, trust := range []bool{true, false} {
		listener, err := net.Listen("unix", filepath.Join(dir, fmt.Sprint(trust)))
		require.NoError(t, err)
		c := xff
		c.TrustUnix = trust
		r, err := clientip.New(c)
		require.NoError(t, err)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			addr, err := r.Resolve(req)
			fmt.Fprint(w, addr, err != nil)
		}))
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
		client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", listener.Addr().String())
		}}}
		req, err := http.NewRequest(http.MethodGet, "http://x/", nil)
		require.NoError(t, err)
		req.Header.Set("X-Forwarded-For", "198.51.100.9")
		res, err := client.Do(req)
		require.NoError(t, err)
		var b [100]byte
		n, _ := res.Body.Read(b[:])
		res.Body.Close()
		want := "198.51.100.9 false"
		if !trust {
			want = "invalid IP true"
		}
		require.Equal(t, want, string(b[:n]))
	}
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	var events []audit.Event
	c := xff
	c.Audit = audit.RecorderFunc(func(_ context.Context, e audit.Event) error { events = append(events, e); return nil })
	r, err := clientip.New(c)
	require.NoError(t, err)
	var origin portalsec.Origin
	h := r.Middleware()(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		origin, _ = portalsec.OriginFrom(req.Context())
		require.Equal(t, "10.0.0.1:80", req.RemoteAddr)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("10.0.0.1:80", "X-Forwarded-For: 198.51.100.9"))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "198.51.100.9", origin.Addr.String())
	require.Empty(t, events)

	origin = portalsec.Origin{}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, request("10.0.0.1:80", "X-Forwarded-For: 198.51.100.9, <script>"))
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.NotContains(t, w.Body.String(), "script")
	require.False(t, origin.Addr.IsValid())
	require.Len(t, events, 1)
	require.Equal(t, audit.NetworkRefused, events[0].Kind)
	require.Equal(t, audit.Denied, events[0].Outcome)
	require.Equal(t, "client-unknown", events[0].Reason)
	require.Equal(t, []audit.Detail{{Name: "cause", Value: clientip.CauseEntry}}, events[0].Details)
}

func TestMiddlewareDeny(t *testing.T) {
	t.Parallel()
	r, err := clientip.New(clientip.Config{Audit: audit.Discard, Deny: func(w http.ResponseWriter, _ *http.Request, d portalsec.Denial) {
		w.WriteHeader(d.Status + 10)
	}})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	r.Middleware()(http.NotFoundHandler()).ServeHTTP(w, request("nobody"))
	require.Equal(t, http.StatusGone, w.Code)
}
