// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
	_ "time/tzdata" // desk hours must not depend on the machine's files
	"unicode"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/rbac"
)

//go:embed *.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// zone is where the organisations of the portal are: times are shown in it and read in it.
var zone = func() *time.Location {
	l, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		panic(err) // the zones are in the program
	}
	return l
}()

var templateFuncs = template.FuncMap{
	"datetime": func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.In(zone).Format("2 Jan 2006, 15:04")
	},
	"date": func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.In(zone).Format("2 Jan 2006")
	},
	"stamp":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"size":    formatSize,
	"tongues": func() []tongue { return languages },
	"initial": func(s string) string { r := []rune(s + "?"); return strings.ToUpper(string(r[:1])) },
	"title": func(s string) string {
		return strings.ToUpper(s[:min(1, len(s))]) + strings.ReplaceAll(s[min(1, len(s)):], "-", " ")
	},
}

func formatSize(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
}

// parsePages reads every page together with the layout.
func parsePages() (map[string]*template.Template, error) {
	files, err := templateFiles.ReadDir(".")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".html")
		if name == "layout" {
			continue
		}
		t, err := template.New("layout.html").Funcs(templateFuncs).ParseFS(templateFiles, "layout.html", f.Name())
		if err != nil {
			return nil, err
		}
		pages[name] = t
	}
	return pages, nil
}

// page is what the layout shows around a page's own data.
type page struct {
	Title string
	Path  string
	Demo  bool
	// Who is signed in; nil for a visitor.
	Who *who
	// Acting is the name of the user as whom a member of staff acts; empty when nobody does.
	Acting string
	Nav    []navItem
	// Error is a mistake of the visitor, Notice a thing done.
	Error, Notice string
	Data          any
}

// who is the signed-in user as the layout shows them.
type who struct {
	Name, Organisation string
	Roles              []string
}

type navItem struct {
	Path, Text string
	Current    bool
	Admin      bool
}

// menu is the navigation: each entry is shown to who has its permission.
var menu = []struct {
	path, text string
	perm       *rbac.Perm
	admin      bool
}{
	{"/tickets", "Tickets", ticketRead, false},
	{"/appointments", "Appointments", appointmentRead, false},
	{"/admin/users", "Users and roles", userRead, true},
	{"/admin/reports", "Reports", reportRead, true},
	{"/admin/mail", "Outgoing mail", mailRead, true},
	{"/admin/security", "Security preferences", securityRead, true},
	{"/admin/network", "Network rules", networkRead, true},
	{"/admin/audit", "Audit log", auditRead, true},
	{"/admin/retention", "Retention", retentionRead, true},
}

// render answers with a page. It is built in memory first, so that a failure is an error page and not half of
// this one.
func (a *app) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) error {
	p.Path, p.Demo = r.URL.Path, a.demo
	if p.Notice == "" {
		p.Notice = notices[r.URL.Query().Get("done")]
	}
	if principal, ok := portalsec.PrincipalFrom(r.Context()); ok {
		account, err := a.auth.Account(r.Context(), principal.ID)
		if err != nil {
			return err
		}
		org, err := a.store.organisation(r.Context(), principal.Tenant)
		if err != nil && !errors.Is(err, errNotFound) {
			return err
		}
		p.Who = &who{Name: account.Name, Organisation: org.Name, Roles: principal.Roles}
		if principal.Impersonator != "" {
			p.Acting = account.Name
		}
		for _, m := range menu {
			if a.may(r.Context(), m.perm) && (org.Operator || m.perm != networkRead && m.perm != mailRead) {
				p.Nav = append(p.Nav, navItem{m.path, m.text, strings.HasPrefix(r.URL.Path, m.path), m.admin})
			}
		}
	}
	var body bytes.Buffer
	if err := a.pages[name].Execute(&body, p); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the client is gone if this fails
	return nil
}

// may tells whether the principal has a permission on some record: one of their own organisation, that is about
// themselves. It decides what a page offers; each act asks again.
func (a *app) may(ctx context.Context, perm *rbac.Perm) bool {
	p, ok := portalsec.PrincipalFrom(ctx)
	return ok && a.roles.Can(ctx, perm, place{p.Tenant, p.ID})
}

// mayAll tells whether the principal has a permission on the records of everybody in the organisation, as staff
// have.
func (a *app) mayAll(ctx context.Context, perm *rbac.Perm) bool {
	p, ok := portalsec.PrincipalFrom(ctx)
	return ok && a.roles.Can(ctx, perm, place{tenant: p.Tenant})
}

