// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/internal/token"
)

const (
	// seenEvery is how far LastSeen may lag behind.
	seenEvery = time.Minute
	// maxStamp is the greatest length of a stamp in bytes.
	maxStamp = 64
	// tooManySessions is the reason why a login ends another session of its user.
	tooManySessions = "too-many-sessions"
)

// Sealer encrypts what a session tells about its user's device and whereabouts, and the data that the application
// keeps in it. A field of package crypto is one.
type Sealer interface {
	Seal(ctx context.Context, row portalsec.Row, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, row portalsec.Row, sealed []byte) ([]byte, error)
}

// Config is the configuration of a [Manager].
type Config struct {
	// Store keeps the sessions. Required.
	Store Store
	// Profile sets the timeouts that are not given.
	Profile portalsec.Profile
	// IdleTimeout ends a session that was not used for so long, give or take a minute. 0 means the profile's;
	// otherwise at least two minutes.
	IdleTimeout time.Duration
	// AbsoluteTimeout ends a session however much it is used. 0 means the profile's; never less than IdleTimeout.
	AbsoluteTimeout time.Duration
	// MaxSessions is how many sessions one user may have at once (ASVS 7.1.2): a login ends those used least recently
	// beyond it. 0 means the profile's, a negative number any number. Sessions in which staff act as the user do not
	// count.
	MaxSessions int
	// CookieName is the name of the cookie after its prefix __Host-. Empty means "session".
	CookieName string
	// InsecureCookie drops Secure and the prefix from the cookie. It is for development over plain HTTP: whoever
	// can read the network can take over sessions.
	InsecureCookie bool
	// Sealer seals device, address and country, and what a [Value] keeps, bound to Row{Tenant, User, ID}. Nil stores
	// them in the clear.
	Sealer Sealer
	// Audit takes the events auth.session_started, auth.session_revoked and auth.logout. Nil is audit.Slog(nil).
	Audit audit.Recorder
	// Clock gives the time. Nil is the system's clock.
	Clock portalsec.Clock
}

// Manager starts, loads and ends sessions. It may be used by several goroutines.
type Manager struct {
	store    Store
	idle     time.Duration
	absolute time.Duration
	most     int // sessions of one user, 0 for any number
	cookie   token.Cookie
	sealer   Sealer
	audit    audit.Recorder
	clock    portalsec.Clock

	values valueNames
}

// valueNames are the names that a [Value] has taken.
type valueNames struct {
	mu    sync.Mutex
	taken map[string]bool
}

// Session is somebody signed in on one browser. Its times are in UTC.
type Session struct {
	// ID identifies the session for its whole life, also when its token changes. It is not secret.
	ID string
	// Tenant is the user's organisation, empty in a portal of one organisation.
	Tenant string
	// User is the ID of the account.
	User string
	// Created is when the session began.
	Created time.Time
	// LastSeen is when it was last used, to about a minute.
	LastSeen time.Time
	// Expires is when it ends at the latest. It may end earlier by the idle timeout.
	Expires time.Time
	// AuthTime is when the user last proved who they are.
	AuthTime time.Time
	// Factors are the latest proofs of each kind, oldest first.
	Factors []portalsec.FactorProof
	// Impersonator is the ID of the member of staff who acts as User. Empty when nobody does.
	Impersonator string
	// Stamp is the one that the session got with its present token, see [Identity.Stamp].
	Stamp string
	// Device is a short summary such as "Firefox on Linux". It and the two below tell where the session was
	// started; only Start and List fill them, so that no request has to open what is sealed.
	Device string
	// Addr is the client's address, invalid when it is not known.
	Addr netip.Addr
	// Country is the ISO 3166-1 alpha-2 code of the country, empty when it is not known.
	Country string
}

