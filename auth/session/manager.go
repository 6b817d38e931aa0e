// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/internal/token"
	"github.com/portalsec/portalsec/internal/uuid"
)

// Start begins a session and sets its cookie. A session that r carries, whoever's it is, ends first, so that
// nobody's browser is left with a session that they did not ask for. It returns [ErrNoSession] when the user's
// sessions were all ended since id.Version was read. Sessions of the user beyond [Config.MaxSessions] end; when that
// fails, none is started.
func (m *Manager) Start(ctx context.Context, w http.ResponseWriter, r *http.Request, id Identity) (Session, error) {
	if id.User == "" || len(id.Factors) == 0 {
		return Session{}, errors.New("session: start: Identity.User and Identity.Factors are required")
	}
	if id.Lifetime < 0 || len(id.Stamp) > maxStamp {
		return Session{}, fmt.Errorf("session: start: Identity.Lifetime is negative or Identity.Stamp longer than %d bytes", maxStamp)
	}
	if id.Version == 0 {
		var err error
		if id.Version, err = m.Version(ctx, id.Tenant, id.User); err != nil {
			return Session{}, err
		}
	}
	now := m.now()
	lifetime := m.absolute
	if id.Lifetime > 0 {
		lifetime = min(lifetime, id.Lifetime.Truncate(time.Microsecond))
	}
	text, hash := token.New()
	rec := Record{
		Token: hash, Tenant: id.Tenant, User: id.User, Impersonator: id.Impersonator, Stamp: id.Stamp,
		Created: now, LastSeen: now, Expires: now.Add(lifetime),
	}
	rec.prove(id.Factors)
	rec.ID = uuid.NewV7(now)
	c := client{Device: Device(r.UserAgent())}
	if o, ok := portalsec.OriginFrom(ctx); ok {
		c.Addr, c.Country = o.Addr, o.Country
	}
	var err error
	if rec.Client, err = m.seal(ctx, rec, c); err != nil {
		return Session{}, fmt.Errorf("session: seal: %w", err)
	}
	e := rec.event(audit.AuthSessionStarted)
	switch old, err := m.load(ctx, r); {
	case err == nil:
		if _, err := m.store.DeleteSession(ctx, old.Tenant, old.User, old.ID); err != nil {
			return Session{}, fmt.Errorf("session: start: %w", err)
		}
		e.Details = []audit.Detail{{Name: "replaces", Value: old.ID}}
	case !errors.Is(err, ErrNoSession):
		return Session{}, err
	}
	switch err := m.store.CreateSession(ctx, rec, id.Version); {
	case errors.Is(err, ErrNoSession):
		return Session{}, ErrNoSession
	case err != nil:
		return Session{}, fmt.Errorf("session: start: %w", err)
	}
	if err := m.limit(ctx, rec); err != nil {
		return Session{}, fmt.Errorf("session: start: %w", err)
	}
	_ = m.audit.Record(ctx, e) // the recorder raises its own alarm; the duty of this kind stops nobody
	m.cookie.Set(w, text, 0)
	return rec.session().with(c), nil
}

// Version gives the user's version, for [Identity.Version]. It rises whenever all sessions of the user are
// ended at once.
func (m *Manager) Version(ctx context.Context, tenant, user string) (int64, error) {
	v, err := m.store.UserVersion(ctx, tenant, user)
	if err != nil {
		return 0, fmt.Errorf("session: version: %w", err)
	}
	return v, nil
}

// Load gives the session that r carries and notes that it is used. It returns [ErrNoSession] when there is
// none, and another error when the store failed. It leaves Device, Addr and Country empty.
func (m *Manager) Load(r *http.Request) (Session, error) {
	rec, err := m.load(r.Context(), r)
	if err != nil {
		return Session{}, err
	}
	return rec.session(), nil
}

func (m *Manager) load(ctx context.Context, r *http.Request) (Record, error) {
	text, ok := m.cookie.Read(r)
	if !ok {
		return Record{}, ErrNoSession
	}
	hash, ok := token.Parse(text)
	if !ok {
		return Record{}, ErrNoSession
	}
	now := m.now()
	rec, err := m.store.TouchSession(ctx, hash, Touch{
		Now: now, AliveAfter: now.Add(-m.idle), WriteBefore: now.Add(-seenEvery),
	})
	switch {
	case errors.Is(err, ErrNoSession):
		return Record{}, ErrNoSession
	case err != nil:
		return Record{}, fmt.Errorf("session: load: %w", err)
	}
	return rec, nil
}

