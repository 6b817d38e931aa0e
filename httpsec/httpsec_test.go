// SPDX-License-Identifier: Apache-2.0

package httpsec_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/httpsec"
	"github.com/stretchr/testify/require"
)

// recorder keeps the events of one test.
type recorder struct{ events []audit.Event }

func (r *recorder) Record(ctx context.Context, e audit.Event) error {
	r.events = append(r.events, audit.Prepare(ctx, e))
	return errors.New("disk full")
}

func get(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func headers(t testing.TB, c httpsec.Config, h http.HandlerFunc) http.Handler {
	t.Helper()
	m, err := httpsec.Headers(c)
	require.NoError(t, err)
	return m(h)
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	var nonce string
	h := headers(t, httpsec.Config{}, func(_ http.ResponseWriter, r *http.Request) { nonce = httpsec.Nonce(r.Context()) })
	w := get(h, httptest.NewRequest(http.MethodGet, "http://portal.example/", nil))
	require.Len(t, nonce, 26)
	require.Equal(t, "default-src 'none'; script-src 'nonce-"+nonce+"'; style-src 'self' 'nonce-"+nonce+"'; img-src 'self' data:; connect-src 'self'; "+
		"font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'", w.Header().Get("Content-Security-Policy"))
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store", "Strict-Transport-Security": "",
	} {
		require.Equal(t, want, w.Header().Get(name), name)
	}
	require.Contains(t, w.Header().Get("Permissions-Policy"), "publickey-credentials-get=(self)")
	require.Contains(t, w.Header().Get("Permissions-Policy"), "publickey-credentials-create=(self)")
	require.Contains(t, w.Header().Get("Permissions-Policy"), "camera=()")

	before := nonce
	get(h, httptest.NewRequest(http.MethodGet, "/", nil))
	require.NotEqual(t, before, nonce)
	require.Empty(t, httpsec.Nonce(t.Context()))
}

func TestHeadersOfAHandler(t *testing.T) {
	t.Parallel()
	h := headers(t, httpsec.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/static" {
			w.Header().Set("Cache-Control", "public, max-age=3600")
		}
		w.Header().Add("X-Frame-Options", "more")
		w.Header().Add("Content-Security-Policy", "sandbox")
	})
	w := get(h, httptest.NewRequest(http.MethodGet, "/static", nil))
	require.Equal(t, []string{"public, max-age=3600"}, w.Header().Values("Cache-Control"))
	require.Equal(t, []string{"DENY", "more"}, w.Header().Values("X-Frame-Options"))
	require.Equal(t, "same-origin", w.Header().Get("Referrer-Policy"))
	require.Len(t, w.Header().Values("Content-Security-Policy"), 2)
	w = get(h, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}

func TestHSTS(t *testing.T) {
	t.Parallel()
	plain := httptest.NewRequest(http.MethodGet, "http://portal.example/", nil)
	secure := httptest.NewRequest(http.MethodGet, "https://portal.example/", nil)
	spoofed := httptest.NewRequest(http.MethodGet, "http://portal.example/", nil)
	spoofed.Header.Set("X-Forwarded-Proto", "https")
	const hsts = "max-age=63072000; includeSubDomains"
	for _, c := range []struct {
		config httpsec.Config
		r      *http.Request
		want   string
	}{
		{httpsec.Config{}, plain, ""},
		{httpsec.Config{}, spoofed, ""},
		{httpsec.Config{}, secure, hsts},
		{httpsec.Config{HSTS: true}, plain, hsts},
		{httpsec.Config{HSTS: true, HSTSMaxAge: time.Hour}, plain, "max-age=3600; includeSubDomains"},
	} {
		w := get(headers(t, c.config, func(http.ResponseWriter, *http.Request) {}), c.r)
		require.Equal(t, c.want, w.Header().Get("Strict-Transport-Security"))
	}
	for _, age := range []time.Duration{-1, -time.Hour, 1, time.Second - 1} { // max-age=0 makes browsers forget
		_, err := httpsec.Headers(httpsec.Config{HSTSMaxAge: age})
		require.ErrorContains(t, err, "Config.HSTSMaxAge", age)
	}
}