// Identity says whose session to start.
type Identity struct {
	// Tenant is the user's organisation, empty in a portal of one organisation.
	Tenant string
	// User is the ID of the account. Required.
	User string
	// Factors are the proofs given just now, oldest first. At least one.
	Factors []portalsec.FactorProof
	// Impersonator is the ID of the member of staff who is to act as User. Empty when nobody does.
	Impersonator string
	// Stamp sums up what the session may do, such as a hash of the user's roles: at most 64 bytes, empty where nobody
	// asks. When it is no longer what it was, [Manager.Restamp] gives the session a new token.
	Stamp string
	// Lifetime ends the session however much it is used, if that is sooner than the manager's. 0 means the manager's.
	Lifetime time.Duration
	// Version is what [Manager.Version] gave before the proofs were checked: if all sessions of the user are
	// ended meanwhile, as by a change of password, none is started. 0 does without that check.
	Version int64
}

// New gives a manager.
func New(c Config) (*Manager, error) {
	if c.Store == nil {
		return nil, errors.New("session: Config.Store is required")
	}
	settings := c.Profile.Settings()
	if c.IdleTimeout == 0 {
		c.IdleTimeout = settings.IdleTimeout
	}
	if c.AbsoluteTimeout == 0 {
		c.AbsoluteTimeout = max(settings.AbsoluteTimeout, c.IdleTimeout)
	}
	if c.IdleTimeout < 2*seenEvery {
		return nil, fmt.Errorf("session: Config.IdleTimeout is %v: want at least %v", c.IdleTimeout, 2*seenEvery)
	}
	if c.AbsoluteTimeout < c.IdleTimeout {
		return nil, fmt.Errorf("session: Config.AbsoluteTimeout is %v: want at least the idle timeout, %v", c.AbsoluteTimeout, c.IdleTimeout)
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = settings.MaxSessions
	}
	if c.CookieName == "" {
		c.CookieName = "session"
	}
	if strings.HasPrefix(c.CookieName, "__") || (&http.Cookie{Name: c.CookieName}).Valid() != nil {
		return nil, fmt.Errorf("session: Config.CookieName %q: want a cookie's name without prefix", c.CookieName)
	}
	if c.Audit == nil {
		c.Audit = audit.Slog(nil)
	}
	return &Manager{
		store: c.Store, idle: c.IdleTimeout, absolute: c.AbsoluteTimeout, most: max(c.MaxSessions, 0),
		cookie: token.Cookie{Name: c.CookieName, Insecure: c.InsecureCookie},
		sealer: c.Sealer, audit: c.Audit, clock: c.Clock,
	}, nil
}

// InsecureCookie tells whether the cookie goes over plain HTTP, see [Config.InsecureCookie]. A package that
// sets cookies beside the session's follows it.
func (m *Manager) InsecureCookie() bool { return m.cookie.Insecure }

// now gives the time in whole microseconds, so that every store gives back the time that it was given.
func (m *Manager) now() time.Time { return time.UnixMicro(m.clock.Now().UnixMicro()).UTC() }

// client is where a session was started.
type client struct {
	Device  string     `json:"device,omitempty"`
	Addr    netip.Addr `json:"addr,omitzero"`
	Country string     `json:"country,omitempty"`
}

// seal gives the bytes of c for the session rec.
func (m *Manager) seal(ctx context.Context, rec Record, c client) ([]byte, error) {
	b, err := json.Marshal(c)
	if err != nil || m.sealer == nil {
		return b, err
	}
	return m.sealer.Seal(ctx, row(rec), b)
}

// open is the inverse of seal.
func (m *Manager) open(ctx context.Context, rec Record) (c client, err error) {
	b := rec.Client
	if m.sealer != nil {
		if b, err = m.sealer.Open(ctx, row(rec), b); err != nil {
			return client{}, err
		}
	}
	err = json.Unmarshal(b, &c)
	return c, err
}

func row(r Record) portalsec.Row {
	return portalsec.Row{Tenant: r.Tenant, Subject: r.User, ID: r.ID}
}

// session gives the record as a Session that does not tell where it was started.
func (r Record) session() Session {
	return Session{
		ID: r.ID, Tenant: r.Tenant, User: r.User, Impersonator: r.Impersonator, Stamp: r.Stamp, Factors: r.Factors,
		Created: r.Created, LastSeen: r.LastSeen, Expires: r.Expires, AuthTime: r.AuthTime,
	}
}

func (s Session) with(c client) Session {
	s.Device, s.Addr, s.Country = c.Device, c.Addr, c.Country
	return s
}