// notices are the sentences after a redirect: only these can be named in the address.
var notices = map[string]string{
	"opened":    "Your ticket was opened. You can follow it here.",
	"replied":   "Your reply was sent.",
	"closed":    "The ticket is closed.",
	"deleted":   "The ticket and its files are deleted.",
	"booked":    "Your appointment is booked.",
	"moved":     "The appointment was moved.",
	"cancelled": "The appointment was cancelled.",
	"saved":     "Saved.",
	"revoked":   "That session was ended.",
	"others":    "All other sessions were ended.",
	"stopped":   "You act as yourself again.",
	"mailed":    "A mail is on its way to the address that you gave. Follow the link in it to go on.",
	"asked":     "If there is an account with this address, a mail is on its way.",
	"welcome":   "Your password is set. Please sign in.",
	"resetDone": "Your new password is set, and the account was signed out everywhere. Please sign in.",
	"newEmail":  "A mail is on its way to the new address. The change is made when you follow the link in it.",
	"email":     "The new address is in use. Please sign in with it.",
	"notme":     "Thank you. The account is locked, and a mail with a link to choose a new password is on its way.",
	"factor":    "The second factor was removed.",
	"password":  "Your password was changed. Your other sessions were ended.",
	"invited":   "The user was made, and an invitation is on its way by mail.",
	"ended":     "The sessions were ended.",
	"resetBy":   "The password is gone. A link to set a new one is on its way by mail.",
	"unlocked":  "The account is open again.",
	"userGone":  "The user was deleted.",
	"report":    "The report is closed.",
	"queued":    "The mail is tried again now.",
	"dropped":   "The mail was dropped.",
	"roles":     "The roles were changed.",
	"disabled":  "The user was disabled and signed out everywhere.",
	"enabled":   "The user can sign in again.",
	"approved":  "The policy is approved.",
	"signedout": "You are signed out.",
	"replaced":  "That picture is not valid any more. Please scan this one.",
	"enrolled":  "Your second factor was set up in another browser meanwhile. Please sign in with it.",
}

// maxForm is the most bytes of a form without a file, and of a JSON body.
const maxForm = 64 << 10

// handler is a handler that may fail. See app.handle for what becomes of the error.
type handler func(w http.ResponseWriter, r *http.Request) error

// problem is a mistake in what the visitor sent: its text is shown to them.
type problem struct {
	status int
	text   string
}

func (p problem) Error() string { return p.text }

func invalid(format string, args ...any) error {
	return problem{http.StatusUnprocessableEntity, fmt.Sprintf(format, args...)}
}

// mistake shows a form once more when err is the visitor's, with what it says. Every other error is given back.
func mistake(err error, show func(status int, text string) error) error {
	var wrong problem
	if errors.As(err, &wrong) {
		return show(wrong.status, wrong.text)
	}
	return err
}

// handle makes an http.Handler of h. The error decides the answer; what is not the visitor's business is
// logged and not shown.
func (a *app) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.answer(w, r, err)
		}
	})
}

// forms reads the form of each request that posts one, before any handler sees it.
func (a *app) forms(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := parseForm(w, r); err != nil {
			a.answer(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answer answers a request that failed.
func (a *app) answer(w http.ResponseWriter, r *http.Request, err error) {
	var p problem
	var tooLarge *http.MaxBytesError
	var old *auth.ProofNeededError
	switch {
	case errors.As(err, &old):
		a.roles.Deny(w, r, &rbac.Challenge{Fresh: old.MaxAge})
	case errors.As(err, &p):
		a.deny(w, r, portalsec.Denial{Status: p.status, Code: "invalid", Detail: p.text})
	case errors.As(err, &tooLarge):
		a.deny(w, r, portalsec.Denial{Status: http.StatusRequestEntityTooLarge, Code: "too-large",
			Detail: "That is larger than " + formatSize(min(tooLarge.Limit, maxUpload)) + "."})
	case errors.Is(err, errNotFound), errors.Is(err, auth.ErrNoAccount):
		a.roles.Deny(w, r, rbac.ErrNotFound)
	case isRoleDenial(err):
		a.roles.Deny(w, r, err)
	default:
		if d, ok := refusal(err); ok {
			a.deny(w, r, d)
			return
		}
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "route", r.Pattern, "error", err)
		if unreachable(err) {
			a.deny(w, r, auth.DenialOf(err))
			return
		}
		a.deny(w, r, portalsec.Denial{Status: http.StatusInternalServerError, Code: "internal",
			Detail: "Something went wrong on our side. It was logged; please try again."})
	}
}

// parseForm reads the form of a request that posts one, so that a body that is cut short or too large is told as
// what it is, and not as a field that is missing.
func parseForm(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost || isAPI(r) {
		return nil
	}
	_, known := portalsec.PrincipalFrom(r.Context())
	file := strings.HasPrefix(r.URL.Path, "/tickets") && strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/")
	if !known || !file {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	}
	err := r.ParseForm()
	if err == nil {
		err = r.ParseMultipartForm(2 * maxUpload)
	}
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil, errors.Is(err, http.ErrNotMultipart):
		return nil
	case errors.As(err, &tooLarge):
		return err
	default:
		return problem{http.StatusBadRequest, "The form did not arrive whole. Please send it again."}
	}
}

// unreachable tells whether a database, Redis or the like does not answer, which may be better in a minute.
func unreachable(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF)
}

