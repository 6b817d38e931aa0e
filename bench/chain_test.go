// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/crypto"
	"github.com/portalsec/portalsec/httpsec"
	"github.com/portalsec/portalsec/ipfilter"
	"github.com/portalsec/portalsec/ipfilter/clientip"
	"github.com/portalsec/portalsec/mfa"
	"github.com/portalsec/portalsec/rbac"
	"github.com/stretchr/testify/require"
)

const (
	tenant = "acme"
	client = "203.0.113.9" // behind the proxy, in an allowed country
	proxy  = "10.0.0.1"
)

var ticketRead = rbac.Permission("ticket.read", "read tickets")

const policy = `roles: {agent: {description: "answers", allow: [ticket.read]}}`

// answer is the handler that is guarded: as little as a handler can do, so that the guard is what is measured.
func answer(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// step is one middleware of the chain.
type step struct {
	name string
	m    portalsec.Middleware
}

// portal is everything that stands around the handler, with one signed-in agent.
type portal struct {
	steps  []step // outermost first
	mux    http.Handler
	cookie *http.Cookie
}

// newPortal wires the packages as examples/portal does, on memory stores. It records to rec.
func newPortal(tb testing.TB, rec audit.Recorder) *portal {
	tb.Helper()
	ctx := tb.Context()
	made := func(err error) { require.NoError(tb, err) }
	var p portal

	clients, err := clientip.New(clientip.Config{Source: clientip.XForwardedFor, Trusted: []string{"10.0.0.0/8"}, Audit: rec})
	made(err)
	network, err := ipfilter.New(ipfilter.Config{Country: countries(tb), Audit: rec, Rules: ipfilter.Rules{
		Deny:           []ipfilter.PrefixRule{{Prefix: "198.51.100.0/24"}, {Prefix: "2001:db8:bad::/48"}},
		AllowCountries: []string{"AT", "DE"},
	}})
	made(err)
	web := httpsec.Config{Audit: rec}
	headers, err := httpsec.Headers(web)
	made(err)
	sameSite, err := httpsec.CrossOrigin(web)
	made(err)

	keyFile := filepath.Join(tb.TempDir(), "root.key")
	made(crypto.GenerateKeyFile(keyFile))
	root, err := crypto.OpenKeyFile(keyFile)
	made(err)
	ring, err := crypto.New(ctx, crypto.Config{Root: root, Store: crypto.NewMemory(), Audit: rec})
	made(err)
	permissions, err := rbac.NewCatalog(ticketRead)
	made(err)
	roles, err := rbac.Open(ctx, permissions, rbac.Config{
		Policy: fstest.MapFS{"policy.yaml": {Data: []byte(policy)}}, Assignments: rbac.NewMemory(), Audit: rec,
	})
	made(err)
	factors, err := mfa.New(mfa.Config{Store: mfa.NewMemory(), Sealer: ring.Field("mfa", "secret"), Issuer: "Portal", Audit: rec})
	made(err)
	sessions, err := session.New(session.Config{Store: session.NewMemory(), Sealer: ring.Field("session", "where"), Audit: rec})
	made(err)
	hasher, err := password.New(password.Config{})
	made(err)
	rules, err := password.NewPolicy(password.PolicyConfig{})
	made(err)
	attempts, err := throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: []byte(rand.Text())})
	made(err)
	store := auth.NewMemory()
	accounts, err := auth.New(auth.Config{
		Accounts: store, OneTime: store, Profile: ring.Field("account", "profile", crypto.WithIndex(crypto.NormaliseEmail)),
		Hasher: hasher, Policy: rules, Sessions: sessions, Throttle: attempts, Roles: roles, SecondFactor: factors, Audit: rec,
	})
	made(err)

	secret := password.Generate()
	agent, err := accounts.CreateAccount(ctx, auth.NewAccount{Tenant: tenant, Email: "ann@example.com", Password: secret})
	made(err)
	made(roles.AssignWithoutGrantor(ctx, rbac.Assignment{Tenant: tenant, Scope: tenant, Subject: agent.ID, Role: "agent"}))
	w, login := httptest.NewRecorder(), httptest.NewRequest("POST", "/login", nil)
	_, err = accounts.Login(ctx, w, login, auth.Credentials{Email: "ann@example.com", Password: secret})
	made(err)
	login.AddCookie(w.Result().Cookies()[0])
	w = httptest.NewRecorder()
	_, err = accounts.CompleteLogin(ctx, w, login, portalsec.FactorProof{Kind: portalsec.FactorTOTP, At: time.Now()})
	made(err)
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-session" {
			p.cookie = c
		}
	}
	require.NotNil(tb, p.cookie)

	mux := rbac.NewMux(roles)
	mux.HandleFunc("GET /tickets", rbac.Need(ticketRead), answer)
	mux.HandleFunc("POST /tickets", rbac.Need(ticketRead), answer)
	p.mux = mux
	p.steps = []step{
		{"recover", httpsec.Recover(rec, nil)},
		{"headers", headers},
		{"clientip", clients.Middleware()},
		{"ipfilter", network.Middleware()},
		{"cross-origin", sameSite},
		{"session", accounts.Middleware()},
		{"second factor", factors.Enforce()},
		{"audit", audit.Middleware(rec)},
	}
	return &p
}

