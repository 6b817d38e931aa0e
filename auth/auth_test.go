// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/stretchr/testify/require"
)

const (
	goodPassword = "olive tractor winter 9"
	newPassword  = "seven quiet lanterns"
	address      = "Ann.Example@Acme.test"
)

var errBroken = errors.New("broken")

// fixture is an Auth with everything that a test may want to look at or break.
type fixture struct {
	*auth.Auth
	t        *testing.T
	config   auth.Config
	store    *auth.Memory
	sessions *session.Manager

	mu      sync.Mutex
	now     time.Time
	events  []audit.Event
	full    bool         // the recorder fails
	broken  bool         // reading accounts fails
	onFound func()       // runs at the end of Account
	onMark  func()       // runs inside MarkLogin
	onRoles func()       // runs inside Roles
	onTake  func()       // runs inside TakeAttempt
	onRead  func()       // runs at the end of OneTime
	onSet   func()       // runs at the end of SetPassword
	onBump  func() error // runs before BumpUser, and may fail in its place

	roles               []string
	enrolled, mustEnrol bool
}

func setUp(t *testing.T, change func(*auth.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, store: auth.NewMemory(), now: time.Date(2026, 5, 4, 3, 2, 1, 123456789, time.UTC)}
	clock := portalsec.Clock(func() time.Time { f.mu.Lock(); defer f.mu.Unlock(); return f.now })
	rec := audit.RecorderFunc(func(ctx context.Context, e audit.Event) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.full {
			return errBroken
		}
		f.events = append(f.events, audit.Prepare(ctx, e))
		return nil
	})
	var err error
	f.sessions, err = session.New(session.Config{Store: versions{session.NewMemory(), f}, Clock: clock, Audit: rec})
	require.NoError(t, err)
	limit, err := throttle.New(throttle.Config{Store: attempts{throttle.NewMemory(), f}, Key: make([]byte, 32), Clock: clock})
	require.NoError(t, err)
	policy, err := password.NewPolicy(password.PolicyConfig{})
	require.NoError(t, err)
	f.config = auth.Config{
		Accounts: accounts{f.store, f}, OneTime: tokens{f.store, f}, Profile: sealer{}, Hasher: hasher(t, 64), Policy: policy,
		Sessions: f.sessions, Throttle: limit, Roles: roles{f}, SecondFactor: factors{f}, Audit: rec, Clock: clock,
	}
	if change != nil {
		change(&f.config)
	}
	f.Auth, err = auth.New(f.config)
	require.NoError(t, err)
	return f
}

func hasher(t *testing.T, memory uint32) *password.Hasher {
	t.Helper()
	h, err := password.New(password.Config{Memory: memory, Time: 1, InsecureFast: true, Queue: 2000})
	require.NoError(t, err)
	return h
}

// sealer is a weak Protector that hides values and checks their row.
type sealer struct{}

func (sealer) Seal(_ context.Context, row portalsec.Row, b []byte) ([]byte, error) {
	out := []byte(row.Tenant + "/" + row.Subject + "/" + row.ID + "\n")
	for _, c := range b {
		out = append(out, c^0x55)
	}
	return out, nil
}