// isRoleDenial tells whether the role policy refused.
func isRoleDenial(err error) bool {
	var challenge *rbac.Challenge
	return errors.As(err, &challenge) || errors.Is(err, rbac.ErrDenied) || errors.Is(err, rbac.ErrNotFound) || errors.Is(err, rbac.ErrNoPrincipal)
}

// deny answers a refusal: the portal's error page to a browser, a problem document to a program.
func (a *app) deny(w http.ResponseWriter, r *http.Request, d portalsec.Denial) {
	if d.Next == "/confirm" {
		// The proof was missing for a form: afterwards the visitor is back at the page that it was on.
		if from, err := url.Parse(r.Referer()); err == nil && from.Host == r.Host {
			d.Next += "?" + url.Values{"next": {a.pageAt(from)}}.Encode()
		}
	}
	if !portalsec.PrefersHTML(r) || d.Next != "" && r.Method == http.MethodGet || isAPI(r) {
		if isAPI(r) {
			r.Header.Del("Accept")
		}
		portalsec.Deny(w, r, d)
		return
	}
	if d.Status == 0 {
		d.Status = http.StatusForbidden
	}
	if d.Title == "" {
		d.Title = http.StatusText(d.Status)
	}
	retryAfter(w, d)
	if err := a.render(w, r, d.Status, "error", page{Title: d.Title, Data: d}); err != nil {
		portalsec.Deny(w, r, d)
	}
}

// pageAt gives the page at an address, or the nearest one above it: some pages are answers to a form and cannot be
// opened by their address.
func (a *app) pageAt(from *url.URL) string {
	for u := *from; ; u = (url.URL{Path: path.Dir(u.Path)}) {
		if _, pattern := a.gets.Handler(&http.Request{Method: http.MethodGet, URL: &u}); pattern != "" || u.Path == "/" || u.Path == "." {
			return u.RequestURI()
		}
	}
}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// done redirects after a change, with one of the notices.
func done(w http.ResponseWriter, r *http.Request, path, notice string) error {
	http.Redirect(w, r, path+"?"+url.Values{"done": {notice}}.Encode(), http.StatusSeeOther)
	return nil
}

// field reads a form field: trimmed, not longer than limit characters, and not empty when required.
func field(r *http.Request, name string, limit int, required bool) (string, error) {
	v := strings.TrimSpace(strings.ToValidUTF8(r.PostFormValue(name), "\uFFFD"))
	v = strings.Map(visible, strings.ReplaceAll(v, "\r\n", "\n"))
	switch {
	case required && strings.TrimSpace(v) == "":
		return "", invalid("Please fill in the field “%s”.", name)
	case len([]rune(v)) > limit:
		return "", invalid("The field “%s” is longer than %d characters.", name, limit)
	}
	return v, nil
}

// line reads a form field of one line.
func line(r *http.Request, name string, limit int, required bool) (string, error) {
	v, err := field(r, name, limit, required)
	return strings.Join(strings.Fields(v), " "), err
}

// visible drops characters that show nothing or change how the text around them is shown, such as those that
// turn its direction.
func visible(r rune) rune {
	const nonJoiner, joiner = '\u200c', '\u200d' // part of how Persian and some emoji are written
	if r == '\n' || r == '\t' || r == nonJoiner || r == joiner || !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r) {
		return r
	}
	return -1
}

// readJSON reads a request's JSON body of at most 64 KiB into v.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return problem{http.StatusUnsupportedMediaType, "Send application/json."}
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxForm))
	d.DisallowUnknownFields() // a misspelt member must not pass for one that was left out
	err := d.Decode(v)
	if err == nil && d.Decode(&struct{}{}) != io.EOF {
		err = errors.New("trailing data")
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return err
	case err != nil:
		return problem{http.StatusBadRequest, "The body is not the JSON that was expected."}
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
	return nil
}