// countries is a country file in which the client and the two ends of the Internet have one.
func countries(tb testing.TB) *ipfilter.CountryDB {
	tb.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Country", IncludeReservedNetworks: true})
	require.NoError(tb, err)
	for prefix, code := range map[string]string{"203.0.113.0/24": "AT", "8.0.0.0/8": "US", "2003::/19": "DE"} {
		p := netip.MustParsePrefix(prefix)
		require.NoError(tb, tree.Insert(ipNet(p), mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}))
	}
	name := filepath.Join(tb.TempDir(), "country.mmdb")
	f, err := os.Create(name)
	require.NoError(tb, err)
	_, err = tree.WriteTo(f)
	require.NoError(tb, err)
	require.NoError(tb, f.Close())
	db, err := ipfilter.OpenCountryDB(name)
	require.NoError(tb, err)
	return db
}

// chain wraps the mux in the steps from the n-th innermost on.
func (p *portal) chain() http.Handler {
	var m []portalsec.Middleware
	for _, s := range p.steps {
		m = append(m, s.m)
	}
	return portalsec.Chain(p.mux, m...)
}

// request is one as the proxy sends it.
func (p *portal) request(method string) *http.Request {
	r := httptest.NewRequest(method, "https://portal.example/tickets", nil)
	r.RemoteAddr = proxy + ":4711"
	r.Header.Set("X-Forwarded-For", client)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Accept", "text/html")
	r.AddCookie(p.cookie)
	return r
}

func bare() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tickets", answer)
	mux.HandleFunc("POST /tickets", answer)
	return mux
}

// What is measured must be a chain that lets the request in, and would not let others in.
func TestChainGuards(t *testing.T) {
	t.Parallel()
	p := newPortal(t, audit.Discard)
	h := p.chain()
	status := func(change func(*http.Request)) int {
		r := p.request("POST")
		r.Header.Set("Accept", "application/json")
		change(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, 200, status(func(*http.Request) {}))
	require.Equal(t, 200, status(func(*http.Request) {}), "and again")
	require.Equal(t, 401, status(func(r *http.Request) { r.Header.Del("Cookie") }), "no session")
	require.Equal(t, 403, status(func(r *http.Request) { r.Header.Set("X-Forwarded-For", "8.8.8.8") }), "another country")
	require.Equal(t, 403, status(func(r *http.Request) { r.Header.Set("X-Forwarded-For", "198.51.100.1") }), "a denied network")
	require.Equal(t, 403, status(func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }), "another site")
	require.GreaterOrEqual(t, status(func(r *http.Request) { r.Header.Set("X-Forwarded-For", "nonsense") }), 400)
}

// sink is a response writer that keeps the last status and nothing else.
type sink struct {
	h      http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

func run(b *testing.B, h http.Handler, r *http.Request) {
	b.ReportAllocs()
	w := &sink{h: http.Header{}}
	for b.Loop() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
	if w.status >= 400 {
		b.Fatalf("the request was refused with %d: that is not what is measured", w.status)
	}
}

// BenchmarkChain calls the handlers directly: what the chain costs of a processor.
func BenchmarkChain(b *testing.B) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	for _, method := range []string{"GET", "POST"} {
		p := newPortal(b, audit.Discard)
		b.Run(method+"/bare", func(b *testing.B) { run(b, bare(), p.request(method)) })
		b.Run(method+"/whole", func(b *testing.B) { run(b, p.chain(), p.request(method)) })
	}
	events, err := ledger.Open(ledger.Config{Dir: b.TempDir()})
	require.NoError(b, err)
	defer events.Close()
	p := newPortal(b, events)
	b.Run("POST/whole, event on disk", func(b *testing.B) { run(b, p.chain(), p.request("POST")) })
}

// BenchmarkStep adds one step after the other, the innermost first: what each of them costs is the difference
// to the line before.
func BenchmarkStep(b *testing.B) {
	p := newPortal(b, audit.Discard)
	full := p.request("POST")
	// What the steps left out would have put into the context.
	var inner *http.Request
	steps := p.steps
	portalsec.Chain(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inner = r }), middlewares(steps)...).
		ServeHTTP(httptest.NewRecorder(), full)
	require.NotNil(b, inner)
	b.Run("rbac", func(b *testing.B) { run(b, p.mux, inner) })
	for i := len(steps) - 1; i >= 0; i-- {
		b.Run("+ "+steps[i].name, func(b *testing.B) { run(b, portalsec.Chain(p.mux, middlewares(steps[i:])...), inner) })
	}
}

func middlewares(steps []step) (m []portalsec.Middleware) {
	for _, s := range steps {
		m = append(m, s.m)
	}
	return m
}

// BenchmarkServer asks over HTTP on this machine: what a visitor would notice.
func BenchmarkServer(b *testing.B) {
	p := newPortal(b, audit.Discard)
	for _, tc := range []struct {
		name string
		h    http.Handler
	}{{"bare", bare()}, {"whole", p.chain()}} {
		b.Run(tc.name, func(b *testing.B) {
			srv := httptest.NewTLSServer(tc.h)
			defer srv.Close()
			c := srv.Client()
			at, err := url.Parse(srv.URL)
			require.NoError(b, err)
			c.Jar, err = cookiejar.New(nil)
			require.NoError(b, err)
			c.Jar.SetCookies(at, []*http.Cookie{p.cookie})
			b.ReportAllocs()
			for b.Loop() {
				resp, err := c.Get(srv.URL + "/tickets")
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 {
					b.Fatal(resp.Status)
				}
			}
		})
	}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
