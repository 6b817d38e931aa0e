// SPDX-License-Identifier: Apache-2.0

// Portal is a support and appointments portal, and the model of how the packages of portalsec are wired
// together: see wire.go. Start it with
//
//	go run ./examples/portal
//
// and open the address that it prints. It keeps everything in the folder portal-data.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalsec/portalsec/adapters/redisstore"
	"github.com/portalsec/portalsec/crypto"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// config is what the flags say.
type config struct {
	addr       string
	publicURL  *url.URL
	data       string
	dbFile     string
	keyFile    string
	demoSet    bool // -demo was given
	firstAdmin string
	policyFile string
	countryDB  string
	proxies    []string
	demo       bool
	smtp       smtpConfig
	redis      *redis.Options // nil for none
	// passwordAge is when passwords expire; 0 is never.
	passwordAge time.Duration
}

// usageError is a mistake in how the program was called; it ends with exit code 2.
type usageError struct{ error }

// run is the program. It returns the exit code: 0 after a clean stop, 2 for a mistake in the flags or in a
// file that they name, 1 for everything else.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = serve(ctx, cfg, stdout, stderr)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "portal: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	var database, public, proxies, smtp, shared string
	f := flag.NewFlagSet("portal", flag.ContinueOnError)
	f.SetOutput(io.Discard) // the one line of the error is printed by run
	f.StringVar(&cfg.addr, "addr", "127.0.0.1:8080", "listen on `HOST:PORT`")
	f.StringVar(&public, "public-url", "", "the `URL` that visitors use, such as https://portal.example when a proxy in front speaks TLS (default http://ADDR on loopback, else https)")
	f.StringVar(&cfg.data, "data", "./portal-data", "keep everything in the folder `DIR`")
	f.StringVar(&database, "db", "", "database, `sqlite:FILE` (default sqlite:DIR/portal.db)")
	f.StringVar(&cfg.keyFile, "key", "", "root key `FILE`, kept apart from DIR where the data must be safe from who copies DIR (default DIR/root.key)")
	f.StringVar(&cfg.policyFile, "policy", "", "role policy `FILE` (default: the one built in)")
	f.StringVar(&cfg.countryDB, "country-db", "", "country database `FILE` in mmdb format (default: none, countries unknown)")
	f.StringVar(&proxies, "trusted-proxies", "", "`CIDRS`, comma separated, whose X-Forwarded-For header is believed")
	f.BoolVar(&cfg.demo, "demo", true, "make a demonstration of an empty data folder: two organisations, and mail on /dev/outbox")
	f.StringVar(&cfg.firstAdmin, "first-admin", "administrator@localhost", "`ADDRESS` of the first administrator, when an empty data folder does not become a demonstration")
	f.StringVar(&smtp, "smtp", "", "mail server, `URL` such as smtp://portal@mail.example:587 (STARTTLS) or smtps://portal@mail.example (default: none)")
	f.StringVar(&cfg.smtp.passwordFile, "smtp-password", "", "`FILE` that holds the password for the mail server")
	f.StringVar(&cfg.smtp.authoritiesPEM, "smtp-ca", "", "`FILE` of certificate authorities that the mail server is checked by (default: the system's)")
	f.StringVar(&cfg.smtp.from, "mail-from", "", "`ADDRESS` that mail comes from; required with -smtp")
	f.DurationVar(&cfg.passwordAge, "password-age", 0, "make passwords expire after this `TIME`, such as 4320h, where a rule demands it (default: never, as NIST SP 800-63B-4 advises)")
	f.StringVar(&shared, "redis", "", "keep sessions and attempts on the Redis server at `URL`, such as redis://127.0.0.1:6379/0, for several processes")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.SetOutput(stderr)
			f.Usage()
			return cfg, err
		}
		return cfg, usageError{fmt.Errorf("%w (portal -h lists the flags)", err)}
	}
	f.Visit(func(given *flag.Flag) { cfg.demoSet = cfg.demoSet || given.Name == "demo" })
	if a, err := netmail.ParseAddress(cfg.firstAdmin); err != nil || a.Address != cfg.firstAdmin {
		return cfg, usageError{fmt.Errorf("-first-admin %q: want an e-mail address", cfg.firstAdmin)}
	}
	if f.NArg() > 0 {
		return cfg, usageError{fmt.Errorf("unexpected argument %q (portal -h lists the flags)", f.Arg(0))}
	}
	host, _, err := net.SplitHostPort(cfg.addr)
	if err != nil {
		return cfg, usageError{fmt.Errorf("-addr %q: want HOST:PORT", cfg.addr)}
	}
	if cfg.data == "" {
		return cfg, usageError{errors.New("-data is empty: name a folder")}
	}
	if database == "" {
		database = "sqlite:" + filepath.Join(cfg.data, "portal.db")
	}
	file, ok := strings.CutPrefix(database, "sqlite:")
	if !ok || file == "" {
		return cfg, usageError{fmt.Errorf("-db %q: want sqlite:FILE", database)}
	}
	cfg.dbFile = file
	if cfg.keyFile == "" {
		cfg.keyFile = filepath.Join(cfg.data, "root.key")
	}
	for _, p := range strings.Split(proxies, ",") {
		if p = strings.TrimSpace(p); p != "" {
			cfg.proxies = append(cfg.proxies, p)
		}
	}
	if cfg.passwordAge < 0 {
		return cfg, usageError{fmt.Errorf("-password-age %s: want a time above zero", cfg.passwordAge)}
	}
	if err := cfg.smtp.parse(smtp); err != nil {
		return cfg, usageError{err}
	}
	if shared != "" {
		if cfg.redis, err = redisstore.Options(shared); err != nil {
			return cfg, usageError{errors.New("-redis: want redis://HOST:PORT/DATABASE, or rediss:// with TLS")}
		}
	}
	if public == "" {
		// Beyond this machine a browser must not send the session in the clear.
		scheme := "https"
		if isLoopback(host) {
			scheme = "http"
		}
		cfg.publicURL = &url.URL{Scheme: scheme, Host: cfg.addr}
		return cfg, nil
	}
	u, err := url.Parse(public)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
		return cfg, usageError{fmt.Errorf("-public-url %q: want https://HOST", public)}
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return cfg, usageError{fmt.Errorf("-public-url %q: http is for this machine only, use https", public)}
	}
	cfg.publicURL = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return cfg, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// serve runs the portal until ctx ends. Whatever can be refused is looked at before anything is made.
