// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/internal/token"
)

const (
	// pendingLifetime is how long a second factor may take to come.
	pendingLifetime = 10 * time.Minute
	// browserLifetime is how long a browser stays known after its last login.
	browserLifetime = 180 * 24 * time.Hour
)

// ErrNoSession is [session.ErrNoSession].
var ErrNoSession = session.ErrNoSession

// Protector encrypts what an account tells about its user, and finds an account by its e-mail address without
// decrypting any. A field of package crypto with a blind index is one.
type Protector interface {
	// Seal encrypts a value of a row.
	Seal(ctx context.Context, row portalsec.Row, plaintext []byte) ([]byte, error)
	// Open decrypts a value of a row.
	Open(ctx context.Context, row portalsec.Row, sealed []byte) ([]byte, error)
	// Index gives the keyed hash of a value to store. Values that differ only in how they are written, such as in
	// the case of letters, have one hash.
	Index(ctx context.Context, tenant, value string) ([]byte, error)
	// Candidates gives the keyed hashes under which a value may be stored, by all keys in use.
	Candidates(ctx context.Context, tenant, value string) ([][]byte, error)
}

// Roles gives the names of the roles that a user has now.
type Roles interface {
	Roles(ctx context.Context, tenant, user string) ([]string, error)
}

// SecondFactor tells whether a user has a second factor, and whether a user without one must enrol one.
type SecondFactor interface {
	Required(ctx context.Context, tenant, user string, roles []string) (enrolled, mustEnrol bool, err error)
}

// Config is the configuration of an [Auth].
type Config struct {
	// Accounts keeps the accounts. Required.
	Accounts AccountStore
	// Profile seals e-mail address and name, bound to Row{Tenant, ID, ID}, and indexes the address under the
	// empty tenant, because it is unique over all of them. Required.
	Profile Protector
	// Hasher hashes passwords. Required.
	Hasher *password.Hasher
	// Policy decides about new passwords. Required.
	Policy *password.Policy
	// Sessions keeps sessions. Required.
	Sessions *session.Manager
	// Throttle counts attempts. Required.
	Throttle *throttle.Throttle
	// Roles gives the principal's roles. Nil means that nobody has any.
	Roles Roles
	// SecondFactor tells who needs a second factor. Nil means that nobody does.
	SecondFactor SecondFactor
	// OneTime keeps logins that wait for a second factor and what mailed links carry. Required.
	OneTime OneTimeStore
	// Audit takes the events. Nil is audit.Slog(nil).
	Audit audit.Recorder
	// Clock gives the time. Nil is the system's clock.
	Clock portalsec.Clock
	// Deny answers what the middleware refuses. Nil is portalsec.Deny.
	Deny portalsec.DenyFunc
	// SignInPath is the path of the sign-in page, without query and fragment. Empty means "/login".
	SignInPath string
}

// Auth keeps accounts and runs the flows of signing in and out. It may be used by several goroutines.
type Auth struct {
	accounts     AccountStore
	profile      Protector
	hasher       *password.Hasher
	policy       *password.Policy
	sessions     *session.Manager
	throttle     *throttle.Throttle
	roles        Roles
	secondFactor SecondFactor
	oneTime      OneTimeStore
	audit        audit.Recorder
	clock        portalsec.Clock
	deny         portalsec.DenyFunc
	signIn       string
	loginCookie  token.Cookie
	browser      token.Cookie
}

// New gives an Auth.
func New(c Config) (*Auth, error) {
	for _, f := range []struct {
		name    string
		missing bool
	}{
		{"Accounts", c.Accounts == nil}, {"Profile", c.Profile == nil}, {"Hasher", c.Hasher == nil},
		{"Policy", c.Policy == nil}, {"Sessions", c.Sessions == nil}, {"Throttle", c.Throttle == nil},
		{"OneTime", c.OneTime == nil},
	} {
		if f.missing {
			return nil, fmt.Errorf("auth: Config.%s is required", f.name)
		}
	}
	if c.SignInPath == "" {
		c.SignInPath = "/login"
	}
	// RequireSession appends a query of its own.
	if SafeNext(c.SignInPath) != c.SignInPath || strings.ContainsAny(c.SignInPath, "?#") {
		return nil, fmt.Errorf("auth: Config.SignInPath %q: want a path of this site, without query and fragment", c.SignInPath)
	}
	if c.Audit == nil {
		c.Audit = audit.Slog(nil)
	}
	if c.Deny == nil {
		c.Deny = portalsec.Deny
	}
	insecure := c.Sessions.InsecureCookie()
	return &Auth{
		accounts: c.Accounts, profile: c.Profile, hasher: c.Hasher, policy: c.Policy, sessions: c.Sessions,
		throttle: c.Throttle, roles: c.Roles, secondFactor: c.SecondFactor, oneTime: c.OneTime,
		audit: c.Audit, clock: c.Clock, deny: c.Deny, signIn: c.SignInPath,
		loginCookie: token.Cookie{Name: "login", Insecure: insecure},
		browser:     token.Cookie{Name: "browser", Insecure: insecure},
	}, nil
}

// now gives the time in whole microseconds, so that every store gives back the time that it was given.
func (a *Auth) now() time.Time { return a.clock.Now().Truncate(time.Microsecond) }

// rolesOf gives the roles that an account has now.
func (a *Auth) rolesOf(ctx context.Context, rec AccountRecord) ([]string, error) {
	if a.roles == nil {
		return nil, nil
	}
	roles, err := a.roles.Roles(ctx, rec.Tenant, rec.ID)
	if err != nil {
		return nil, fmt.Errorf("auth: roles: %w", err)
	}
	return roles, nil
}

// record writes an event down. When that fails the act must not go on.
func (a *Auth) record(ctx context.Context, e audit.Event) error {
	if err := a.audit.Record(ctx, e); err != nil {
		return fmt.Errorf("auth: record: %w", err)
	}
	return nil
}

// recorded is [audit.Act] with the recorder of a.
func (a *Auth) recorded(ctx context.Context, e audit.Event, act func(context.Context) error) error {
	return audit.Act(ctx, a.audit, e, func(ctx context.Context, _ *audit.Event) error { return act(ctx) })
}

// about gives an event about an account: who acts is for the context to say.
func about(kind audit.Kind, rec AccountRecord) audit.Event {
	return audit.Event{
		Kind: kind, Tenant: rec.Tenant, Target: &audit.Target{Type: "account", ID: rec.ID},
		Subjects: []audit.Pseudonym{audit.Pseudonym(rec.ID)},
	}
}

// by gives an event about an account that its own user brought about.
func by(kind audit.Kind, rec AccountRecord) audit.Event {
	e := about(kind, rec)
	e.Actor = audit.Pseudonym(rec.ID)
	return e
}

// network gives the client's network for the throttle. An application without package clientip has no origin
// in its contexts; what connects to it is then the client.
func network(r *http.Request) netip.Prefix {
	o, ok := portalsec.OriginFrom(r.Context())
	if !ok {
		peer, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address on failure: one shared counter
		o.Addr = peer.Addr()
	}
	return o.Prefix()
}