func TestCSP(t *testing.T) {
	t.Parallel()
	csp := map[string][]string{"img-src": {"https://img.example"}, "media-src": {"'self'"}, "frame-ancestors": {"https://intranet.example"}, "script-src": {"https://js.example/a.js"}}
	w := get(headers(t, httpsec.Config{CSP: csp}, func(http.ResponseWriter, *http.Request) {}), httptest.NewRequest(http.MethodGet, "/", nil))
	got := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{
		"; img-src 'self' data: https://img.example; ", "; frame-ancestors https://intranet.example; ", "; base-uri 'none'; media-src 'self'", "' https://js.example/a.js; ",
	} {
		require.Contains(t, got, want)
	}
	for _, bad := range []map[string][]string{
		{"": {"'self'"}}, {"img src": {"'self'"}}, {"Img-Src": {"'self'"}}, {"img-src;script-src": {"x"}}, {"img-src": {""}}, {"img-src": {"a b"}},
		{"img-src": {"x;script-src *"}}, {"img-src": {"a,b"}}, {"img-src": {"a\r\nX: y"}}, {"img-src": {"\x00"}}, {"img-src": {"é"}},
		{"script-src": {"'unsafe-inline'"}}, {"script-src": {"'UNSAFE-EVAL'"}}, {"script-src-elem": {"*"}}, {"script-src": {"data:"}}, {"default-src": {"https:"}},
		{"script-src": {"https://*"}}, {"script-src": {"HTTP://*:*"}}, {"script-src": {"*:*"}}, {"default-src": {"*:443"}}, {"script-src": {"*/a.js"}},
		{"script-src": {"https://*:443/a/"}}, {"script-src-elem": {"blob:"}}, {"script-src": {"filesystem:"}},
	} {
		_, err := httpsec.Headers(httpsec.Config{CSP: bad})
		require.ErrorContains(t, err, "httpsec: Config.CSP", bad)
	}
	for _, good := range []map[string][]string{
		{"script-src": {"https://*.example.org:443/a/"}}, {"script-src": {"js.example:*"}}, {"script-src": {"'sha256-a/b+c='"}}, {"img-src": {"https://*", "blob:"}},
	} {
		_, err := httpsec.Headers(httpsec.Config{CSP: good})
		require.NoError(t, err, good)
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	rec := &recorder{}
	m, err := httpsec.CrossOrigin(httpsec.Config{Audit: rec, TrustedOrigins: []string{"https://partner.example"}})
	require.NoError(t, err)
	h := m(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for _, c := range []struct {
		method, site, origin string
		want                 int
	}{
		{"GET", "cross-site", "https://evil.example", 204},
		{"POST", "same-origin", "", 204},
		{"POST", "none", "", 204},
		{"POST", "", "", 204},
		{"POST", "", "https://portal.example", 204},
		{"POST", "cross-site", "https://partner.example", 204},
		{"POST", "cross-site", "https://evil.example", 403},
		{"POST", "same-site", "https://blog.portal.example", 403},
		{"POST", "", "https://evil.example", 403},
		{"POST", "", "null", 403},
		{"DELETE", "cross-site", "", 403},
	} {
		rec.events = nil
		r := httptest.NewRequest(c.method, "https://portal.example/x", nil)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := get(h, r)
		require.Equal(t, c.want, w.Code, c)
		if c.want == 204 {
			require.Empty(t, rec.events)
			continue
		}
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		require.Len(t, rec.events, 1)
		require.Equal(t, audit.HTTPCrossOrigin, rec.events[0].Kind)
		require.Equal(t, audit.Denied, rec.events[0].Outcome)
	}
	_, err = httpsec.CrossOrigin(httpsec.Config{TrustedOrigins: []string{"https://a.example", "partner.example"}})
	require.ErrorContains(t, err, "Config.TrustedOrigins[1]")
}

func TestLimit(t *testing.T) {
	t.Parallel()
	var read int
	var readErr error
	reached := false
	h := httpsec.Limit(10, nil)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached = true
		b, err := io.ReadAll(r.Body)
		read, readErr = len(b), err
	}))
	post := func(body string, announced bool) *httptest.ResponseRecorder {
		reached = false
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		if !announced {
			r.ContentLength = -1
		}
		return get(h, r)
	}
	for _, announced := range []bool{true, false} {
		require.Equal(t, http.StatusOK, post("1234567890", announced).Code)
		require.Equal(t, 10, read)
		require.NoError(t, readErr)
	}
	w := post("12345678901", true)
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.Contains(t, w.Body.String(), "body-too-large")
	require.Equal(t, "close", w.Header().Get("Connection"))
	require.False(t, reached)
	post("12345678901", false)
	var tooLarge *http.MaxBytesError
	require.ErrorAs(t, readErr, &tooLarge)
	require.Equal(t, int64(10), tooLarge.Limit)
	require.Equal(t, http.StatusRequestEntityTooLarge, get(httpsec.Limit(-1, nil)(h), httptest.NewRequest(http.MethodPost, "/", strings.NewReader("1"))).Code)
}

// TestLimitClosesConnection: the server is told of a body that turns out too long, through other wrappers.
func TestLimitClosesConnection(t *testing.T) {
	t.Parallel()
	h := portalsec.Chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		fmt.Fprint(w, err != nil)
	}), httpsec.Recover(audit.Discard, nil), audit.Middleware(audit.Discard), httpsec.Limit(10, nil))
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	res, err := http.Post(server.URL, "text/plain", io.MultiReader(strings.NewReader(strings.Repeat("x", 1000))))
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "true", string(b))
	require.True(t, res.Close, "the connection stays open")
}

func thrower(v any) { panic(v) }

func noMap() map[string]int { return nil }

