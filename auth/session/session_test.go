// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/stretchr/testify/require"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// fixture is a manager with everything that a test may want to look at or break.
type fixture struct {
	*session.Manager
	t      *testing.T
	store  *session.Memory
	broken bool // the store fails

	mu     sync.Mutex
	now    time.Time
	events []audit.Event
	full   bool // the recorder fails

	onRecord func() // runs when an event is recorded
}

var errBroken = errors.New("broken")

func setUp(t *testing.T, change func(*session.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, store: session.NewMemory(), now: time.Date(2026, 5, 4, 3, 2, 1, 123456789, time.UTC)}
	c := session.Config{
		Store: failing{f.store, f}, IdleTimeout: time.Hour, AbsoluteTimeout: 24 * time.Hour,
		Clock: func() time.Time { f.mu.Lock(); defer f.mu.Unlock(); return f.now },
		Audit: audit.RecorderFunc(func(ctx context.Context, e audit.Event) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.onRecord != nil {
				f.onRecord()
			}
			if f.full {
				return errBroken
			}
			f.events = append(f.events, audit.Prepare(ctx, e))
			return nil
		}),
	}
	if change != nil {
		change(&c)
	}
	var err error
	f.Manager, err = session.New(c)
	require.NoError(t, err)
	return f
}

// failing fails where a test wants it to.
type failing struct {
	session.Store
	f *fixture
}

func (s failing) TouchSession(ctx context.Context, h session.Hash, t session.Touch) (session.Record, error) {
	if s.f.broken {
		return session.Record{}, errBroken
	}
	return s.Store.TouchSession(ctx, h, t)
}

func (s failing) BumpUser(ctx context.Context, tenant, user, except string) (int, error) {
	if s.f.broken {
		return 0, errBroken
	}
	return s.Store.BumpUser(ctx, tenant, user, except)
}

func (f *fixture) wait(d time.Duration) { f.mu.Lock(); defer f.mu.Unlock(); f.now = f.now.Add(d) }

func (f *fixture) kinds() (kinds []audit.Kind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// browser keeps cookies as a browser does.
type browser struct {
	f       *fixture
	cookies map[string]*http.Cookie
}

func (f *fixture) browser() *browser { return &browser{f, map[string]*http.Cookie{}} }

func (b *browser) request() *http.Request {
	ctx := portalsec.WithOrigin(b.f.t.Context(), portalsec.Origin{Addr: netip.MustParseAddr("203.0.113.9"), Country: "DE"})
	r := httptest.NewRequestWithContext(ctx, "GET", "https://portal.example/", nil)
	r.Header.Set("User-Agent", firefox)
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	return r
}

func (b *browser) take(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
}

func (b *browser) start(user string) session.Session {
	b.f.t.Helper()
	w, r := httptest.NewRecorder(), b.request()
	s, err := b.f.Start(r.Context(), w, r, b.f.identity(user))
	require.NoError(b.f.t, err)
	b.take(w)
	return s
}

func (f *fixture) identity(user string) session.Identity {
	f.mu.Lock()
	defer f.mu.Unlock()
	return session.Identity{Tenant: "acme", User: user, Factors: []portalsec.FactorProof{{Kind: portalsec.FactorPassword, At: f.now}}}
}

func (b *browser) wantDead() {
	b.f.t.Helper()
	_, err := b.f.Load(b.request())
	require.Equal(b.f.t, session.ErrNoSession, err)
}

func (b *browser) wantAlive() session.Session {
	b.f.t.Helper()
	s, err := b.f.Load(b.request())
	require.NoError(b.f.t, err)
	return s
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]session.Config{
		"Config.Store is required": {},
		"Config.IdleTimeout":       {Store: session.NewMemory(), IdleTimeout: time.Minute},
		"Config.AbsoluteTimeout":   {Store: session.NewMemory(), IdleTimeout: time.Hour, AbsoluteTimeout: time.Minute},
		`"__Host-x"`:               {Store: session.NewMemory(), CookieName: "__Host-x"},
		`"a b"`:                    {Store: session.NewMemory(), CookieName: "a b"},
	} {
		_, err := session.New(c)
		require.ErrorContains(t, err, want)
	}
	_, err := session.New(session.Config{Store: session.NewMemory(), IdleTimeout: -time.Hour})
	require.Error(t, err)
}

func TestProfileSetsTimeouts(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(c *session.Config) { c.Profile, c.IdleTimeout, c.AbsoluteTimeout = portalsec.L3, 0, 0 })
	b := f.browser()
	s := b.start("ann")
	require.Equal(t, 12*time.Hour, s.Expires.Sub(s.Created))
	f.wait(14 * time.Minute)
	b.wantAlive()
	f.wait(15 * time.Minute)
	b.wantDead()
}

