// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image/png"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

// chromium gives the browser's path. In CI, where the variable CI is set, a missing browser fails the test.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("PORTALSEC_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const hint = "no Chromium found: install it (Debian: apt-get install chromium) or set PORTALSEC_CHROMIUM to its path"
	if os.Getenv("CI") != "" || os.Getenv("PORTALSEC_CHROMIUM") != "" {
		t.Fatal(hint)
	}
	t.Skip(hint)
	return ""
}

// visitor is a person with a browser of their own.
type visitor struct {
	t        *testing.T
	p        *portal
	ctx      context.Context
	dir      string // for downloads
	pictures string // a folder, "" for none

	mu  sync.Mutex
	bad []string // what the browser complained about
}

// visit opens a browser with nothing in it.
func (p *portal) visit(t *testing.T) *visitor {
	t.Helper()
	v := &visitor{t: t, p: p, dir: t.TempDir(), pictures: os.Getenv("PORTALSEC_SCREENSHOTS")}
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1200, 900),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true))...)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(func() { stop(); stopAlloc() })
	v.ctx = ctx
	require.NoError(t, chromedp.Listen(ctx, func(ev any) {
		v.mu.Lock()
		defer v.mu.Unlock()
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			v.bad = append(v.bad, "exception: "+e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			// A page that answers 401, 403 or 404 is logged as an error of the network; the test asks for those.
			if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
				v.bad = append(v.bad, fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL))
			}
		}
	}))
	return v
}

// soon bounds one step of a visitor.
func (v *visitor) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(v.ctx, 30*time.Second)
}

// fail ends the test with what the visitor sees.
func (v *visitor) fail(err error) {
	v.t.Helper()
	ctx, stop := v.soon()
	defer stop()
	where, _ := chromedp.Run(ctx, chromedp.Location())
	text, _ := chromedp.Run(ctx, pageText)
	v.t.Fatalf("%v\nat %s:\n%s", err, where, text)
}

func (v *visitor) do(steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	ctx, stop := v.soon()
	defer stop()
	if err := chromedp.Do(ctx, steps...); err != nil {
		v.fail(err)
	}
}

func ask[T any](v *visitor, a chromedp.Action[T]) T {
	v.t.Helper()
	ctx, stop := v.soon()
	defer stop()
	answer, err := chromedp.Run(ctx, a)
	if err != nil {
		v.fail(err)
	}
	return answer
}

func (v *visitor) open(path string) { v.t.Helper(); v.do(chromedp.Navigate(v.p.url + path)) }

// submit presses a button or link and waits for the page that follows.
func (v *visitor) submit(button string) {
	v.t.Helper()
	ctx, stop := v.soon()
	defer stop()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(button))); err != nil {
		v.fail(err)
	}
}

func (v *visitor) fill(field, text string) {
	v.t.Helper()
	ask(v, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q).value = ''", field)))
	v.do(chromedp.SendKeys(chromedp.CSS(field), text))
}

// pageText asks the page itself, and not for a node that the next page may have replaced.
var pageText = chromedp.Evaluate[string](`document.body.innerText`)

func (v *visitor) text() string { v.t.Helper(); return ask(v, pageText) }

func (v *visitor) path() string {
	v.t.Helper()
	u, err := url.Parse(ask(v, chromedp.Location()))
	require.NoError(v.t, err)
	return u.Path
}

// picture keeps a picture of the page when PORTALSEC_SCREENSHOTS names a folder.
func (v *visitor) picture(name string) {
	v.t.Helper()
	if v.pictures == "" {
		return
	}
	require.NoError(v.t, os.MkdirAll(v.pictures, 0o755))
	require.NoError(v.t, os.WriteFile(filepath.Join(v.pictures, name+".png"), ask(v, chromedp.FullScreenshot(100)), 0o644))
}

func (v *visitor) signIn(a account) {
	v.t.Helper()
	v.open("/login")
	v.fill("#email", a.Email)
	v.fill("#password", a.Password)
	v.submit("main form button")
}

func (v *visitor) signOut() {
	v.t.Helper()
	v.submit(`form[action="/logout"] button`)
	require.Equal(v.t, "/login", v.path())
}