// Rotate gives the session that r carries a new token, and adds proofs that were given just now. The old token
// is dead at once. Call it whenever what the session may do has grown. The session keeps its ID, its stamp and its
// end. It returns [ErrNoSession] when the session has ended, or another request has rotated it.
func (m *Manager) Rotate(ctx context.Context, w http.ResponseWriter, r *http.Request, add ...portalsec.FactorProof) (Session, error) {
	return m.renew(ctx, w, r, func(rec *Record) { rec.prove(add) })
}

// Restamp gives the session that r carries a new token and another stamp, as when the user's roles are no longer those
// with which it got its token (ASVS 7.2.4). The old token is dead at once. It returns [ErrNoSession] when the session
// has ended, or another request has rotated it: that one's answer carries the new cookie.
func (m *Manager) Restamp(ctx context.Context, w http.ResponseWriter, r *http.Request, stamp string) (Session, error) {
	if len(stamp) > maxStamp {
		return Session{}, fmt.Errorf("session: restamp: a stamp of %d bytes: want at most %d", len(stamp), maxStamp)
	}
	return m.renew(ctx, w, r, func(rec *Record) { rec.Stamp = stamp })
}

// renew gives the session of r a new token and what change does to it.
func (m *Manager) renew(ctx context.Context, w http.ResponseWriter, r *http.Request, change func(*Record)) (Session, error) {
	rec, err := m.load(ctx, r)
	if err != nil {
		return Session{}, err
	}
	old := rec.Token
	text, hash := token.New()
	rec.Token, rec.LastSeen = hash, m.now()
	change(&rec)
	if err := m.store.RotateSession(ctx, old, rec); err != nil {
		if errors.Is(err, ErrNoSession) {
			return Session{}, ErrNoSession
		}
		return Session{}, fmt.Errorf("session: rotate: %w", err)
	}
	m.cookie.Set(w, text, 0)
	return rec.session(), nil
}

// End ends the session that r carries, removes the cookie, and tells the browser to forget what the portal
// left in it (ASVS 14.3.1). Without a session it only does the latter two. It does its work when ctx has ended too:
// people close the page that signs them out.
func (m *Manager) End(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := audit.Finishing(ctx)
	defer cancel()
	rec, err := m.load(ctx, r)
	if err == nil {
		_, err = m.store.DeleteSession(ctx, rec.Tenant, rec.User, rec.ID)
	}
	if err != nil && !errors.Is(err, ErrNoSession) {
		// The cookie stays, so that the user can try again.
		return fmt.Errorf("session: end: %w", err)
	}
	if err == nil {
		_ = m.audit.Record(ctx, rec.event(audit.AuthLogout)) // as in Start
	}
	m.cookie.Clear(w)
	// Not "cookies": those that tell a known browser from a stranger's are to stay.
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	return nil
}

// List gives the live sessions of a user, the one used last first.
func (m *Manager) List(ctx context.Context, tenant, user string) ([]Session, error) {
	records, err := m.alive(ctx, tenant, user)
	if err != nil {
		return nil, fmt.Errorf("session: list: %w", err)
	}
	sessions := make([]Session, 0, len(records))
	for _, rec := range records {
		c, err := m.open(ctx, rec)
		if err != nil {
			return nil, fmt.Errorf("session: list: %w", err)
		}
		sessions = append(sessions, rec.session().with(c))
	}
	slices.SortStableFunc(sessions, func(a, b Session) int { return b.LastSeen.Compare(a.LastSeen) })
	return sessions, nil
}

func (m *Manager) alive(ctx context.Context, tenant, user string) ([]Record, error) {
	records, err := m.store.ListSessions(ctx, tenant, user)
	now := m.now()
	return slices.DeleteFunc(records, func(r Record) bool {
		return !r.Expires.After(now) || !r.LastSeen.After(now.Add(-m.idle))
	}), err
}

// Revoke ends one session of a user. It returns [ErrNoSession] when the user has none with that ID.
func (m *Manager) Revoke(ctx context.Context, tenant, user, id string) error {
	records, err := m.alive(ctx, tenant, user)
	if err != nil {
		return fmt.Errorf("session: revoke: %w", err)
	}
	if !slices.ContainsFunc(records, func(r Record) bool { return r.ID == id }) {
		return ErrNoSession
	}
	e := audit.Event{Target: &audit.Target{Type: "session", ID: id}, Subjects: []audit.Pseudonym{audit.Pseudonym(user)}}
	return m.revoke(ctx, tenant, e, func(ctx context.Context) error {
		_, err := m.store.DeleteSession(ctx, tenant, user, id)
		return err
	})
}

