// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"
)

// Security is how the connection to the server is protected.
type Security uint8

// The ways. The zero Security is STARTTLS.
const (
	// STARTTLS begins in the clear and is encrypted before anything is said. A server that does not offer it is not used.
	STARTTLS Security = iota
	// ImplicitTLS is encrypted from the first byte.
	ImplicitTLS
	// InsecurePlain is not encrypted: who listens on the way reads the links in the mails, and can use them. It is for
	// a server on the same machine. No password goes over it.
	InsecurePlain
)

const defaultTimeout = 45 * time.Second

// Config is the configuration of a [Sender].
type Config struct {
	// Host is the server's name, which its certificate must be for. Required.
	Host string
	// Port is the server's. 0 means 587 for STARTTLS, 465 for ImplicitTLS and 25 for InsecurePlain.
	Port int
	// Security is how the connection is protected.
	Security Security
	// RootCAs are the certificate authorities that are trusted. Nil means the system's.
	RootCAs *x509.CertPool
	// Username and Password sign in to the server, by SCRAM, PLAIN or LOGIN, or NTLM or CRAM-MD5 where it has none of
	// them. Empty means that it asks for neither.
	Username, Password string
	// From is the sender's mailbox, such as "Acme Portal <portal@acme.example>" (RFC 5322 section 3.4). Required.
	From string
	// ReplyTo is the mailbox for answers, empty when they go to From.
	ReplyTo string
	// HELO is the name by which the sender greets the server. Empty means the domain of From.
	HELO string
	// Timeout bounds one mail, from the connection to the server's last word. 0 means 45 seconds, which is below the
	// minute that package outbox gives.
	Timeout time.Duration
}

// Format shows the host and no password.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "mail.Config(%s)", c.Host) }

// LogValue shows the host and no password.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Sender sends mails. It may be used by several goroutines; each mail has a connection of its own.
type Sender struct {
	config  Config
	from    *netmail.Address
	replyTo *netmail.Address
	domain  string // of From
	tls     *tls.Config
}

// Format shows the host and no password.
func (s *Sender) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "mail.Sender(%s)", s.config.Host) }

// New checks the configuration. It does not connect.
func New(c Config) (*Sender, error) {
	s := &Sender{config: c}
	switch {
	case c.Host == "":
		return nil, errors.New("mail: Config.Host is required")
	case strings.ContainsFunc(c.Host+c.HELO, notInName):
		return nil, errors.New("mail: Config.Host and HELO are names without port")
	case c.Port < 0 || c.Port > 65535:
		return nil, errors.New("mail: Config.Port is out of range")
	case c.Security > InsecurePlain:
		return nil, errors.New("mail: Config.Security is unknown")
	case c.Security == InsecurePlain && (c.Username != "" || c.Password != ""):
		return nil, errors.New("mail: Config.Password would go over the network in the clear: do not use InsecurePlain")
	case (c.Username == "") != (c.Password == ""):
		return nil, errors.New("mail: Config.Username and Password are given together")
	case c.Timeout < 0:
		return nil, errors.New("mail: Config.Timeout must not be negative")
	}
	var err error
	if s.from, err = mailbox(c.From); err != nil {
		return nil, errors.New("mail: Config.From is required: a mailbox such as \"Portal <portal@acme.example>\"")
	}
	if c.ReplyTo != "" {
		if s.replyTo, err = mailbox(c.ReplyTo); err != nil {
			return nil, errors.New("mail: Config.ReplyTo is no mailbox")
		}
	}
	s.domain = s.from.Address[strings.LastIndexByte(s.from.Address, '@')+1:]
	if s.config.HELO == "" {
		s.config.HELO = s.domain
	}
	if s.config.Port == 0 {
		s.config.Port = map[Security]int{STARTTLS: 587, ImplicitTLS: 465, InsecurePlain: 25}[c.Security]
	}
	if s.config.Timeout == 0 {
		s.config.Timeout = defaultTimeout
	}
	s.tls = &tls.Config{ServerName: c.Host, RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12}
	return s, nil
}

func notInName(c rune) bool {
	return unicode.IsSpace(c) || unicode.IsControl(c) || c == '/' || c == '@'
}

var errAddress = errors.New("no mailbox")

// mailbox parses an address of one line.
func mailbox(s string) (*netmail.Address, error) {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return nil, errAddress
	}
	a, err := netmail.ParseAddress(s)
	if err != nil || len(a.Address) > 254 || strings.ContainsFunc(a.Address, unicode.IsControl) {
		return nil, errAddress
	}
	return a, nil
}