func (sealer) Open(_ context.Context, row portalsec.Row, b []byte) ([]byte, error) {
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

func (sealer) Index(_ context.Context, tenant, value string) ([]byte, error) {
	h := hmac.New(sha256.New, []byte("index of "+tenant))
	h.Write([]byte(strings.ToLower(value)))
	return h.Sum(nil)[:16], nil
}

func (s sealer) Candidates(ctx context.Context, tenant, value string) ([][]byte, error) {
	index, err := s.Index(ctx, tenant, value)
	return [][]byte{[]byte("an older index"), index}, err
}

type accounts struct {
	auth.AccountStore
	f *fixture
}

func (s accounts) Account(ctx context.Context, id string) (auth.AccountRecord, error) {
	if s.f.broken {
		return auth.AccountRecord{}, errBroken
	}
	rec, err := s.AccountStore.Account(ctx, id)
	if s.f.onFound != nil {
		s.f.onFound()
	}
	return rec, err
}

func (s accounts) MarkLogin(ctx context.Context, id string, at time.Time) error {
	if s.f.onMark != nil {
		s.f.onMark()
	}
	return s.AccountStore.MarkLogin(ctx, id, at)
}

func (s accounts) SetPassword(ctx context.Context, id string, version int64, p auth.NewPassword) (bool, error) {
	won, err := s.AccountStore.SetPassword(ctx, id, version, p)
	if s.f.onSet != nil {
		s.f.onSet()
	}
	return won, err
}

type versions struct {
	session.Store
	f *fixture
}

func (s versions) BumpUser(ctx context.Context, tenant, user, except string) (int, error) {
	if s.f.onBump != nil {
		if err := s.f.onBump(); err != nil {
			return 0, err
		}
	}
	return s.Store.BumpUser(ctx, tenant, user, except)
}

type tokens struct {
	auth.OneTimeStore
	f *fixture
}

func (s tokens) OneTime(ctx context.Context, p auth.Purpose, token auth.TokenHash) (auth.OneTimeRecord, error) {
	rec, err := s.OneTimeStore.OneTime(ctx, p, token)
	if s.f.onRead != nil {
		s.f.onRead()
	}
	return rec, err
}

type attempts struct {
	throttle.Store
	f *fixture
}

func (s attempts) TakeAttempt(ctx context.Context, lanes []throttle.Lane, now time.Time) (throttle.Decision, error) {
	d, err := s.Store.TakeAttempt(ctx, lanes, now)
	if s.f.onTake != nil {
		s.f.onTake()
	}
	return d, err
}

type roles struct{ f *fixture }

func (r roles) Roles(context.Context, string, string) ([]string, error) {
	if r.f.onRoles != nil {
		r.f.onRoles()
	}
	return r.f.roles, nil
}

type factors struct{ f *fixture }

func (s factors) Required(context.Context, string, string, []string) (bool, bool, error) {
	return s.f.enrolled, s.f.mustEnrol, nil
}

func (f *fixture) wait(d time.Duration) { f.mu.Lock(); defer f.mu.Unlock(); f.now = f.now.Add(d) }

func (f *fixture) proof(kind string) portalsec.FactorProof {
	f.mu.Lock()
	defer f.mu.Unlock()
	return portalsec.FactorProof{Kind: kind, At: f.now.Truncate(time.Microsecond)}
}

// last gives the latest event of a kind.
func (f *fixture) last(kind audit.Kind) audit.Event {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.events) - 1; i >= 0; i-- {
		if f.events[i].Kind == kind {
			return f.events[i]
		}
	}
	f.t.Fatalf("no event %s", kind)
	return audit.Event{}
}

func (f *fixture) account() auth.Account {
	f.t.Helper()
	a, err := f.CreateAccount(f.t.Context(), auth.NewAccount{Tenant: "acme", Email: address, Name: "Ann", Password: goodPassword})
	require.NoError(f.t, err)
	return a
}

// browser keeps cookies as a browser does.
type browser struct {
	f       *fixture
	addr    string
	cookies map[string]string
}

func (f *fixture) browser() *browser {
	return &browser{f, "203.0.113.9", map[string]string{}}
}

func (b *browser) request(method, target string) *http.Request {
	ctx := portalsec.WithOrigin(b.f.t.Context(), portalsec.Origin{Addr: netip.MustParseAddr(b.addr)})
	r := httptest.NewRequestWithContext(ctx, method, target, nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

func (b *browser) take(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
}

func (b *browser) login(pw string) (auth.Outcome, error) {
	w, r := httptest.NewRecorder(), b.request("POST", "/login")
	out, err := b.f.Login(r.Context(), w, r, auth.Credentials{Email: address, Password: pw})
	b.take(w)
	return out, err
}

func (b *browser) mustLogin() session.Session {
	b.f.t.Helper()
	out, err := b.login(goodPassword)
	require.NoError(b.f.t, err)
	require.Equal(b.f.t, auth.NextSession, out.Next)
	return out.Session
}

func (b *browser) complete(proof portalsec.FactorProof) (session.Session, error) {
	w, r := httptest.NewRecorder(), b.request("POST", "/mfa")
	s, err := b.f.CompleteLogin(r.Context(), w, r, proof)
	b.take(w)
	return s, err
}

// do runs f as a handler behind the middleware.
func (b *browser) do(f func(ctx context.Context, w http.ResponseWriter, r *http.Request) error) (err error) {
	w := httptest.NewRecorder()
	h := b.f.Middleware()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { err = f(r.Context(), w, r) }))
	h.ServeHTTP(w, b.request("POST", "/"))
	b.take(w)
	return err
}

