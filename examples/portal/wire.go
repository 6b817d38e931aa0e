// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/adapters/redisstore"
	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/crypto"
	"github.com/portalsec/portalsec/ipfilter"
	"github.com/portalsec/portalsec/ipfilter/clientip"
	"github.com/portalsec/portalsec/mfa"
	"github.com/portalsec/portalsec/outbox"
	"github.com/portalsec/portalsec/rbac"
	"github.com/portalsec/portalsec/retention"
)

// exempt are the pages that need no second factor: to prove who one is and to sign out, and where mailed links lead, which
// need no session at all.
var exempt = []string{
	"/confirm", "/logout", "/impersonation/stop", "/static/",
	"/register", "/welcome", "/forgot", "/reset", "/email/confirm", "/not-me",
	"/api/enrol", "/api/mfa", "/api/reauthenticate", "/api/logout", "/api/impersonation/stop",
	"/api/register", "/api/invitation", "/api/reset", "/api/email/confirm", "/api/not-me",
}

// profile is the level of OWASP ASVS that the whole portal takes its defaults from.
const profile = portalsec.L2

//go:embed policy
var builtinPolicy embed.FS

// inputs are the files that the flags name, read and checked before anything is made.
type inputs struct {
	policy      fs.FS
	policyFile  string
	retention   []retention.Policy
	countries   *ipfilter.CountryDB // nil without one
	clients     clientip.Config
	mail        portalsec.Sender // nil without a mail server
	permissions *rbac.Catalog
	pages       map[string]*template.Template
}

func readInputs(cfg config) (in inputs, err error) {
	if in.permissions, err = catalog(); err != nil {
		return in, err
	}
	if in.pages, err = parsePages(); err != nil {
		return in, err
	}
	builtin, err := fs.Sub(builtinPolicy, "policy")
	if err != nil {
		return in, err
	}
	in.policy, in.policyFile = builtin, "policy.yaml"
	if cfg.policyFile != "" {
		in.policy, in.policyFile = os.DirFS(filepath.Dir(cfg.policyFile)), filepath.Base(cfg.policyFile)
	}
	if _, err := rbac.ParsePolicy(in.permissions, in.policy, in.policyFile); err != nil {
		return in, fmt.Errorf("-policy: %w", err)
	}
	text, err := fs.ReadFile(builtin, "retention.yaml")
	if err != nil {
		return in, err
	}
	if in.retention, err = retention.ParsePolicies("retention.yaml", text); err != nil {
		return in, err
	}
	if cfg.countryDB != "" {
		if in.countries, err = ipfilter.OpenCountryDB(cfg.countryDB); err != nil {
			return in, fmt.Errorf("-country-db: %w", err)
		}
	}
	if cfg.smtp.server != nil {
		if in.mail, err = cfg.smtp.sender(); err != nil {
			return in, err
		}
	}
	if len(cfg.proxies) > 0 {
		in.clients = clientip.Config{Source: clientip.XForwardedFor, Trusted: cfg.proxies}
	}
	if _, err := clientip.New(in.clients); err != nil {
		return in, fmt.Errorf("-trusted-proxies: %w", err)
	}
	return in, nil
}

// app is the portal: the packages of the SDK, each made once, and the portal's own records.
type app struct {
	cfg   config
	demo  bool // made as a demonstration
	log   *slog.Logger
	pages map[string]*template.Template

	audit     audit.Recorder
	ledger    *ledger.Log
	ledgerDir string
	sessions  *session.Manager
	attempts  *throttle.Throttle
	auth      *auth.Auth
	mfa       *mfa.Manager
	roles     *rbac.Engine
	countries *ipfilter.CountryDB
	clients   *clientip.Resolver
	network   *ipfilter.Filter
	runs      retention.Store
	retention *retention.Runner
	// policyTenant tells which organisation a retention policy is of.
	policyTenant map[string]string

	store   *store
	outbox  *outbox.Outbox
	sender  portalsec.Sender // nil when the portal has no mail server
	mailbox *mailbox         // what a demonstration has sent; nil elsewhere

	gets    *http.ServeMux // the pages that can be opened by their address
	closers []func() error
}

// now is the present time.
func (a *app) now() time.Time { return time.Now().UTC() }

// link gives the address of a page for a mail.
func (a *app) link(path string) string { return a.cfg.publicURL.JoinPath(path).String() }