func TestStart(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	w, r := httptest.NewRecorder(), b.request()
	s, err := f.Start(r.Context(), w, r, f.identity("ann"))
	require.NoError(t, err)

	require.Regexp(t, `^__Host-session=[A-Za-z0-9_-]{43}; Path=/; HttpOnly; Secure; SameSite=Lax$`, w.Header().Get("Set-Cookie"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "Firefox on Linux", s.Device)
	require.Equal(t, "203.0.113.9", s.Addr.String())
	require.Equal(t, "DE", s.Country)

	b.take(w)
	got := b.wantAlive()
	require.Equal(t, s.ID, got.ID)
	require.Equal(t, "acme", got.Tenant)
	require.Equal(t, "ann", got.User)
	require.Equal(t, s.Factors, got.Factors)
	require.Equal(t, s.AuthTime, got.AuthTime)
	require.Equal(t, f.now.Truncate(time.Microsecond), got.AuthTime)
	require.Empty(t, got.Device, "a request opens nothing")
	require.NotContains(t, w.Header().Get("Set-Cookie"), s.ID)

	require.Equal(t, []audit.Kind{audit.AuthSessionStarted}, f.kinds())
	require.Equal(t, audit.Pseudonym("ann"), f.events[0].Actor)
	require.Equal(t, audit.Pseudonym(s.ID), f.events[0].Session)
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	w, r := httptest.NewRecorder(), f.browser().request()
	_, err := f.Start(r.Context(), w, r, session.Identity{Tenant: "acme", Factors: f.identity("ann").Factors})
	require.Error(t, err, "nobody")
	_, err = f.Start(r.Context(), w, r, session.Identity{Tenant: "acme", User: "ann"})
	require.Error(t, err, "without a proof")
	require.Empty(t, w.Header())
}

func TestStartForImpersonator(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	w, r := httptest.NewRecorder(), b.request()
	id := f.identity("ann")
	id.Impersonator = "staff"
	_, err := f.Start(r.Context(), w, r, id)
	require.NoError(t, err)
	b.take(w)
	require.Equal(t, "staff", b.wantAlive().Impersonator)
	require.Equal(t, audit.Pseudonym("staff"), f.events[0].Actor)
	require.Equal(t, audit.Pseudonym("ann"), f.events[0].OnBehalfOf)
}

func TestInsecureCookie(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(c *session.Config) { c.InsecureCookie = true })
	b := f.browser()
	b.start("ann")
	require.Contains(t, b.cookies, "session")
	require.False(t, b.cookies["session"].Secure)
	b.wantAlive()
	require.True(t, f.InsecureCookie())
}

func TestStartReplacesWhatTheBrowserHad(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	first := b.start("ann")
	old := b.request()
	second := b.start("bob")
	_, err := f.Load(old)
	require.Equal(t, session.ErrNoSession, err, "a session fixed by somebody else is dead")
	require.Equal(t, "bob", b.wantAlive().User)
	require.NotEqual(t, first.ID, second.ID)
	require.Equal(t, []audit.Detail{{Name: "replaces", Value: first.ID}}, f.events[1].Details)
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	b.start("ann")
	token := b.cookies["__Host-session"].Value
	other := f.browser()
	other.start("eve")
	eve := other.cookies["__Host-session"].Value
	for name, header := range map[string]string{
		"none":           "",
		"empty":          "__Host-session=",
		"plain name":     "session=" + token,
		"cut":            "__Host-session=" + token[:42],
		"longer":         "__Host-session=" + token + "A",
		"other spelling": "__Host-session=" + token[:42] + "=",
		"quoted":         `__Host-session="` + token + `"`,
		"twice":          "__Host-session=" + token + "; __Host-session=" + token,
		"another first":  "__Host-session=" + eve + "; __Host-session=" + token,
		"another last":   "__Host-session=" + token + "; __Host-session=" + eve,
		"and malformed":  "__Host-session=" + token + "; __Host-session=\x01",
		"unknown":        "__Host-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header.Set("Cookie", header)
		_, err := f.Load(r)
		require.Equal(t, session.ErrNoSession, err, name)
	}
	b.wantAlive()
}

func TestLoadFailure(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	b.start("ann")
	f.broken = true
	_, err := f.Load(b.request())
	require.ErrorIs(t, err, errBroken)
	require.NotErrorIs(t, err, session.ErrNoSession, "a failure is not a sign-out")
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	b.start("ann")
	for range 5 {
		f.wait(time.Hour - time.Microsecond)
		b.wantAlive()
	}
	f.wait(time.Hour)
	b.wantDead()
	f.wait(-time.Hour)
	b.wantAlive()
}