// readQR reads the secret out of the picture, as a phone would.
func (v *visitor) readQR() *otp.Key {
	v.t.Helper()
	src := ask(v, chromedp.AttributeValue(chromedp.CSS("#qr"), "src"))
	data, ok := strings.CutPrefix(src.Value, "data:image/png;base64,")
	require.True(v.t, ok)
	raw, err := base64.StdEncoding.DecodeString(data)
	require.NoError(v.t, err)
	img, err := png.Decode(bytes.NewReader(raw))
	require.NoError(v.t, err)
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	require.NoError(v.t, err)
	// The picture holds nothing but the code; without this hint the library's search misses one code in 150.
	hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true}
	read, err := qrcode.NewQRCodeReader().Decode(bitmap, hints)
	require.NoError(v.t, err)
	key, err := otp.NewKeyFromURL(read.GetText())
	require.NoError(v.t, err)
	return key
}

func (v *visitor) code(key *otp.Key, at time.Time) string {
	v.t.Helper()
	c, err := totp.GenerateCode(key.Secret(), at)
	require.NoError(v.t, err)
	return c
}

// content checks that nobody's browser complained: no script error, no violation of the content policy.
func (v *visitor) content() {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	require.Empty(v.t, v.bad)
}

// TestBrowser is the journey of a customer and of those who look after the portal.
func TestBrowser(t *testing.T) {
	chromium(t)
	p := start(t, filepath.Join(t.TempDir(), "data"))
	customer := p.visit(t)
	who := p.account("noordzee", "customer")

	customer.open("/tickets")
	require.Equal(t, "/login", customer.path(), "a visitor is sent to the login")
	customer.picture("login")
	wrong := who
	wrong.Password = "something else"
	customer.signIn(wrong)
	require.Contains(t, customer.text(), "is wrong")
	customer.signIn(who)
	require.Equal(t, "/", customer.path())
	require.Contains(t, customer.text(), "No second factor")
	customer.picture("home")

	// The second factor, from the picture of the QR code.
	customer.open("/enrol")
	customer.picture("enrol")
	key := customer.readQR()
	require.Equal(t, who.Email, key.AccountName())
	customer.fill("#code", "000000")
	customer.submit("main form button")
	require.Contains(t, customer.text(), "That code is not right")
	require.Equal(t, key.Secret(), customer.readQR().Secret(), "the same picture again")
	now := time.Now()
	customer.fill("#code", customer.code(key, now))
	customer.submit("main form button")
	require.Contains(t, customer.text(), "recovery codes")
	customer.picture("recovery")
	customer.signOut()

	customer.signIn(who)
	require.Equal(t, "/mfa", customer.path())
	customer.picture("mfa")
	customer.open("/tickets")
	require.Equal(t, "/login", customer.path(), "half a login opens nothing")
	customer.signIn(who)
	customer.fill("#code", customer.code(key, now))
	customer.submit("main form button")
	require.Contains(t, customer.text(), "That code is not right", "the code of the enrolment is spent")
	customer.fill("#code", customer.code(key, now.Add(30*time.Second)))
	customer.submit("main form button")
	require.Equal(t, "/", customer.path())

	// A ticket with a file.
	file := filepath.Join(t.TempDir(), "rash on both hands.txt")
	require.NoError(t, os.WriteFile(file, []byte("It itches since Tuesday."), 0o600))
	customer.open("/tickets/new")
	customer.fill("#subject", "Itching <b>hands</b>")
	customer.fill("#body", "Can I come by?\nIt itches.")
	customer.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{file}))
	customer.submit("main form button")
	ticket := customer.path()
	require.Regexp(t, `^/tickets/\w+$`, ticket)
	require.Contains(t, customer.text(), "Itching <b>hands</b>", "shown as it was typed")
	customer.open("/account")
	require.Contains(t, customer.text(), "Authenticator app")
	customer.picture("account")
	customer.open("/appointments")
	customer.picture("appointments")

	// The agent reads it, and the file arrives whole.
	agent := p.visit(t)
	agent.signIn(p.account("noordzee", "agent"))
	agent.open("/tickets")
	agent.picture("tickets")
	agent.open("/tickets/new")
	require.Contains(t, agent.text(), "Customer")
	agent.open("/tickets")
	agent.submit(`main tbody tr:nth-child(2) a`)
	require.Contains(t, agent.text(), "Referral letter")
	agent.picture("portal")
	agent.open(ticket)
	require.Contains(t, agent.text(), "It itches.")
	require.Contains(t, agent.text(), "Duinweg 14")
	require.Equal(t, "It itches since Tuesday.", agent.download(`a[download]`))
	agent.fill("#body", "Yes, tomorrow at ten.")
	agent.submit(`form[action$="/reply"] button`)
	require.Contains(t, agent.text(), "Your reply was sent")
	agent.picture("ticket")

	// The customer of another organisation gets nothing.
	stranger := p.visit(t)
	stranger.signIn(p.account("vondel", "customer"))
	stranger.open(ticket)
	require.Contains(t, stranger.text(), "nothing here")
	require.NotContains(t, stranger.text(), "Itching")
	stranger.picture("refused")

	// All of it is in the audit log.
	officer := p.visit(t)
	officer.signIn(p.account("noordzee", "security-officer"))
	officer.open("/admin/audit")
	log := officer.text()
	for _, kind := range []string{"auth.login", "mfa.enrolled", "mfa.verified", "app.ticket_opened", "app.ticket_read", "app.attachment_downloaded", "app.ticket_replied", "auth.logout"} {
		require.Contains(t, log, kind)
	}
	require.Contains(t, log, "Sanne de Vries")
	officer.picture("audit")
	officer.submit(`form[action="/admin/audit/verify"] button`)
	require.Contains(t, officer.text(), "The log is whole")

	// The administrator asks everyone for two factors: the agent's next login leads to the enrolment.
	admin := p.visit(t)
	admin.signIn(p.account("noordzee", "administrator"))
	admin.open("/admin/users")
	admin.picture("users")
	admin.open("/admin/network")
	admin.picture("network")
	admin.open("/admin/security")
	admin.do(chromedp.Click(chromedp.CSS("#everyone")))
	admin.submit("main form button")
	require.Contains(t, admin.text(), "Saved")
	admin.picture("security")
	agent.open("/")
	agent.signOut()
	agent.signIn(p.account("noordzee", "agent"))
	require.Equal(t, "/enrol", agent.path())
	agent.open("/tickets")
	require.Equal(t, "/login", agent.path())
	agent.signIn(p.account("noordzee", "agent"))
	key = agent.readQR()
	agent.fill("#code", agent.code(key, time.Now()))
	agent.submit("main form button")
	require.Contains(t, agent.text(), "recovery codes")
	agent.submit("main a.button")
	require.Equal(t, "/", agent.path())

	privacy := p.visit(t)
	privacy.signIn(p.account("vondel", "privacy-officer"))
	privacy.open("/admin/retention")
	privacy.submit(`form[action$="/dry-run"] button`)
	require.Contains(t, privacy.text(), "Nothing was deleted")
	privacy.picture("retention")

	// The width of a phone.
	customer.do(chromedp.EmulateViewport(390, 844))
	customer.open(ticket)
	customer.picture("phone")
	require.False(t, ask(customer, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)), "nothing is wider than a phone")

	for _, v := range []*visitor{customer, agent, stranger, officer, admin, privacy} {
		v.content()
	}
}

// download presses a link and gives the file that arrives.
func (v *visitor) download(link string) string {
	v.t.Helper()
	ctx, stop := v.soon()
	defer stop()
	progress := chromedp.Events(ctx, browser.DownloadProgress)
	events := true
	_, err := chromedp.Call(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: v.dir, EventsEnabled: &events,
	})
	require.NoError(v.t, err)
	v.do(chromedp.Click(chromedp.CSS(link)))
	for e, err := range progress {
		require.NoError(v.t, err)
		if e.State == browser.DownloadProgressStateCompleted {
			b, err := os.ReadFile(filepath.Join(v.dir, e.GUID))
			require.NoError(v.t, err)
			return string(b)
		}
	}
	v.t.Fatal("no download arrived")
	return ""
}
