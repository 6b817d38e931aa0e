// SPDX-License-Identifier: Apache-2.0

package mail_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/adapters/mail"
	"github.com/stretchr/testify/require"
)

var chinese = portalsec.Mail{
	To: "ada@reader.example", Subject: "重置您的密码：Acme 门户，请在三十分钟之内完成，否则链接将失效 🔑",
	Text: "您好，Ada：\n\n请选择新密码：\nhttps://portal.example/reset?a=1#abc=def_" + strings.Repeat("x", 90) + "\n.\n..dots\nFrom here\n",
	HTML: "<!DOCTYPE html>\n<html lang=\"zh\"><body><p>您好，Ada：</p>\n<a href=\"https://portal.example/reset?a=1#abc\">请选择新密码</a></body></html>\n",
}

// parsed is what a reader sees of a mail.
type parsed struct {
	header  netmail.Header
	subject string
	parts   map[string]string
}

func parse(t *testing.T, text string) parsed {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(text))
	require.NoError(t, err)
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	require.NoError(t, err)
	p := parsed{m.Header, subject, map[string]string{}}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	read := func(kind, encoding string, params map[string]string, r io.Reader) {
		require.Equal(t, "quoted-printable", encoding)
		require.Equal(t, "UTF-8", params["charset"])
		b, err := io.ReadAll(quotedprintable.NewReader(r))
		require.NoError(t, err)
		p.parts[kind] = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	if kind != "multipart/alternative" {
		read(kind, m.Header.Get("Content-Transfer-Encoding"), params, m.Body)
		return p
	}
	var order []string
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		require.NoError(t, err)
		order = append(order, kind)
		read(kind, part.Header.Get("Content-Transfer-Encoding"), params, part)
	}
	require.Equal(t, []string{"text/plain", "text/html"}, order, "the best form comes last (RFC 2046 section 5.1.4)")
	return p
}

func TestWhatArrives(t *testing.T) {
	t.Parallel()
	for _, tls := range []string{"", "implicit", "none"} {
		t.Run("tls "+tls, func(t *testing.T) {
			t.Parallel()
			p := startServer(t, tls)
			s := p.sender(func(c *mail.Config) { c.ReplyTo = "help@acme.example" })
			require.NoError(t, s.Send(t.Context(), chinese))
			require.Len(t, p.mails(), 1)
			got := parse(t, p.mails()[0])
			require.Equal(t, chinese.Subject, got.subject)
			require.Equal(t, map[string]string{"text/plain": chinese.Text, "text/html": chinese.HTML}, got.parts)
			from, err := got.header.AddressList("From")
			require.NoError(t, err)
			require.Equal(t, []*netmail.Address{{Name: "Acme Portál", Address: "portal@acme.example"}}, from)
			to, err := got.header.AddressList("To")
			require.NoError(t, err)
			require.Equal(t, []*netmail.Address{{Address: "ada@reader.example"}}, to)
			require.Equal(t, "<help@acme.example>", got.header.Get("Reply-To"))
			require.Equal(t, "auto-generated", got.header.Get("Auto-Submitted"))
			require.Regexp(t, `^<[A-Z2-7]{26}@acme\.example>$`, got.header.Get("Message-Id"))
			date, err := got.header.Date()
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), date, time.Minute)
			for _, absent := range []string{"Cc", "Bcc", "User-Agent", "X-Mailer", "List-Unsubscribe", "List-Id", "Precedence"} {
				require.Empty(t, got.header.Get(absent), absent)
			}
			require.NotContains(t, p.mails()[0], password)
		})
	}
}

func TestTextOnly(t *testing.T) {
	t.Parallel()
	p := startServer(t, "")
	require.NoError(t, p.sender().Send(t.Context(), portalsec.Mail{To: "ada@reader.example", Subject: "S", Text: "t\n"}))
	require.Equal(t, map[string]string{"text/plain": "t\n"}, parse(t, p.mails()[0]).parts)
}

func TestServersThatDoNotTakeIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode, want string
		refused    bool
		change     func(*mail.Config)
	}{
		"greylisting":       {mode: "greylist", want: "mail: sending SMTP RCPT TO command: the server answered 451 4.7.1"},
		"no such user":      {mode: "refuse", want: "mail: sending SMTP RCPT TO command: the server answered 550 5.1.1: portalsec: the mail server refused the mail", refused: true},
		"disk full":         {mode: "full", want: "mail: closing SMTP DATA writer: the server answered 452 4.3.1"},
		"too big":           {mode: "too big", want: "mail: closing SMTP DATA writer: the server answered 552 5.3.4: portalsec: the mail server refused the mail", refused: true},
		"not as this":       {mode: "refuse sender", want: "mail: sending SMTP MAIL FROM command: the server answered 550 5.7.1"},
		"wrong password":    {want: "mail: the server answered 535 to greeting or sign-in", change: func(c *mail.Config) { c.Password = "wrong-horse" }},
		"no known sign-in":  {mode: "login", want: "mail: the server offers no encryption, or no way to sign in"},
		"no sign-in":        {want: "mail: sending SMTP MAIL FROM command: the server answered 502 5.7.0", change: func(c *mail.Config) { c.Username, c.Password = "", "" }},
		"unknown authority": {want: "mail: connect: ", change: func(c *mail.Config) { c.RootCAs = nil }},
		"name of another":   {want: "mail: connect: ", change: func(c *mail.Config) { c.Host = "127.0.0.1" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startServer(t, "")
			p.mode(c.mode)
			s := p.sender(func(config *mail.Config) {
				if c.change != nil {
					c.change(config)
				}
			})
			err := s.Send(t.Context(), chinese)
			require.Error(t, err)
			if strings.HasSuffix(c.want, ": ") {
				require.ErrorContains(t, err, c.want)
				require.ErrorContains(t, err, "certificate")
			} else {
				require.EqualError(t, err, c.want)
			}
			if c.refused {
				require.ErrorIs(t, err, portalsec.ErrMailRefused)
			} else {
				require.NotErrorIs(t, err, portalsec.ErrMailRefused)
			}
			for _, secret := range []string{"horse", "ada", "reader.example", "acme"} {
				require.NotContains(t, err.Error(), secret)
			}
			require.Empty(t, p.mails())
			if c.mode == "greylist" {
				require.NoError(t, s.Send(t.Context(), chinese), "the second time it is taken")
				require.Len(t, p.mails(), 1)
			}
		})
	}
}

func TestNoEncryptionNoMail(t *testing.T) {
	t.Parallel()
	p := startServer(t, "none")
	for _, security := range []mail.Security{mail.STARTTLS, mail.ImplicitTLS} {
		s := p.sender(func(c *mail.Config) { c.Security, c.Timeout = security, 5*time.Second })
		err := s.Send(t.Context(), chinese)
		require.Error(t, err)
		require.NotErrorIs(t, err, portalsec.ErrMailRefused)
	}
	require.Empty(t, p.mails())
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	p := startServer(t, "")
	p.kill()
	err := p.sender().Send(t.Context(), chinese)
	var network net.Error
	require.ErrorAs(t, err, &network)
	require.NotErrorIs(t, err, portalsec.ErrMailRefused)
}

// listen gives the address of a listener whose connections f has.
func listen(t *testing.T, f func(net.Conn)) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			go f(c)
		}
	}()
	return &process{t: t, addr: l.Addr().String()}
}

func TestServersThatSayNothing(t *testing.T) {
	t.Parallel()
	tarpit := startServer(t, "")
	tarpit.mode("tarpit")
	for name, p := range map[string]*process{
		"silent": listen(t, func(net.Conn) {}),
		"after the greeting": listen(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "220 localhost\r\n")
		}),
		"endless greeting": listen(t, func(c net.Conn) {
			for err := error(nil); err == nil; time.Sleep(time.Millisecond) {
				_, err = io.WriteString(c, "220-wait\r\n")
			}
		}),
		"tarpit": tarpit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, security := range []mail.Security{mail.STARTTLS, mail.ImplicitTLS} {
				if name != "silent" && security == mail.ImplicitTLS {
					continue // these speak in the clear
				}
				s := p.sender(func(c *mail.Config) { c.Security = security })
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				start := time.Now()
				err := s.Send(ctx, chinese)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Less(t, time.Since(start), 10*time.Second)

				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(100*time.Millisecond, cancel)
				require.ErrorIs(t, s.Send(ctx, chinese), context.Canceled)

				s = p.sender(func(c *mail.Config) { c.Security, c.Timeout = security, 200*time.Millisecond })
				require.ErrorIs(t, s.Send(t.Context(), chinese), context.DeadlineExceeded)
			}
		})
	}
}

// What goes wrong after the server has said yes must not have the mail sent again.
func TestServerThatIsGoneAfterItsYes(t *testing.T) {
	t.Parallel()
	p := listen(t, func(c net.Conn) {
		defer c.Close()
		lines := bufio.NewScanner(c)
		for _, step := range [][2]string{{"EHLO ", "220 localhost"}, {"MAIL FROM:", "250 localhost"}, {"RCPT TO:", "250 ok"}, {"DATA", "250 ok"}, {".", "354 go on"}} {
			_, _ = io.WriteString(c, step[1]+"\r\n")
			for lines.Scan() && !(step[0] == "." && lines.Text() == ".") && (step[0] == "." || !strings.HasPrefix(lines.Text(), step[0])) {
			}
		}
		_, _ = io.WriteString(c, "250 taken\r\n")
	})
	p.tls = "none"
	require.NoError(t, p.sender().Send(t.Context(), chinese))
}

func TestSendRefusesBadMails(t *testing.T) {
	t.Parallel()
	s, err := mail.New(mail.Config{Host: "mail.invalid", From: "portal@acme.example"})
	require.NoError(t, err)
	for name, change := range map[string]func(*portalsec.Mail){
		"To is no address":                func(m *portalsec.Mail) { m.To = "ada@reader.example\r\nBcc: x@evil.example" },
		"mail: To is no address":          func(m *portalsec.Mail) { m.To = "" },
		"To is no address:":               func(m *portalsec.Mail) { m.To = "a@x.example, b@x.example" },
		"To is no":                        func(m *portalsec.Mail) { m.To = "Ada <ada@reader.example>" },
		"Subject is not one line of text": func(m *portalsec.Mail) { m.Subject = "a\r\nBcc: x@evil.example" },
		"Subject is not one":              func(m *portalsec.Mail) { m.Subject = "" },
		"Text is required":                func(m *portalsec.Mail) { m.Text = "" },
		"Text and HTML are UTF-8":         func(m *portalsec.Mail) { m.HTML = "\xff" },
	} {
		m := chinese
		change(&m)
		err := s.Send(t.Context(), m)
		require.ErrorContains(t, err, name)
		require.ErrorIs(t, err, portalsec.ErrMailRefused)
		require.NotContains(t, err.Error(), "ada")
		require.NotContains(t, err.Error(), "evil")
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	good := mail.Config{Host: "mail.example", From: "portal@acme.example", Username: user, Password: password}
	s, err := mail.New(good)
	require.NoError(t, err)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", good)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", s, s, s, s), fmt.Sprintf("%v %+v %#v %s", good, good, good, good), log.String()} {
		require.NotContains(t, text, password)
		require.Contains(t, text, "mail.example")
	}
	for want, change := range map[string]func(*mail.Config){
		"Host is required":                   func(c *mail.Config) { c.Host = "" },
		"Host and HELO are names":            func(c *mail.Config) { c.Host = "mail.example\n" },
		"HELO are names":                     func(c *mail.Config) { c.HELO = "a b" },
		"Port is out of range":               func(c *mail.Config) { c.Port = 70_000 },
		"Security is unknown":                func(c *mail.Config) { c.Security = 9 },
		"Password would go over the network": func(c *mail.Config) { c.Security = mail.InsecurePlain },
		"Username and Password are given":    func(c *mail.Config) { c.Username = "" },
		"Timeout must not be negative":       func(c *mail.Config) { c.Timeout = -1 },
		"From is required":                   func(c *mail.Config) { c.From = "" },
		"From is required: a mailbox":        func(c *mail.Config) { c.From = "a@b.example\r\nBcc: c@d.example" },
		"ReplyTo is no mailbox":              func(c *mail.Config) { c.ReplyTo = "x" },
	} {
		c := good
		change(&c)
		_, err := mail.New(c)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), password)
	}
}

// FuzzMail: whatever a mail holds, it has the headers of any other, one recipient, and its subject and text whole.
func FuzzMail(f *testing.F) {
	s, err := mail.New(mail.Config{Host: "mail.invalid", From: "Acme <portal@acme.example>"})
	require.NoError(f, err)
	f.Add(chinese.To, chinese.Subject, chinese.Text, chinese.HTML)
	f.Add("a@b.example", "=?utf-8?q?x?= \t", "\r\n.\r\n--\n", "")
	f.Add("\"a b\"@c.example", "a\nBcc: b@c.example", "a", "<p>")
	f.Add("a@b.example>,<c@d.example", "s", "\x00", " \n")
	f.Fuzz(func(t *testing.T, to, subject, text, html string) {
		wire, err := s.Wire(portalsec.Mail{To: to, Subject: subject, Text: text, HTML: html})
		if err != nil {
			require.ErrorIs(t, err, portalsec.ErrMailRefused)
			return
		}
		got := parse(t, string(wire))
		headers := 8
		if html == "" {
			headers = 9 // Content-Transfer-Encoding
		}
		require.Len(t, got.header, headers, "%v", got.header)
		for name, values := range got.header {
			require.Len(t, values, 1, name)
		}
		list, err := got.header.AddressList("To")
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, strings.TrimSpace(subject), strings.TrimSpace(got.subject))
		if html == "" {
			require.Len(t, got.parts, 1)
		} else {
			require.Len(t, got.parts, 2)
		}
		require.Equal(t, visible(text), visible(got.parts["text/plain"]))
		require.Equal(t, visible(html), visible(got.parts["text/html"]))
	})
}

// visible drops what encoding may change: kinds of line ends, and spaces.
func visible(s string) string { return strings.Join(strings.Fields(s), "") }