func TestAbsoluteTimeout(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	b.start("ann")
	for range 48 {
		b.wantAlive()
		f.wait(30 * time.Minute)
	}
	b.wantDead()
}

func TestLastSeenIsWrittenOnceAMinute(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	s := b.start("ann")
	f.wait(time.Minute)
	require.Equal(t, s.LastSeen, b.wantAlive().LastSeen)
	f.wait(time.Microsecond)
	require.Equal(t, time.Minute+time.Microsecond, b.wantAlive().LastSeen.Sub(s.LastSeen))
}

func TestRotate(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	s := b.start("ann")
	old := b.request()
	f.wait(10 * time.Minute)
	rotate := func(r *http.Request, proofs ...portalsec.FactorProof) (session.Session, error) {
		w := httptest.NewRecorder()
		got, err := f.Rotate(r.Context(), w, r, proofs...)
		b.take(w)
		return got, err
	}
	totp := portalsec.FactorProof{Kind: portalsec.FactorTOTP, At: f.now.Truncate(time.Microsecond)}
	got, err := rotate(b.request(), totp)
	require.NoError(t, err)
	require.Equal(t, s.ID, got.ID)
	require.Equal(t, s.Expires, got.Expires, "no session lives for ever by stepping up")
	require.Equal(t, totp.At, got.AuthTime)
	require.Equal(t, append(s.Factors, totp), got.Factors)
	require.Equal(t, got, b.wantAlive())

	_, err = f.Load(old)
	require.Equal(t, session.ErrNoSession, err)
	_, err = f.Rotate(t.Context(), httptest.NewRecorder(), old)
	require.Equal(t, session.ErrNoSession, err)

	f.wait(time.Minute)
	again := portalsec.FactorProof{Kind: portalsec.FactorPassword, At: f.now.Truncate(time.Microsecond)}
	got, err = rotate(b.request(), again)
	require.NoError(t, err)
	require.Equal(t, []portalsec.FactorProof{totp, again}, got.Factors, "one proof of each kind")

	plain, err := rotate(b.request())
	require.NoError(t, err)
	require.Equal(t, got.AuthTime, plain.AuthTime)
}

func TestEnd(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	s := b.start("ann")
	inFlight := b.request()
	w, r := httptest.NewRecorder(), b.request()
	require.NoError(t, f.End(r.Context(), w, r))
	require.Equal(t, `"cache", "storage"`, w.Header().Get("Clear-Site-Data"))
	b.take(w)
	require.Empty(t, b.cookies)
	_, err := f.Load(inFlight)
	require.Equal(t, session.ErrNoSession, err)
	require.Equal(t, []audit.Kind{audit.AuthSessionStarted, audit.AuthLogout}, f.kinds())
	require.Equal(t, audit.Pseudonym(s.ID), f.events[1].Session)

	require.NoError(t, f.End(r.Context(), httptest.NewRecorder(), r), "twice")
	require.Len(t, f.events, 2)
}

func TestEndFailure(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	b.start("ann")
	f.broken = true
	w, r := httptest.NewRecorder(), b.request()
	require.ErrorIs(t, f.End(r.Context(), w, r), errBroken)
	require.Empty(t, w.Header(), "the cookie stays for another try")
}

func TestListAndRevoke(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	one, two, other := f.browser(), f.browser(), f.browser()
	first := one.start("ann")
	f.wait(2 * time.Minute)
	second := two.start("ann")
	other.start("bob")
	f.wait(2 * time.Minute)
	one.wantAlive()

	list, err := f.List(t.Context(), "acme", "ann")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, first.ID, list[0].ID, "the one used last is first")
	require.Equal(t, "Firefox on Linux", list[0].Device)
	require.Equal(t, "203.0.113.9", list[0].Addr.String())
	require.Equal(t, "DE", list[0].Country)

	require.Equal(t, session.ErrNoSession, f.Revoke(t.Context(), "acme", "bob", first.ID), "not bob's")
	require.Equal(t, session.ErrNoSession, f.Revoke(t.Context(), "zeta", "ann", first.ID), "not of this tenant")
	one.wantAlive()
	require.NoError(t, f.Revoke(t.Context(), "acme", "ann", first.ID))
	one.wantDead()
	require.Equal(t, second.ID, two.wantAlive().ID)
	other.wantAlive()
	e := f.events[len(f.events)-1]
	require.Equal(t, audit.AuthSessionRevoked, e.Kind)
	require.Equal(t, audit.Target{Type: "session", ID: first.ID}, *e.Target)

	f.wait(2 * time.Hour)
	list, err = f.List(t.Context(), "acme", "ann")
	require.NoError(t, err)
	require.Empty(t, list, "what is over is not listed")
	n, err := f.Prune(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
}

