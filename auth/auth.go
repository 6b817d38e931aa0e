// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/internal/letter"
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
	// Profile seals e-mail address and name, bound to Row{Tenant, ID, ID}, and what a mailed link carries, bound to
	// Row{Tenant, ID, ID of the token}; where there is no account yet, to Row{ID: ID of the token}. It indexes the address
	// under the empty tenant, because it is unique over all of them. Required.
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
	// StepUpPath is the path of the page where who is signed in proves again who they are, without query and fragment.
	// Empty means "/confirm". See [Auth.RequireFresh].
	StepUpPath string
	// Level is the level whose [portalsec.Settings] hold here: FreshFor and the lifetimes of links and impersonations.
	// The zero Level is L2.
	Level portalsec.Profile
	// Incidents is told when a user says that a sign-in or a change was not theirs. Nil leaves it to the audit log.
	Incidents Incidents
	// Mail sends letters; it must call [Auth.Compose] for those whose kind begins with "auth.". Nil means that the portal
	// sends none: calls that need a letter return [ErrNoMailer].
	Mail portalsec.Mailer
	// PublicURL is the address under which visitors see the portal, such as https://portal.acme.test. Links are made
	// from it, never from what a request says. Required with Mail. Plain HTTP is for sessions with InsecureCookie.
	PublicURL *url.URL
	// Links are the paths of the pages that links lead to.
	Links Links
	// Letters replaces texts of letters and adds languages: files KIND.LANG.txt like those of this package's folder
	// letters. A language needs all kinds. Nil replaces nothing.
	Letters fs.FS
	// PortalName is how letters call the portal, such as "Acme Help". Empty means the host of PublicURL.
	PortalName string
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
	stepUp       string
	settings     portalsec.Settings
	incidents    Incidents
	mail         portalsec.Mailer
	publicURL    *url.URL
	links        map[Purpose]string // paths
	letters      *letter.Set
	portal       string
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
	if c.StepUpPath == "" {
		c.StepUpPath = "/confirm"
	}
	// RequireSession and RequireFresh append a query of their own.
	for _, p := range []struct{ name, path string }{{"SignInPath", c.SignInPath}, {"StepUpPath", c.StepUpPath}} {
		if SafeNext(p.path) != p.path || strings.ContainsAny(p.path, "?#") {
			return nil, fmt.Errorf("auth: Config.%s %q: want a path of this site, without query and fragment", p.name, p.path)
		}
	}
	if c.Mail != nil || c.PublicURL != nil {
		if err := checkPublicURL(c.PublicURL, c.Sessions.InsecureCookie()); err != nil {
			return nil, err
		}
	}
	links, err := c.Links.paths()
	if err != nil {
		return nil, err
	}
	letters, err := newLetters(c.Letters)
	if err != nil {
		return nil, err
	}
	if c.PortalName == "" && c.PublicURL != nil {
		c.PortalName = c.PublicURL.Hostname()
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
		audit: c.Audit, clock: c.Clock, deny: c.Deny, signIn: c.SignInPath, stepUp: c.StepUpPath,
		settings: c.Level.Settings(), incidents: c.Incidents, mail: c.Mail, publicURL: c.PublicURL, links: links, letters: letters, portal: c.PortalName,
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
