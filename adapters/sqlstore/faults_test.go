// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"database/sql"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/crypto"
	"github.com/portalsec/portalsec/ipfilter"
	"github.com/portalsec/portalsec/mfa"
	"github.com/portalsec/portalsec/rbac"
	"github.com/portalsec/portalsec/retention"
	"github.com/stretchr/testify/require"
)

// act is a call of a store.
type act struct {
	name   string
	writes bool
	call   func(ctx context.Context) error
}

// acts gives a call of every kind of each store.
func acts(s *sqlstore.DB) []act {
	now := time.Unix(1, 0)
	return []act{
		{"create account", true, func(ctx context.Context) error {
			return s.Accounts().CreateAccount(ctx, auth.AccountRecord{ID: "new", Login: []byte("new")})
		}},
		{"account by login", false, func(ctx context.Context) error {
			_, err := s.Accounts().AccountByLogin(ctx, [][]byte{[]byte("new")})
			return err
		}},
		{"list accounts", false, func(ctx context.Context) error {
			_, err := s.Accounts().ListAccounts(ctx, "acme", "", 1)
			return err
		}},
		{"set password", true, func(ctx context.Context) error {
			_, err := s.Accounts().SetPassword(ctx, "a", 1, auth.NewPassword{Hash: "hash"})
			return err
		}},
		{"consume one-time token", true, func(ctx context.Context) error {
			_, err := s.OneTime().ConsumeOneTime(ctx, auth.PurposeReset, auth.TokenHash{})
			return err
		}},
		{"create session", true, func(ctx context.Context) error {
			return s.Sessions().CreateSession(ctx, session.Record{ID: "s", Tenant: "acme", User: "a"}, 1)
		}},
		{"touch session", false, func(ctx context.Context) error {
			_, err := s.Sessions().TouchSession(ctx, session.Hash{}, session.Touch{Now: now})
			return err
		}},
		{"bump user", true, func(ctx context.Context) error {
			_, err := s.Sessions().BumpUser(ctx, "acme", "a", "")
			return err
		}},
		{"take attempt", true, func(ctx context.Context) error {
			_, err := s.Attempts().TakeAttempt(ctx, []throttle.Lane{{Kind: throttle.KindAccount}}, now)
			return err
		}},
		{"factors", false, func(ctx context.Context) error {
			_, err := s.Factors().Factors(ctx, "acme", "a")
			return err
		}},
		{"put pending enrolment", true, func(ctx context.Context) error {
			return s.Factors().PutPending(ctx, mfa.Pending{Tenant: "acme", User: "a"})
		}},
		{"add assignment", true, func(ctx context.Context) error {
			return s.Assignments().Add(ctx, rbac.Assignment{ID: "i", Tenant: "acme", Subject: "a", Role: "r", Scope: "acme"}, nil)
		}},
		{"version of assignments", false, func(ctx context.Context) error {
			_, err := s.Assignments().Version(ctx)
			return err
		}},
		{"ensure key", true, func(ctx context.Context) error {
			_, err := s.Keys().EnsureKey(ctx, crypto.KeyRecord{Scope: crypto.Scope{Kind: crypto.KindRoot}, Version: 1})
			return err
		}},
		{"load network rules", false, func(ctx context.Context) error {
			_, err := s.NetworkRules().LoadRules(ctx)
			return err
		}},
		{"swap network rules", true, func(ctx context.Context) error {
			_, err := s.NetworkRules().SwapRules(ctx, 0, ipfilter.Rules{Version: 1})
			return err
		}},
		{"retention state", false, func(ctx context.Context) error {
			_, err := s.RetentionRuns().State(ctx, "p")
			return err
		}},
		{"approve retention", true, func(ctx context.Context) error {
			return s.RetentionRuns().Approve(ctx, retention.Approval{Policy: "p"})
		}},
	}
}

func TestClosedDatabase(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		s, db := b.open(t)
		require.NoError(t, db.Close())
		for _, a := range acts(s) {
			require.ErrorContains(t, a.call(t.Context()), "closed", a.name)
		}
	})
}

// proxy stands between a test and a server, and can make the server silent.
type proxy struct {
	net.Listener
	server string
	mu     sync.Mutex
	silent bool
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{Listener: l, server: server}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			go p.serve(c)
		}
	}()
	return p
}

func (p *proxy) serve(c net.Conn) {
	s, err := net.Dial("tcp", p.server)
	if err != nil {
		_ = c.Close()
		return
	}
	go func() {
		_, _ = io.Copy(s, c)
		_ = s.Close()
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := s.Read(buf)
		if err != nil {
			_ = c.Close()
			return
		}
		p.mu.Lock()
		silent := p.silent
		p.mu.Unlock()
		if silent { // what comes is lost, and the connection stays open
			continue
		}
		if _, err := c.Write(buf[:n]); err != nil {
			_ = s.Close()
			return
		}
	}
}