func (b *browser) principal() (portalsec.Principal, error) {
	return b.f.Principal(b.request("GET", "/"))
}

func (b *browser) wantSignedIn() portalsec.Principal {
	b.f.t.Helper()
	p, err := b.principal()
	require.NoError(b.f.t, err)
	return p
}

func (b *browser) wantSignedOut() {
	b.f.t.Helper()
	_, err := b.principal()
	require.Equal(b.f.t, auth.ErrNoSession, err)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	c := setUp(t, nil).config
	for want, change := range map[string]func(*auth.Config){
		"Config.Accounts is required": func(c *auth.Config) { c.Accounts = nil },
		"Config.Profile is required":  func(c *auth.Config) { c.Profile = nil },
		"Config.Hasher is required":   func(c *auth.Config) { c.Hasher = nil },
		"Config.Policy is required":   func(c *auth.Config) { c.Policy = nil },
		"Config.Sessions is required": func(c *auth.Config) { c.Sessions = nil },
		"Config.Throttle is required": func(c *auth.Config) { c.Throttle = nil },
		"Config.OneTime is required":  func(c *auth.Config) { c.OneTime = nil },
		`SignInPath "//evil.test"`:    func(c *auth.Config) { c.SignInPath = "//evil.test" },
		`SignInPath "/login?from=1"`:  func(c *auth.Config) { c.SignInPath = "/login?from=1" },
		`SignInPath "/login#form"`:    func(c *auth.Config) { c.SignInPath = "/login#form" },
		`StepUpPath "//evil.test"`:    func(c *auth.Config) { c.StepUpPath = "//evil.test" },
		`StepUpPath "/confirm?a=b"`:   func(c *auth.Config) { c.StepUpPath = "/confirm?a=b" },
	} {
		broken := c
		change(&broken)
		_, err := auth.New(broken)
		require.ErrorContains(t, err, want)
	}
	c.SecondFactor, c.Roles, c.Audit = nil, nil, nil
	a, err := auth.New(c)
	require.NoError(t, err)
	n, err := a.Prune(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = a.PendingLogin(httptest.NewRequest("GET", "/", nil))
	require.Equal(t, auth.ErrNoPending, err)
}

func TestCreateAccount(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a, err := f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "acme", Email: " " + address + "\n", Name: "Ann", Password: goodPassword})
	require.NoError(t, err)
	require.Equal(t, address, a.Email)
	got, err := f.Account(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, a, got)

	rec, err := f.store.Account(t.Context(), a.ID)
	require.NoError(t, err)
	for _, b := range [][]byte{rec.Profile, rec.Login, []byte(rec.PasswordHash), []byte(rec.ID)} {
		require.NotContains(t, strings.ToLower(string(b)), strings.ToLower(address)) // three letters alone come up by chance
		require.NotContains(t, string(b), goodPassword)
	}
	e := f.last(audit.AuthAccountCreated)
	require.Equal(t, audit.Target{Type: "account", ID: a.ID}, *e.Target)
	require.Equal(t, "acme", e.Tenant)
}

func TestCreateAccountRefuses(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	f.account()
	create := func(email, pw string) error {
		_, err := f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "zeta", Email: email, Name: "Bob Builder", Password: pw})
		return err
	}
	require.Equal(t, auth.ErrEmailTaken, create(strings.ToUpper(address), goodPassword), "in any tenant and spelling")
	for _, email := range []string{"", "ann", "@acme.test", "ann@", "a b@acme.test", "ann@acme.test\x00", "<ann@acme.test>", "ann@\ufffd", strings.Repeat("a", 254) + "@b"} {
		require.Equal(t, auth.ErrEmail, create(email, goodPassword), email)
	}
	var weak *password.PolicyError
	require.ErrorAs(t, create("bob@zeta.test", "short"), &weak)
	require.ErrorAs(t, create("bob@zeta.test", "the builder is at home"), &weak, "the name")

	f.full = true
	require.ErrorIs(t, create("bob@zeta.test", goodPassword), errBroken)
	list, err := f.Accounts(t.Context(), "zeta")
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestCreateAccountRace(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = f.CreateAccount(t.Context(), auth.NewAccount{Email: address, Password: goodPassword})
		})
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else {
			require.Equal(t, auth.ErrEmailTaken, err)
		}
	}
	require.Equal(t, 1, made)
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	_, err := f.CreateAccount(t.Context(), auth.NewAccount{Tenant: "zeta", Email: "bob@zeta.test", Password: goodPassword})
	require.NoError(t, err)
	list, err := f.Accounts(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, []auth.Account{a}, list)

	for i := range 501 { // more than one page
		rec := auth.AccountRecord{ID: string(rune('a'+i%26)) + strings.Repeat("x", i), Tenant: "many", Login: []byte{byte(i), byte(i >> 8)}, Version: 1}
		rec.Profile, _ = sealer{}.Seal(t.Context(), portalsec.Row{Tenant: "many", Subject: rec.ID, ID: rec.ID}, []byte(`{"email":"e"}`))
		require.NoError(t, f.store.CreateAccount(t.Context(), rec))
	}
	list, err = f.Accounts(t.Context(), "many")
	require.NoError(t, err)
	require.Len(t, list, 501)

	_, err = f.Account(t.Context(), "unknown")
	require.Equal(t, auth.ErrNoAccount, err)
}

