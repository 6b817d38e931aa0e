// SPDX-License-Identifier: Apache-2.0

package portalsec_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/stretchr/testify/require"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func deny(accept string, d portalsec.Denial) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/tickets", nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	portalsec.Deny(w, r, d)
	return w
}

func TestDenyProblem(t *testing.T) {
	t.Parallel()
	w := deny("", portalsec.Denial{
		Status: 401, Code: "sign-in-required", Title: "Sign in first", Detail: "Your session has ended.", Next: "/login?next=%2F",
	})
	require.Equal(t, 401, w.Code)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "Accept", w.Header().Get("Vary"))
	require.JSONEq(t, `{"type":"about:blank","title":"Sign in first","status":401,"detail":"Your session has ended.",
		"code":"sign-in-required","next":"/login?next=%2F"}`, w.Body.String())
}

func TestDenyZeroIsForbidden(t *testing.T) {
	t.Parallel()
	w := deny("", portalsec.Denial{})
	require.Equal(t, 403, w.Code)
	require.JSONEq(t, `{"type":"about:blank","title":"Forbidden","status":403}`, w.Body.String())
}

func TestDenyPage(t *testing.T) {
	t.Parallel()
	w := deny(browser, portalsec.Denial{Status: 503, Title: "Back <soon>", Detail: `<script>alert("x")</script>`})
	require.Equal(t, 503, w.Code)
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Contains(t, w.Body.String(), "<h1>Back &lt;soon&gt;</h1>")
	require.NotContains(t, w.Body.String(), "<script>")
}

func TestDenyRedirectsABrowser(t *testing.T) {
	t.Parallel()
	w := deny(browser, portalsec.Denial{Status: 401, Next: "/login?next=%2Ftickets"})
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Equal(t, "/login?next=%2Ftickets", w.Header().Get("Location"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}

func TestDenyNeverLeavesTheSite(t *testing.T) {
	t.Parallel()
	for _, next := range []string{
		"https://evil.example/", "//evil.example/", `/\evil.example/`, `\\evil.example`, "/\t/evil.example", "/\n/evil.example",
		"javascript:alert(1)", "login", " /login", "/login\r\nSet-Cookie: a=b", "/a\x00b", `/x\..\y`,
	} {
		w := deny(browser, portalsec.Denial{Status: 401, Next: next})
		require.Equal(t, 401, w.Code, "%q", next)
		require.Empty(t, w.Header().Get("Location"), "%q", next)
		require.NotContains(t, deny("", portalsec.Denial{Next: next}).Body.String(), "next", "%q", next)
	}
}

func TestSameSite(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/": true, "/login": true, "/login?next=%2Fa%0A&b=//x": true, "/a//b": true, "/ü": true,
		"": false, "login": false, " /login": false, "//evil.example": false, `/\evil.example`: false, `/a\b`: false, "https://evil.example/": false,
		"/\t/evil.example": false, "/lo\ngin": false, "/a\x7f": false, "\n//evil.example": false,
	} {
		if got := portalsec.SameSite(path); got != want {
			t.Errorf("SameSite(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestDenyRetryAfter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		after time.Duration
		want  string
	}{
		{0, ""}, {-time.Second, ""}, {time.Nanosecond, "1"}, {time.Second, "1"}, {1001 * time.Millisecond, "2"}, {time.Hour, "3600"},
	} {
		w := deny("", portalsec.Denial{Status: 429, RetryAfter: tc.after})
		if got := w.Header().Get("Retry-After"); got != tc.want {
			t.Errorf("RetryAfter %v gives header %q, want %q", tc.after, got, tc.want)
		}
	}
}

// A handler that prepared an answer of its own before it was refused must not shape the refusal.
func TestDenyDropsHeadersOfTheAnswerIntended(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Disposition", "attachment; filename=report.pdf")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("Etag", `"1"`)
		portalsec.Deny(w, r, portalsec.Denial{Status: 500})
	}))
	t.Cleanup(srv.Close)
	resp, err := srv.Client().Get(srv.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.True(t, json.Valid(body), "%s", body)
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	for _, name := range []string{"Content-Encoding", "Content-Disposition", "Etag"} {
		require.Empty(t, resp.Header.Get(name), name)
	}
}

func TestPrefersHTML(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		accept []string
		want   bool
	}{
		{"none", nil, false},
		{"anything", []string{"*/*"}, false},
		{"a browser", []string{browser}, true},
		{"a program", []string{"application/json"}, false},
		{"a program that knows problems", []string{"application/problem+json, text/html;q=0.5"}, false},
		{"both alike", []string{"text/html, application/json"}, false},
		{"HTML first by weight", []string{"application/json;q=0.8, text/html;q=0.9"}, true},
		{"HTML refused", []string{"text/html;q=0"}, false},
		{"two lines", []string{"application/json;q=0.1", "text/html"}, true},
		{"capitals", []string{"Text/HTML;Q=0.7, application/json;Q=0.6"}, true},
		{"spaces", []string{" text/html ; charset=utf-8 ; q=0.7 "}, true},
		{"weight not a number", []string{"text/html;q=NaN"}, false},
		{"weight infinite", []string{"text/html;q=Inf, application/json"}, false},
		{"weight too large", []string{"text/html;q=2, application/json;q=0.5"}, false},
		{"weight negative", []string{"application/json;q=-1, text/html;q=0.1"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{Header: http.Header{"Accept": tc.accept}}
			if got := portalsec.PrefersHTML(r); got != tc.want {
				t.Errorf("PrefersHTML with %q = %v, want %v", tc.accept, got, tc.want)
			}
		})
	}
}

