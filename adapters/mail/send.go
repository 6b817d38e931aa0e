// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portalsec/portalsec"
	gomail "github.com/wneessen/go-mail"
)

var _ portalsec.Sender = (*Sender)(nil)

// Send implements [portalsec.Sender]. It wraps [portalsec.ErrMailRefused] when the server refuses recipient or content with a
// code of 500 and more, and when To is no address. What the server says against the portal itself, its sign-in or its
// sender's address, is no such error: the mail may be sent when that is mended. Errors have the server's code (RFC 5321
// section 4.2, RFC 3463) and none of its words, which may quote addresses.
func (s *Sender) Send(ctx context.Context, m portalsec.Mail) error {
	msg, err := s.message(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	var conn net.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	client, err := s.client(func(dialing context.Context, network, address string) (net.Conn, error) {
		c, err := s.dial(dialing, network, address)
		if err == nil {
			conn = c
			// A server that has accepted the connection and never speaks holds nobody longer than ctx.
			context.AfterFunc(ctx, func() { _ = c.Close() })
		}
		return c, err
	})
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() {
		return nil // what goes wrong after the server has taken the mail changes nothing
	}
	return explain(ctx, err)
}

// client gives a client for one mail: it is not made for several goroutines.
func (s *Sender) client(dial gomail.DialContextFunc) (*gomail.Client, error) {
	c := s.config
	options := []gomail.Option{
		gomail.WithPort(c.Port), gomail.WithHELO(c.HELO), gomail.WithTLSConfig(s.tls),
		gomail.WithTimeout(c.Timeout + time.Second), // Send's context ends first, and its error says so
		gomail.WithDialContextFunc(dial), gomail.WithoutNoop(), gomail.WithoutRset(),
	}
	switch c.Security {
	case STARTTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case ImplicitTLS:
		options = append(options, gomail.WithSSL())
	case InsecurePlain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if c.Username != "" {
		options = append(options, gomail.WithUsername(c.Username), gomail.WithPassword(c.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256PLUS, gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1PLUS,
				gomail.SMTPAuthSCRAMSHA1, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return gomail.NewClient(c.Host, options...)
}

func (s *Sender) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.config.Security == ImplicitTLS {
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// message makes the mail in its form on the wire (RFC 5322).
func (s *Sender) message(m portalsec.Mail) (*gomail.Msg, error) {
	to, err := mailbox(m.To)
	switch {
	case err != nil || to.Name != "":
		return nil, fmt.Errorf("mail: To is no address: %w", portalsec.ErrMailRefused)
	case m.Subject == "" || !utf8.ValidString(m.Subject) || strings.ContainsFunc(m.Subject, lineEnd):
		return nil, fmt.Errorf("mail: Subject is not one line of text: %w", portalsec.ErrMailRefused)
	case m.Text == "" || !utf8.ValidString(m.Text) || !utf8.ValidString(m.HTML):
		return nil, fmt.Errorf("mail: Text is required and Text and HTML are UTF-8: %w", portalsec.ErrMailRefused)
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	for _, set := range []func() error{
		func() error { return msg.FromFormat(s.from.Name, s.from.Address) },
		func() error { return msg.To(to.Address) },
		func() error {
			if s.replyTo == nil {
				return nil
			}
			return msg.ReplyToFormat(s.replyTo.Name, s.replyTo.Address)
		},
	} {
		if set() != nil { // its error quotes the address
			return nil, fmt.Errorf("mail: an address cannot be written: %w", portalsec.ErrMailRefused)
		}
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetMessageIDWithValue(rand.Text() + "@" + s.domain) // the machine's name stays here
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

func lineEnd(c rune) bool { return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' }

// explain gives an error without the server's words.
func explain(ctx context.Context, err error) error {
	var send *gomail.SendError
	var reply *textproto.Error
	var network net.Error
	isSend := errors.As(err, &send)
	switch {
	case isSend && send.ErrorCode() >= 500 && send.Reason != gomail.ErrSMTPMailFrom:
		return fmt.Errorf("mail: %s: the server answered %s: %w", send.Reason, code(send), portalsec.ErrMailRefused)
	case isSend && send.ErrorCode() > 0:
		return fmt.Errorf("mail: %s: the server answered %s", send.Reason, code(send))
	case ctx.Err() != nil:
		return fmt.Errorf("mail: no answer in time: %w", ctx.Err())
	case isSend:
		return fmt.Errorf("mail: %s: %w", send.Reason, io.ErrUnexpectedEOF)
	case errors.As(err, &reply):
		return fmt.Errorf("mail: the server answered %d to greeting or sign-in", reply.Code)
	case errors.As(err, &network), errors.Is(err, io.EOF), tlsFailed(err):
		return fmt.Errorf("mail: connect: %w", err)
	}
	return errors.New("mail: the server offers no encryption, or no way to sign in")
}

func code(e *gomail.SendError) string {
	return strings.TrimSpace(fmt.Sprint(e.ErrorCode(), " ", e.EnhancedStatusCode()))
}

// tlsFailed tells whether the server could not prove who it is. These errors quote the certificate.
func tlsFailed(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert)
}