// RevokeUser ends all sessions of a user but the one with the ID except, which may be empty, and stops logins
// of the user that are under way (see [Identity.Version]). It tells how many sessions it ended.
func (m *Manager) RevokeUser(ctx context.Context, tenant, user, except string) (n int, err error) {
	e := audit.Event{Target: &audit.Target{Type: "user's sessions", ID: user}, Subjects: []audit.Pseudonym{audit.Pseudonym(user)}}
	if except != "" {
		e.Details = []audit.Detail{{Name: "except", Value: except}}
	}
	err = m.revoke(ctx, tenant, e, func(ctx context.Context) error {
		n, err = m.store.BumpUser(ctx, tenant, user, except)
		return err
	})
	return n, err
}

// RevokeTenant ends all sessions of a tenant and tells how many. Logins under way are not stopped.
func (m *Manager) RevokeTenant(ctx context.Context, tenant string) (n int, err error) {
	e := audit.Event{Target: &audit.Target{Type: "tenant's sessions", ID: tenant}}
	err = m.revoke(ctx, tenant, e, func(ctx context.Context) error {
		n, err = m.store.DeleteTenant(ctx, tenant)
		return err
	})
	return n, err
}

// revoke is [audit.Act] for sessions that somebody ends.
func (m *Manager) revoke(ctx context.Context, tenant string, e audit.Event, act func(context.Context) error) error {
	e.Kind, e.Tenant = audit.AuthSessionRevoked, tenant
	err := audit.Act(ctx, m.audit, e, func(ctx context.Context, _ *audit.Event) error { return act(ctx) })
	if err != nil {
		return fmt.Errorf("session: revoke: %w", err)
	}
	return nil
}

// Prune removes what is left of sessions that are over, and with them the addresses that they were started
// from. It tells how many. Call it once a day.
func (m *Manager) Prune(ctx context.Context) (int64, error) {
	now := m.now()
	n, err := m.store.PruneSessions(ctx, now, now.Add(-m.idle))
	if err != nil {
		return n, fmt.Errorf("session: prune: %w", err)
	}
	return n, nil
}

// limit ends the user's sessions beyond the limit, those used least recently first, and never rec, which has just
// begun. If it cannot, it ends rec.
func (m *Manager) limit(ctx context.Context, rec Record) error {
	if m.most == 0 || rec.Impersonator != "" {
		return nil
	}
	ctx, cancel := audit.Finishing(ctx) // rec is there already, and its user has no cookie yet
	defer cancel()
	err := m.endOldest(ctx, rec)
	if err == nil {
		return nil
	}
	_, also := m.store.DeleteSession(ctx, rec.Tenant, rec.User, rec.ID)
	return errors.Join(err, also)
}

func (m *Manager) endOldest(ctx context.Context, rec Record) error {
	others, err := m.alive(ctx, rec.Tenant, rec.User)
	if err != nil {
		return err
	}
	others = slices.DeleteFunc(others, func(r Record) bool { return r.ID == rec.ID || r.Impersonator != "" })
	slices.SortStableFunc(others, func(a, b Record) int { return a.LastSeen.Compare(b.LastSeen) })
	for _, r := range others[:max(0, len(others)+1-m.most)] {
		e := rec.event(audit.AuthSessionRevoked)
		e.Reason, e.Target = tooManySessions, &audit.Target{Type: "session", ID: r.ID}
		err := m.revoke(ctx, r.Tenant, e, func(ctx context.Context) error {
			_, err := m.store.DeleteSession(ctx, r.Tenant, r.User, r.ID)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// event gives the event that the session's own user did something with it.
func (r *Record) event(kind audit.Kind) audit.Event {
	e := audit.Event{
		Kind: kind, Outcome: audit.Success, Tenant: r.Tenant,
		Actor: audit.Pseudonym(r.User), Session: audit.Pseudonym(r.ID),
	}
	if r.Impersonator != "" {
		e.Actor, e.OnBehalfOf = audit.Pseudonym(r.Impersonator), audit.Pseudonym(r.User)
	}
	return e
}

// prove adds proofs. One of each kind is kept, so that stepping up every hour lets no session grow.
func (r *Record) prove(add []portalsec.FactorProof) {
	for _, p := range add {
		p.At = p.At.UTC().Truncate(time.Microsecond)
		r.Factors = slices.DeleteFunc(r.Factors, func(f portalsec.FactorProof) bool { return f.Kind == p.Kind })
		r.Factors = append(r.Factors, p)
		if p.At.After(r.AuthTime) {
			r.AuthTime = p.At
		}
	}
}