func TestRevokeUserAndTenant(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	one, two, other := f.browser(), f.browser(), f.browser()
	kept := one.start("ann")
	two.start("ann")
	other.start("bob")
	n, err := f.RevokeUser(t.Context(), "acme", "ann", kept.ID)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	one.wantAlive()
	two.wantDead()
	other.wantAlive()
	n, err = f.RevokeTenant(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	one.wantDead()
	other.wantDead()
}

func TestRevokeUserStopsLoginUnderWay(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	id := f.identity("ann")
	var err error
	id.Version, err = f.Version(t.Context(), "acme", "ann")
	require.NoError(t, err)
	_, err = f.RevokeUser(t.Context(), "acme", "ann", "")
	require.NoError(t, err)
	w, r := httptest.NewRecorder(), b.request()
	_, err = f.Start(r.Context(), w, r, id)
	require.Equal(t, session.ErrNoSession, err)
	require.Empty(t, w.Header())
	b.start("ann")
	b.wantAlive()
}

func TestRevokeNeedsTheRecorder(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	s := b.start("ann")
	f.full = true
	require.ErrorIs(t, f.Revoke(t.Context(), "acme", "ann", s.ID), errBroken)
	_, err := f.RevokeUser(t.Context(), "acme", "ann", "")
	require.ErrorIs(t, err, errBroken)
	_, err = f.RevokeTenant(t.Context(), "acme")
	require.ErrorIs(t, err, errBroken)
	b.wantAlive()

	w, r := httptest.NewRecorder(), b.request()
	require.NoError(t, f.End(r.Context(), w, r), "signing out does not")
	b.wantDead()
}

func TestFailedRevocationIsRecorded(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.broken = true
	_, err := f.RevokeUser(t.Context(), "acme", "ann", "")
	require.ErrorIs(t, err, errBroken)
	require.Len(t, f.events, 2)
	require.Equal(t, audit.Success, f.events[0].Outcome)
	require.Equal(t, audit.Error, f.events[1].Outcome)
}

// xor is a sealer that hides bytes and checks the row.
type xor struct{}

func (xor) Seal(_ context.Context, row portalsec.Row, b []byte) ([]byte, error) {
	out := []byte(row.Tenant + "/" + row.Subject + "/" + row.ID + "\n")
	for _, c := range b {
		out = append(out, c^0x55)
	}
	return out, nil
}

func (xor) Open(_ context.Context, row portalsec.Row, b []byte) ([]byte, error) {
	b, ok := bytes.CutPrefix(b, []byte(row.Tenant+"/"+row.Subject+"/"+row.ID+"\n"))
	if !ok {
		return nil, errors.New("does not open")
	}
	out := make([]byte, 0, len(b))
	for _, c := range b {
		out = append(out, c^0x55)
	}
	return out, nil
}

func TestSealer(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(c *session.Config) { c.Sealer = xor{} })
	b := f.browser()
	b.start("ann")
	records, err := f.store.ListSessions(t.Context(), "acme", "ann")
	require.NoError(t, err)
	require.Len(t, records, 1)
	for _, secret := range []string{"Firefox", "203.0.113", `"DE"`} {
		require.NotContains(t, string(records[0].Client), secret)
	}
	list, err := f.List(t.Context(), "acme", "ann")
	require.NoError(t, err)
	require.Equal(t, "203.0.113.9", list[0].Addr.String())

	moved := records[0]
	moved.ID, moved.Token = "another", session.Hash{1}
	require.NoError(t, f.store.CreateSession(t.Context(), moved, 1))
	_, err = f.List(t.Context(), "acme", "ann")
	require.ErrorContains(t, err, "does not open")
}

// TestEndsAreFinished has the client go away while sessions are ended.
func TestEndsAreFinished(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	b.start("ann")
	gone, leave := context.WithCancel(t.Context())
	leave()
	require.NoError(t, f.End(gone, httptest.NewRecorder(), b.request()))
	b.wantDead()

	var s session.Session
	for name, end := range map[string]func(context.Context) error{
		"one":    func(ctx context.Context) error { return f.Revoke(ctx, "acme", "ann", s.ID) },
		"user":   func(ctx context.Context) error { _, err := f.RevokeUser(ctx, "acme", "ann", ""); return err },
		"tenant": func(ctx context.Context) error { _, err := f.RevokeTenant(ctx, "acme"); return err },
	} {
		s = b.start("ann")
		var ctx context.Context
		ctx, f.onRecord = context.WithCancel(t.Context())
		require.NoError(t, end(ctx), name)
		f.onRecord = nil
		b.wantDead()
	}
}