// close ends everything in the reverse order of its making.
func (a *app) close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// wire makes every package once, in the order of the floors: what records, what keeps, what protects, who is
// it, may they, from where, and for how long.
func wire(ctx context.Context, cfg config, in inputs, log *slog.Logger) (_ *app, err error) {
	a := &app{cfg: cfg, log: log, pages: in.pages, countries: in.countries,
		ledgerDir: filepath.Join(cfg.data, "audit")}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()

	// The database: the SDK's tables and the portal's own, side by side.
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(cfg.dbFile))
	if err != nil {
		return nil, fmt.Errorf("-db: %w", err)
	}
	db.SetMaxOpenConns(8) // SQLite has one writer at a time: more would only wait for each other
	a.closers = append(a.closers, db.Close)
	tables, err := sqlstore.Open(ctx, db, sqlstore.SQLite)
	if err != nil {
		return nil, fmt.Errorf("-db %s: %w", cfg.dbFile, err)
	}

	// The audit log comes before everything that records.
	if a.ledger, err = ledger.Open(ledger.Config{Dir: a.ledgerDir}); err != nil {
		return nil, err
	}
	a.closers = append(a.closers, a.ledger.Close)
	a.audit = a.ledger

	// Keys, fields and files.
	root, err := crypto.OpenKeyFile(cfg.keyFile)
	if err != nil {
		return nil, fmt.Errorf("-key: %w", err)
	}
	ring, err := crypto.New(ctx, crypto.Config{Root: root, Store: tables.Keys(), Audit: a.audit})
	if err != nil {
		return nil, fmt.Errorf("-key %s: %w", cfg.keyFile, err)
	}
	if err := os.MkdirAll(filepath.Join(cfg.data, "files"), 0o700); err != nil {
		return nil, err
	}
	folder, err := os.OpenRoot(filepath.Join(cfg.data, "files"))
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, folder.Close)
	if a.store, err = newStore(ctx, db, ring, ring.Files(folder)); err != nil {
		return nil, fmt.Errorf("-db %s: %w", cfg.dbFile, err)
	}
	if a.demo, err = a.store.demo(ctx, cfg.demo); err != nil {
		return nil, fmt.Errorf("-db %s: %w", cfg.dbFile, err)
	}

	// Mail waits in the outbox until the mail server has taken it.
	if a.outbox, err = outbox.New(outbox.Config{
		Store: tables.Outbox(), Sealer: ring.Field("outbox", "letter"), Audit: a.audit, Logger: log,
	}); err != nil {
		return nil, err
	}
	var mailer portalsec.Mailer
	switch {
	case a.demo:
		a.mailbox = &mailbox{}
		a.sender, mailer = a.mailbox, a.outbox
	case in.mail != nil:
		a.sender, mailer = in.mail, a.outbox
	}

	// Sessions and attempts are in the database, or on a Redis server that several processes share.
	var sessions session.Store = tables.Sessions()
	var attempts throttle.Store = tables.Attempts()
	if cfg.redis != nil {
		client := redis.NewClient(cfg.redis)
		a.closers = append(a.closers, client.Close)
		shared, err := redisstore.New(ctx, client, redisstore.Config{})
		if err != nil {
			return nil, fmt.Errorf("-redis: %w", err)
		}
		sessions, attempts = shared.Sessions(), shared.Attempts()
	}

	// Roles, the second factor, and the login that asks both.
	if a.roles, err = rbac.Open(ctx, in.permissions, rbac.Config{
		Policy: in.policy, Files: []string{in.policyFile}, Assignments: tables.Assignments(),
		Audit: a.audit, Deny: a.deny, SignIn: "/login", StepUp: "/confirm",
	}); err != nil {
		return nil, err
	}
	if a.mfa, err = mfa.New(mfa.Config{
		Store: tables.Factors(), Sealer: ring.Field("mfa", "secret"), Issuer: "Portal", Profile: profile,
		Frozen: func(ctx context.Context, tenant, user string) (bool, error) {
			return a.auth.FactorsFrozen(ctx, tenant, user)
		},
		Audit: a.audit, Deny: a.deny, EnrolPath: "/enrol", Exempt: exempt,
	}); err != nil {
		return nil, err
	}
	if a.sessions, err = session.New(session.Config{
		Store: sessions, Profile: profile, Sealer: ring.Field("session", "where"),
		InsecureCookie: cfg.publicURL.Scheme == "http", Audit: a.audit,
	}); err != nil {
		return nil, err
	}
	hasher, err := password.New(password.Config{Profile: profile})
	if err != nil {
		return nil, err
	}
	rules, err := password.NewPolicy(password.PolicyConfig{Profile: profile, Words: []string{"portal"}, MaxAge: cfg.passwordAge})
	if err != nil {
		return nil, err
	}
	throttleKey, err := ring.Subkey("throttle")
	if err != nil {
		return nil, err
	}
	if a.attempts, err = throttle.New(throttle.Config{Store: attempts, Key: throttleKey}); err != nil {
		return nil, err
	}
	if a.auth, err = auth.New(auth.Config{
		Accounts: tables.Accounts(), OneTime: tables.OneTime(), Level: profile,
		Profile: ring.Field("account", "profile", crypto.WithIndex(crypto.NormaliseEmail)),
		Hasher:  hasher, Policy: rules, Sessions: a.sessions, Throttle: a.attempts,
		Roles: a.roles, SecondFactor: a.mfa, Audit: a.audit, Deny: a.deny, SignInPath: "/login", StepUpPath: "/confirm",
		Mail: mailer, PublicURL: cfg.publicURL, PortalName: "Service Desk", Incidents: a,
	}); err != nil {
		return nil, err
	}

	// From where the portal may be used.
	in.clients.Audit, in.clients.Deny = a.audit, a.deny
	if a.clients, err = clientip.New(in.clients); err != nil {
		return nil, err
	}
	if a.network, err = ipfilter.New(ipfilter.Config{
		Store: tables.NetworkRules(), Country: in.countries, Audit: a.audit, Deny: a.deny,
	}); err != nil {
		return nil, err
	}
	if err := a.network.Load(ctx); err != nil {
		return nil, err
	}

	a.runs = tables.RetentionRuns()
	return a, nil
}

// scheduleRetention says what is deleted when its time is over, for each organisation that there is.
func (a *app) scheduleRetention(ctx context.Context, policies []retention.Policy) error {
	own, targets, err := a.forOrganisations(ctx, policies)
	if err != nil {
		return err
	}
	if a.retention, err = retention.New(retention.Config{Policies: own, Targets: targets, Store: a.runs, Audit: a.audit}); err != nil {
		return err
	}
	return a.retention.Check(ctx)
}

// prune removes sessions, logins and attempts that are over, at the start and then once an hour, until ctx ends.
func (a *app) prune(ctx context.Context) {
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	for {
		for name, prune := range map[string]func(context.Context) (int64, error){
			"sessions": a.sessions.Prune, "logins": a.auth.Prune, "attempts": a.attempts.Prune, "mail": a.outbox.Prune,
		} {
			if _, err := prune(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("pruning failed", "what", name, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-hourly.C:
		}
	}
}
