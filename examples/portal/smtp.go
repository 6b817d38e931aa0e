// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/adapters/mail"
)

// smtpConfig is what the flags say about the mail server.
type smtpConfig struct {
	server         *url.URL // nil for none
	passwordFile   string
	authoritiesPEM string // file; empty for the system's
	from           string
}

// parse reads the server's address. An error never names it: it may hold a password.
func (c *smtpConfig) parse(server string) (err error) {
	if server == "" {
		if c.from != "" || c.passwordFile != "" || c.authoritiesPEM != "" {
			return errors.New("-mail-from, -smtp-password and -smtp-ca go with -smtp")
		}
		return nil
	}
	const want = "-smtp: want smtp://USER@HOST:PORT or smtps://USER@HOST:PORT, or insecure-smtp://HOST:PORT on this machine"
	if c.server, err = url.Parse(server); err != nil {
		return errors.New(want)
	}
	_, known := smtpSecurity[c.server.Scheme]
	if !known || c.server.Hostname() == "" || strings.Trim(c.server.Path, "/") != "" {
		return errors.New(want)
	}
	if _, ok := c.server.User.Password(); ok {
		return errors.New("-smtp: put the password into a file and name it by -smtp-password: other programs can read this one's arguments")
	}
	if c.server.Scheme == "insecure-smtp" && !isLoopback(c.server.Hostname()) {
		return errors.New("-smtp: insecure-smtp is for this machine only: mail holds links that open accounts")
	}
	if a, err := netmail.ParseAddress(c.from); err != nil || a.Address != c.from {
		return fmt.Errorf("-mail-from %q: want an e-mail address", c.from)
	}
	return nil
}

var smtpSecurity = map[string]mail.Security{
	"smtp": mail.STARTTLS, "smtps": mail.ImplicitTLS, "insecure-smtp": mail.InsecurePlain,
}

// sender gives what sends by the server.
func (c smtpConfig) sender() (portalsec.Sender, error) {
	m := mail.Config{
		Host: c.server.Hostname(), Security: smtpSecurity[c.server.Scheme], Username: c.server.User.Username(), From: c.from,
	}
	if p := c.server.Port(); p != "" {
		m.Port, _ = strconv.Atoi(p) // url.Parse took digits only
	}
	if c.passwordFile != "" {
		b, err := os.ReadFile(c.passwordFile)
		if err != nil {
			return nil, fmt.Errorf("-smtp-password: %w", err)
		}
		m.Password = strings.TrimRight(string(b), "\r\n")
	}
	if c.authoritiesPEM != "" {
		b, err := os.ReadFile(c.authoritiesPEM)
		if err != nil {
			return nil, fmt.Errorf("-smtp-ca: %w", err)
		}
		m.RootCAs = x509.NewCertPool()
		if !m.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("-smtp-ca %s: no certificate in PEM form", c.authoritiesPEM)
		}
	}
	s, err := mail.New(m)
	if err != nil {
		return nil, fmt.Errorf("-smtp: %w", err)
	}
	return s, nil
}