func (p *proxy) setSilent(silent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = silent
}

// through gives the data source name of the same database behind a proxy.
func (b backend) through(t *testing.T, dsn string) (string, *proxy) {
	t.Helper()
	if b.dialect == sqlstore.PostgreSQL {
		u, err := url.Parse(dsn)
		require.NoError(t, err)
		p := newProxy(t, u.Host)
		u.Host = p.Addr().String()
		return u.String(), p
	}
	c, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	p := newProxy(t, c.Addr)
	c.Addr = p.Addr().String()
	return c.FormatDSN(), p
}

// patience is how long a call may take whose context lasts for patience/20.
const patience = 4 * time.Second

// within makes a call under a context that ends soon. The call must fail, and not much later than that.
func within(t *testing.T, name string, call func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience/20)
	defer cancel()
	begun := time.Now()
	require.Error(t, call(ctx), name)
	require.Less(t, time.Since(begun), patience, name)
}

// A server that falls silent makes each call fail in the time of its context, on connections that were made before
// and on new ones, and what was asked for is not done. It is no more than slow when it speaks again.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	for _, b := range []backend{postgres, mariadb} {
		t.Run(string(b.dialect), func(t *testing.T) {
			t.Parallel()
			dsn, p := b.through(t, b.make(t))
			s, _ := b.stores(t, dsn)
			for _, a := range acts(s) {
				if !a.writes {
					_ = a.call(t.Context()) // a connection that was good
				}
			}
			p.setSilent(true)
			for _, a := range acts(s) {
				within(t, a.name, a.call)
			}
			within(t, "open", func(ctx context.Context) error {
				_, err := sqlstore.Open(ctx, b.connect(t, dsn), b.dialect)
				return err
			})
			p.setSilent(false)
			_, err := s.Accounts().Account(t.Context(), "new")
			require.ErrorIs(t, err, auth.ErrNoAccount)
			version, err := s.Sessions().UserVersion(t.Context(), "acme", "a")
			require.NoError(t, err)
			require.Equal(t, int64(1), version)
		})
	}
}

// Who waits for another's lock waits no longer than its context, and its act is not done later.
func TestWaitingForALock(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		s, db := b.open(t)
		require.NoError(t, s.Accounts().CreateAccount(t.Context(), auth.AccountRecord{ID: "a", Login: []byte("a"), Version: 1}))
		require.NoError(t, s.OneTime().CreateOneTime(t.Context(), auth.OneTimeRecord{Purpose: auth.PurposeReset}))
		_, err := s.Sessions().BumpUser(t.Context(), "acme", "a", "")
		require.NoError(t, err)
		tx := lockAll(t, db)
		waiting := []act{
			{"set password", true, func(ctx context.Context) error {
				_, err := s.Accounts().SetPassword(ctx, "a", 1, auth.NewPassword{Hash: "hash"})
				return err
			}},
			{"consume one-time token", true, func(ctx context.Context) error {
				_, err := s.OneTime().ConsumeOneTime(ctx, auth.PurposeReset, auth.TokenHash{})
				return err
			}},
			{"bump user", true, func(ctx context.Context) error {
				_, err := s.Sessions().BumpUser(ctx, "acme", "a", "")
				return err
			}},
		}
		for _, a := range waiting {
			within(t, a.name, a.call)
		}
		require.NoError(t, tx.Rollback())
		// Whatever of theirs was still in the server's queue comes before these.
		won, err := s.Accounts().SetPassword(t.Context(), "a", 1, auth.NewPassword{Hash: "other"})
		require.NoError(t, err)
		require.True(t, won)
		won, err = s.OneTime().ConsumeOneTime(t.Context(), auth.PurposeReset, auth.TokenHash{})
		require.NoError(t, err)
		require.True(t, won)
		_, err = s.Sessions().BumpUser(t.Context(), "acme", "a", "")
		require.NoError(t, err)
		version, err := s.Sessions().UserVersion(t.Context(), "acme", "a")
		require.NoError(t, err)
		require.Equal(t, int64(3), version)
	})
}

// lockAll changes the rows that the test's acts are about in a transaction that stays open.
func lockAll(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	for _, q := range []string{`UPDATE ps_account SET version = version`, `UPDATE ps_one_time SET version = 9`,
		`UPDATE ps_session_version SET version = version`} {
		_, err := tx.ExecContext(t.Context(), q)
		require.NoError(t, err)
	}
	return tx
}