// Order of the media types, and splitting them over several lines, change nothing (RFC 9110 section 5.3).
func FuzzPrefersHTML(f *testing.F) {
	f.Add(browser)
	f.Add("text/html;q=0.5,application/json;q=0.4")
	f.Add("text/html;q=NaN,application/json;q=1e1;q=")
	f.Fuzz(func(t *testing.T, accept string) {
		parts := strings.Split(accept, ",")
		want := portalsec.PrefersHTML(&http.Request{Header: http.Header{"Accept": {accept}}})
		lines := portalsec.PrefersHTML(&http.Request{Header: http.Header{"Accept": parts}})
		backward := make([]string, len(parts))
		for i, p := range parts {
			backward[len(parts)-1-i] = p
		}
		reversed := portalsec.PrefersHTML(&http.Request{Header: http.Header{"Accept": {strings.Join(backward, ",")}}})
		if lines != want || reversed != want {
			t.Errorf("%q: one line %v, several lines %v, reversed %v", accept, want, lines, reversed)
		}
	})
}

// Whatever a denial says, the answer to a program is one JSON document and the answer to a browser holds no
// markup of the caller's and leads nowhere else.
func FuzzDeny(f *testing.F) {
	f.Add("Sign in first", "Your session has ended.", "/login")
	f.Add("<b>", "</p><script>", "//evil.example")
	f.Add("\x00\xff", "\u2028", "/\\")
	f.Fuzz(func(t *testing.T, title, detail, next string) {
		d := portalsec.Denial{Status: 401, Code: "x", Title: title, Detail: detail, Next: next}
		if w := deny("", d); !json.Valid(w.Body.Bytes()) {
			t.Errorf("not JSON: %q", w.Body)
		}
		w := deny(browser, d)
		if to := w.Header().Get("Location"); to != "" && (to[0] != '/' || strings.HasPrefix(to, "//") || strings.Contains(to, `\`)) {
			t.Errorf("redirect to %q", to)
		}
		if w.Code == 401 {
			if n := strings.Count(w.Body.String(), "<"); n > 15 {
				t.Errorf("markup got through: %q", w.Body)
			}
		}
	})
}