func TestRecover(t *testing.T) {
	t.Parallel()
	const secret = "s3cret of Mrs. Example"
	for name, f := range map[string]http.HandlerFunc{
		"text":  func(http.ResponseWriter, *http.Request) { thrower(secret) },
		"error": func(http.ResponseWriter, *http.Request) { thrower(errors.New(secret)) },
		"nil map": func(http.ResponseWriter, *http.Request) {
			noMap()[secret] = 1
		},
		"with headers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", "image/png")
			w.WriteHeader(http.StatusEarlyHints)
			thrower(secret)
		},
	} {
		rec := &recorder{}
		h := portalsec.Chain(f, httpsec.Recover(rec, nil), audit.Middleware(audit.Discard))
		w := get(h, httptest.NewRequest(http.MethodPost, "/", nil))
		if name != "with headers" { // httptest takes the early hints for the status
			require.Equal(t, http.StatusInternalServerError, w.Code, name)
		}
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), name)
		require.Empty(t, w.Header().Get("Content-Length"), name)
		require.Empty(t, w.Header().Get("Content-Encoding"), name)
		require.NotContains(t, w.Body.String(), "s3cret")
		require.NotContains(t, w.Body.String(), ".go")
		require.Len(t, rec.events, 1, name)
		e := rec.events[0]
		require.Equal(t, audit.HTTPPanic, e.Kind)
		require.Equal(t, audit.Critical, e.Severity)
		require.Equal(t, "type", e.Details[0].Name)
		require.Equal(t, "at", e.Details[1].Name)
		require.Contains(t, e.Details[1].Value, "TestRecover")
		require.Contains(t, e.Details[1].Value, "httpsec_test.go:")
		require.False(t, strings.HasPrefix(e.Details[1].Value, "github.com/portalsec/portalsec/audit"), e.Details[1].Value)
		require.NotContains(t, fmt.Sprint(e), "s3cret")
	}
}

func TestRecoverOfBegunResponse(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(w http.ResponseWriter){
		"write":  func(w http.ResponseWriter) { _, _ = io.WriteString(w, "half a page") },
		"header": func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
		"flush":  func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
	} {
		rec := &recorder{}
		server := httptest.NewServer(httpsec.Recover(rec, nil)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			begin(w)
			thrower("x")
		})))
		res, err := http.Get(server.URL)
		if err == nil {
			b, readErr := io.ReadAll(res.Body)
			require.NoError(t, res.Body.Close())
			require.NotContains(t, string(b), "internal")
			err = readErr
		}
		require.Error(t, err, "%s: the client takes half a page for a whole one", name)
		server.Close()
		require.Len(t, rec.events, 1)
		require.Zero(t, rec.events[0].Status)
	}
}

func TestRecoverPassesAbort(t *testing.T) {
	t.Parallel()
	rec := &recorder{}
	h := httpsec.Recover(rec, nil)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { get(h, httptest.NewRequest(http.MethodGet, "/", nil)) })
	require.Empty(t, rec.events)
}

// TestWrapperUnwraps: deadlines reach the connection through the wrapper.
func TestWrapperUnwraps(t *testing.T) {
	t.Parallel()
	var err error
	server := httptest.NewServer(httpsec.Recover(nil, nil)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		err = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
	})))
	defer server.Close()
	res, getErr := http.Get(server.URL)
	require.NoError(t, getErr)
	require.NoError(t, res.Body.Close())
	require.NoError(t, err)
}

func TestServer(t *testing.T) {
	t.Parallel()
	s := httpsec.Server(httpsec.Config{Addr: "127.0.0.1:0"})
	require.Equal(t, "127.0.0.1:0", s.Addr)
	for name, d := range map[string]time.Duration{"ReadHeaderTimeout": s.ReadHeaderTimeout, "ReadTimeout": s.ReadTimeout, "WriteTimeout": s.WriteTimeout, "IdleTimeout": s.IdleTimeout} {
		require.Positive(t, d, name)
	}
	require.Equal(t, 64<<10, s.MaxHeaderBytes)
	require.Equal(t, http.StatusNotFound, get(s.Handler, httptest.NewRequest(http.MethodGet, "/", nil)).Code)

	big := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("x"))
	big.ContentLength = 32<<20 + 1
	require.Equal(t, http.StatusRequestEntityTooLarge, get(s.Handler, big).Code)
	require.Equal(t, http.StatusNotFound, get(httpsec.Server(httpsec.Config{MaxBody: -1}).Handler, big).Code)
	require.Equal(t, time.Hour, httpsec.Server(httpsec.Config{WriteTimeout: time.Hour}).WriteTimeout)
}

// TestServerRefusesLargeHeader reads the answer to a header past the limit from a real connection.
func TestServerRefusesLargeHeader(t *testing.T) {
	t.Parallel()
	s := httpsec.Server(httpsec.Config{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { _ = s.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	go func() {
		_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Big: %s\r\n\r\n", strings.Repeat("x", 128<<10))
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, res.StatusCode)
}

func BenchmarkHeaders(b *testing.B) {
	h := headers(b, httpsec.Config{}, func(http.ResponseWriter, *http.Request) {})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.TLS = &tls.ConnectionState{}
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		clear(w.Header())
		h.ServeHTTP(w, r)
	}
}