func serve(ctx context.Context, cfg config, stdout, stderr io.Writer) (err error) {
	in, err := readInputs(cfg)
	if err != nil {
		return usageError{err}
	}
	listener, err := net.Listen("tcp", cfg.addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", cfg.addr, errors.Unwrap(err))
	}
	defer listener.Close()
	if cfg.publicURL.Host == cfg.addr { // the port may have been 0
		cfg.publicURL.Host = listener.Addr().String()
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))

	data, err := openFolder(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.close()) }()
	a, accounts, err := start(ctx, cfg, in, data, log)
	if err != nil && ctx.Err() != nil {
		log.Info("stopped before the portal was there")
		return nil
	}
	if err != nil {
		return err
	}
	if cfg.demoSet && a.demo != cfg.demo {
		log.Warn("-demo is for an empty data folder: this portal stays what it was made as", "demonstration", a.demo)
	}
	defer func() { err = errors.Join(err, a.close()) }()

	server, err := a.server()
	if err != nil {
		return err
	}
	background, stopBackground := context.WithCancel(ctx)
	var working sync.WaitGroup
	working.Go(func() { a.prune(background) })
	working.Go(func() {
		if err := a.retention.Run(background); err != nil && background.Err() == nil {
			log.Error("retention has stopped", "error", err)
		}
	})
	if a.mails() {
		working.Go(func() {
			if err := a.deliver(background); err != nil && background.Err() == nil {
				log.Error("mail is not sent any more", "error", err)
			}
		})
	} else {
		log.Warn("this portal has no mail server: invitations are handed over by hand, and nobody can reset a password (-smtp)")
	}
	defer working.Wait()
	defer stopBackground()

	if len(accounts) > 0 {
		printAccounts(stdout, cfg.data, a.demo, accounts)
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Fprintf(stdout, "Portal ready: %s/\n", cfg.publicURL)

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		log.Warn("some requests did not end in time and were cut off")
		return server.Close()
	}
	return nil
}

// start makes the portal, and fills it when this is its first start. It gives the accounts that it made.
func start(ctx context.Context, cfg config, in inputs, data *folder, log *slog.Logger) (_ *app, accounts []demoAccount, err error) {
	if exists(cfg.keyFile) { // looked at before anything is made
		if _, err := crypto.OpenKeyFile(cfg.keyFile); err != nil {
			return nil, nil, usageError{fmt.Errorf("-key: %w", err)}
		}
	}
	if data.first {
		if err := data.begin(); err != nil {
			return nil, nil, err
		}
		if !exists(cfg.keyFile) {
			if err := crypto.GenerateKeyFile(cfg.keyFile); err != nil {
				return nil, nil, usageError{fmt.Errorf("-key: %w", err)}
			}
		}
	}
	a, err := wire(ctx, cfg, in, log)
	if err != nil {
		return nil, nil, err
	}
	if data.first {
		if accounts, err = a.seed(ctx); err == nil {
			err = data.finish()
		}
		if err != nil {
			return nil, nil, fmt.Errorf("first start: %w", errors.Join(err, a.close()))
		}
	}
	if err := a.scheduleRetention(ctx, in.retention); err != nil {
		return nil, nil, errors.Join(err, a.close())
	}
	return a, accounts, nil
}
