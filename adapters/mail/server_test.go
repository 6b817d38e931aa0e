// SPDX-License-Identifier: Apache-2.0

package mail_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/portalsec/portalsec/adapters/mail"
	"github.com/stretchr/testify/require"
)

const (
	// serverDir names the folder of the server process: its certificate, its mode, and the mails that it took.
	serverDir = "PORTALSEC_TEST_SMTP_DIR"
	// serverAddr is where it listens, and serverTLS is set when it speaks TLS from the first byte, or "none".
	serverAddr = "PORTALSEC_TEST_SMTP_ADDR"
	serverTLS  = "PORTALSEC_TEST_SMTP_TLS"

	user     = "portal"
	password = "correct-horse-battery"
)

// process is an SMTP server in a process of its own.
type process struct {
	t    *testing.T
	dir  string
	tls  string
	addr string
	cmd  *exec.Cmd
	ca   *x509.CertPool
}

// startServer starts a server that asks for a password and takes every mail. tls is "" for STARTTLS, "implicit" or "none".
func startServer(t *testing.T, tls string) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir(), tls: tls, addr: "127.0.0.1:0", ca: x509.NewCertPool()}
	p.ca.AddCert(writeCertificate(t, p.dir))
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	self, err := os.Executable()
	require.NoError(p.t, err)
	p.cmd = exec.Command(self, "-test.run=^TestServerProcess$", "-test.count=1")
	p.cmd.Env = append(os.Environ(), serverDir+"="+p.dir, serverAddr+"="+p.addr, serverTLS+"="+p.tls)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	require.NoError(p.t, err)
	in, err := p.cmd.StdinPipe() // it ends with this process
	require.NoError(p.t, err)
	_ = in
	require.NoError(p.t, p.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(p.t, err)
	p.addr = strings.TrimSpace(strings.TrimPrefix(line, "listening "))
}

// kill ends the process with no chance to finish anything.
func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// mode sets what the server does with mails from now on.
func (p *process) mode(mode string) {
	p.t.Helper()
	require.NoError(p.t, os.WriteFile(filepath.Join(p.dir, "mode.new"), []byte(mode), 0o600))
	require.NoError(p.t, os.Rename(filepath.Join(p.dir, "mode.new"), filepath.Join(p.dir, "mode")))
}

// mails gives what the server took.
func (p *process) mails() (list []string) {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "*.eml"))
	require.NoError(p.t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(p.t, err)
		list = append(list, string(b))
	}
	return list
}

// held tells how many mails the server holds in mode "hold".
func (p *process) held() int {
	files, err := filepath.Glob(filepath.Join(p.dir, "*.held"))
	require.NoError(p.t, err)
	return len(files)
}

// sender gives a sender to the server.
func (p *process) sender(change ...func(*mail.Config)) *mail.Sender {
	p.t.Helper()
	_, port, err := net.SplitHostPort(p.addr)
	require.NoError(p.t, err)
	n, err := strconv.Atoi(port)
	require.NoError(p.t, err)
	c := mail.Config{
		Host: "localhost", Port: n, RootCAs: p.ca, Username: user, Password: password,
		From: "Acme Portál <portal@acme.example>", Security: mail.STARTTLS,
	}
	switch p.tls {
	case "implicit":
		c.Security = mail.ImplicitTLS
	case "none":
		c.Security, c.Username, c.Password = mail.InsecurePlain, "", ""
	}
	for _, f := range change {
		f(&c)
	}
	s, err := mail.New(c)
	require.NoError(p.t, err)
	return s
}

func writeCertificate(t *testing.T, dir string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert
}

// TestServerProcess is the server. It ends when its standard input does.
func TestServerProcess(t *testing.T) {
	dir := os.Getenv(serverDir)
	if dir == "" {
		t.Skip("run by the other tests")
	}
	b := &backend{dir: dir, open: os.Getenv(serverTLS) == "none"}
	s := smtp.NewServer(b)
	s.Domain = "localhost"
	s.ErrorLog = nopLog{}
	l, err := net.Listen("tcp", os.Getenv(serverAddr))
	require.NoError(t, err)
	if os.Getenv(serverTLS) != "none" {
		cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		require.NoError(t, err)
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	fmt.Println("listening", l.Addr())
	if os.Getenv(serverTLS) == "implicit" {
		l = tls.NewListener(l, s.TLSConfig)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	_ = s.Serve(l)
}

type nopLog struct{}

func (nopLog) Printf(string, ...any) {}
func (nopLog) Println(...any)        {}

type backend struct {
	dir  string
	open bool
	mu   sync.Mutex
	seen map[string]bool // recipients, for greylisting
}

func (b *backend) mode() string {
	text, _ := os.ReadFile(filepath.Join(b.dir, "mode"))
	return string(text)
}

func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{b: b, conn: c, in: b.open}, nil
}

type session struct {
	b    *backend
	conn *smtp.Conn
	in   bool
}

func (s *session) AuthMechanisms() []string {
	if s.b.mode() == "login" {
		return []string{"X-OTHER"}
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, u, p string) error {
		if _, encrypted := s.conn.TLSConnectionState(); !encrypted || u != user || p != password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no: " + u + " with " + p}
		}
		s.in = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	switch {
	case !s.in:
		return smtp.ErrAuthRequired
	case s.b.mode() == "refuse sender":
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "not as " + from}
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.b.mu.Lock()
	seen := s.b.seen[to]
	if s.b.seen == nil {
		s.b.seen = make(map[string]bool)
	}
	s.b.seen[to] = true
	s.b.mu.Unlock()
	switch mode := s.b.mode(); {
	case mode == "greylist" && !seen:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted <" + to + ">"}
	case mode == "refuse", strings.HasPrefix(to, "nobody@"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user <" + to + ">"}
	case mode == "tarpit":
		time.Sleep(time.Hour) // of a process that is killed before
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	name := filepath.Join(s.b.dir, rand.Text())
	switch s.b.mode() {
	case "full":
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "no room"}
	case "too big":
		return &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: "too big"}
	case "hold":
		_ = os.WriteFile(name+".held", nil, 0o600)
		time.Sleep(time.Hour)
	case "hang up":
		if err := os.WriteFile(name+".eml", b, 0o600); err != nil {
			return err
		}
		return s.conn.Conn().Close()
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		return err
	}
	return os.Rename(name, name+".eml")
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }
