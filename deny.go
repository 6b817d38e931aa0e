// SPDX-License-Identifier: Apache-2.0

package portalsec

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Denial is the public answer to a refused request. It tells what the visitor may know; the private reason
// goes to the audit log, never here.
type Denial struct {
	// Status is the HTTP status, 403 when zero.
	Status int
	// Code is a stable public word such as "sign-in-required", for programs to branch on.
	Code string
	// Title is one short sentence; the status text when empty.
	Title string
	// Detail tells what the visitor can do. It may be empty.
	Detail string
	// RetryAfter becomes the Retry-After header, rounded up to whole seconds, when positive.
	RetryAfter time.Duration
	// Next is the same-site path where the visitor can meet the demand, such as a sign-in page. The answer to
	// a browser's navigation is a redirect there, with status 303; a program gets it as the member "next". A
	// Next that may lead to another site, see [SameSite], is left out.
	Next string
}

// DenyFunc answers a refused request. Middleware that refuses takes one, and uses [Deny] when it is nil.
type DenyFunc func(w http.ResponseWriter, r *http.Request, d Denial)

// Deny answers with a problem document (RFC 9457) or, to a client that prefers it, with a plain page of
// HTML. Neither can be cached.
func Deny(w http.ResponseWriter, r *http.Request, d Denial) {
	if d.Status == 0 {
		d.Status = http.StatusForbidden
	}
	if d.Title == "" {
		d.Title = http.StatusText(d.Status)
	}
	if !SameSite(d.Next) {
		d.Next = ""
	}
	h := w.Header()
	// What a handler had set for an answer of its own does not fit this one.
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Type", "Content-Disposition", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Add("Vary", "Accept")
	if d.RetryAfter > 0 {
		seconds := int64((d.RetryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if PrefersHTML(r) {
		if d.Next != "" {
			http.Redirect(w, r, d.Next, http.StatusSeeOther)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(d.Status)
		_ = denyPage.Execute(w, d) // the client is gone if this fails
		return
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(d.Status)
	_ = json.NewEncoder(w).Encode(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
		Code   string `json:"code,omitempty"`
		Next   string `json:"next,omitempty"`
	}{"about:blank", d.Title, d.Status, d.Detail, d.Code, d.Next})
}

var denyPage = template.Must(template.New("deny").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title></head>
<body><h1>{{.Title}}</h1>{{with .Detail}}<p>{{.}}</p>{{end}}</body></html>
`))

// SameSite tells whether a browser takes path, which may have a query, for one of this site: it begins with one slash,
// and holds neither a backslash, which browsers read as a slash, nor control characters, some of which they drop (WHATWG
// URL section 4.4). It does not tell whether there is such a page. [Denial].Next must be such a path.
func SameSite(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return false
	}
	return !strings.ContainsFunc(path, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f })
}

// PrefersHTML tells whether the client ranks text/html above JSON in its Accept header (RFC 9110 section
// 12.5.1). A client that names neither is taken for a program. A media type whose weight is malformed counts
// as not named.
func PrefersHTML(r *http.Request) bool {
	html, json := 0.0, 0.0
	for _, line := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.Trim(name, " \t")) {
			case "text/html", "application/xhtml+xml":
				html = max(html, weight(params))
			case "application/json", "application/problem+json":
				json = max(json, weight(params))
			}
		}
	}
	return html > json
}

// weight reads the parameter q of a media type (RFC 9110 section 12.4.2): 1 when absent, 0 when malformed.
func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, ok := strings.Cut(strings.Trim(p, " \t"), "=")
		if !ok || !strings.EqualFold(name, "q") {
			continue
		}
		// Digits and a point only: ParseFloat also reads NaN, infinities and exponents.
		q, err := strconv.ParseFloat(value, 64)
		if err != nil || q > 1 || len(value) > 5 || strings.Trim(value, "0123456789.") != "" {
			return 0
		}
		return q
	}
	return 1
}