func TestSetDisabled(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	b.mustLogin()
	bumped := false
	f.onBump = func() error {
		bumped = true
		rec, err := f.store.Account(t.Context(), a.ID)
		require.NoError(t, err)
		require.True(t, rec.Disabled, "a login between the two would go on")
		return nil
	}
	require.NoError(t, f.SetDisabled(t.Context(), a.ID, true))
	require.True(t, bumped)
	f.onBump = nil
	b.wantSignedOut()
	list, err := f.sessions.List(t.Context(), "acme", a.ID)
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = b.login(goodPassword)
	require.Equal(t, auth.ErrLoginRefused, err)
	require.Equal(t, audit.Target{Type: "account", ID: a.ID}, *f.last(audit.AuthAccountDisabled).Target)

	require.NoError(t, f.SetDisabled(t.Context(), a.ID, false))
	f.last(audit.AuthAccountEnabled)
	b.wantSignedOut()
	b.mustLogin()
	require.Equal(t, auth.ErrNoAccount, f.SetDisabled(t.Context(), "unknown", true))

	f.full = true
	require.ErrorIs(t, f.SetDisabled(t.Context(), a.ID, true), errBroken)
	b.wantSignedIn()
}

// TestDisabledInTheStoreAlone is a portal that died between the two halves of SetDisabled.
func TestDisabledInTheStoreAlone(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	b.mustLogin()
	require.NoError(t, f.store.SetDisabled(t.Context(), a.ID, true))
	b.wantSignedOut()
	require.Equal(t, "disabled", f.last(audit.AuthSessionRefused).Reason)
	require.NoError(t, f.store.DeleteAccount(t.Context(), a.ID))
	b.wantSignedOut()
	require.Equal(t, "unknown-account", f.last(audit.AuthSessionRefused).Reason)
}

// TestEnabledWithoutOldSessions is a store that failed between the two halves of disabling.
func TestEnabledWithoutOldSessions(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	b.mustLogin()
	f.onBump = func() error { return errBroken }
	require.ErrorIs(t, f.SetDisabled(t.Context(), a.ID, true), errBroken)
	b.wantSignedOut()
	f.onBump = nil
	require.NoError(t, f.SetDisabled(t.Context(), a.ID, false))
	b.wantSignedOut()
	b.mustLogin()
	require.NoError(t, f.SetDisabled(t.Context(), a.ID, false))
	b.wantSignedIn()
}

func TestDeleteAccount(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	b.mustLogin()
	f.onBump = func() error {
		_, err := f.store.Account(t.Context(), a.ID)
		require.Equal(t, auth.ErrNoAccount, err, "a login between the two would go on")
		return nil
	}
	require.NoError(t, f.DeleteAccount(t.Context(), a.ID))
	b.wantSignedOut()
	list, err := f.sessions.List(t.Context(), "acme", a.ID)
	require.NoError(t, err)
	require.Empty(t, list, "the sessions are gone, not only of no use")
	_, err = b.login(goodPassword)
	require.Equal(t, auth.ErrLoginRefused, err)
	f.last(audit.AuthAccountDeleted)
	require.Equal(t, auth.ErrNoAccount, f.DeleteAccount(t.Context(), a.ID))
}
