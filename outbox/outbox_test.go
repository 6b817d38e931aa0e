// SPDX-License-Identifier: Apache-2.0

package outbox_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/outbox"
	"github.com/stretchr/testify/require"
)

// sealer seals with AES-GCM, bound to the row.
type sealer struct{ cipher.AEAD }

func newSealer() sealer {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return sealer{aead}
}

func (s sealer) Seal(_ context.Context, row portalsec.Row, plaintext []byte) ([]byte, error) {
	return s.AEAD.Seal(nil, nil, plaintext, fmt.Appendf(nil, "%q", row)), nil
}

func (s sealer) Open(_ context.Context, row portalsec.Row, sealed []byte) ([]byte, error) {
	return s.AEAD.Open(nil, nil, sealed, fmt.Appendf(nil, "%q", row))
}

// server is a portalsec.Sender whose answers a test chooses.
type server struct {
	mu    sync.Mutex
	send  func(ctx context.Context, m portalsec.Mail) error
	mails []portalsec.Mail // taken
	times []time.Time      // of all tries
}

func (s *server) answer(send func(context.Context, portalsec.Mail) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send = send
}

func (s *server) Send(ctx context.Context, m portalsec.Mail) error {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	send := s.send
	s.mu.Unlock()
	if send != nil {
		if err := send(ctx, m); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, m)
	return nil
}

func (s *server) taken() []portalsec.Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]portalsec.Mail(nil), s.mails...)
}

func (s *server) tries() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.times...)
}

func down(context.Context, portalsec.Mail) error {
	return errors.New("451 try again later, <ada@acme.example>")
}

// log keeps what an outbox logs and records.
type log struct {
	mu     sync.Mutex
	text   bytes.Buffer
	events []audit.Event
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) Record(_ context.Context, e audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	return nil
}

func (l *log) recorded() []audit.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]audit.Event(nil), l.events...)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type bench struct {
	*outbox.Outbox
	store  outbox.Store
	server *server
	log    *log
}

func newBench(t *testing.T, change ...func(*outbox.Config)) *bench {
	t.Helper()
	b := &bench{store: outbox.NewMemory(), server: &server{}, log: &log{}}
	c := outbox.Config{Store: b.store, Sealer: newSealer(), Audit: b.log, Logger: slog.New(slog.NewTextHandler(b.log, nil))}
	for _, f := range change {
		f(&c)
	}
	b.store = c.Store
	var err error
	b.Outbox, err = outbox.New(c)
	require.NoError(t, err)
	return b
}

// compose makes a mail that shows the whole letter.
func compose(_ context.Context, l portalsec.Letter) (portalsec.Mail, error) {
	return portalsec.Mail{To: l.To, Subject: l.Kind, Text: fmt.Sprintf("%s %s %s %v", l.Tenant, l.Account, l.Lang, l.Data)}, nil
}

func (b *bench) delivery() outbox.Delivery {
	return outbox.Delivery{Sender: b.server, Compose: map[string]outbox.Composer{"auth": compose}}
}

// run delivers until the test stops it or ends.
func (b *bench) run(t *testing.T, d outbox.Delivery) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, d) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(t, <-done)
		})
	}
	t.Cleanup(stop)
	return stop
}

func (b *bench) status(t *testing.T) outbox.Status {
	t.Helper()
	s, err := b.Status(t.Context())
	require.NoError(t, err)
	return s
}

var toAda = portalsec.Letter{
	Kind: "auth.reset", To: "ada@acme.example", Tenant: "acme", Account: "u-1", Lang: "nl", Data: map[string]string{"why": "secret"},
}

func (b *bench) queue(t *testing.T, l portalsec.Letter) {
	t.Helper()
	require.NoError(t, b.Queue(t.Context(), l))
}

func to(address string) portalsec.Letter { return portalsec.Letter{Kind: "auth.reset", To: address} }

// keeper shows what reaches the store.
type keeper struct {
	*outbox.Memory
	records []outbox.Record
	change  func(*outbox.Record)
}

func (k *keeper) AddLetter(ctx context.Context, r outbox.Record) error {
	k.records = append(k.records, r)
	if k.change != nil {
		k.change(&r)
	}
	return k.Memory.AddLetter(ctx, r)
}

func TestQueueSeals(t *testing.T) {
	t.Parallel()
	k := &keeper{Memory: outbox.NewMemory()}
	now := time.Date(2026, 3, 1, 12, 0, 0, 123_456_789, time.FixedZone("", 3600))
	b := newBench(t, func(c *outbox.Config) {
		c.Store = k
		c.Clock = func() time.Time { return now }
	})
	b.queue(t, toAda)
	require.Len(t, k.records, 1)
	r := k.records[0]
	at := time.Date(2026, 3, 1, 11, 0, 0, 123_456_000, time.UTC)
	sealed := r.Sealed
	for _, part := range []string{toAda.To, "secret", `"lang"`} {
		require.NotContains(t, string(sealed), part)
	}
	r.Sealed = nil
	require.Len(t, r.ID, 36)
	require.Equal(t, outbox.Record{
		ID: r.ID, Kind: "auth.reset", Tenant: "acme", Account: "u-1", Created: at, Due: at, Expires: at.Add(24 * time.Hour),
	}, r)
	plain, err := newSealer().Open(t.Context(), portalsec.Row{Tenant: "acme", Subject: "u-1", ID: r.ID}, sealed)
	require.NoError(t, err)
	require.JSONEq(t, `{"kind":"auth.reset","to":"ada@acme.example","lang":"nl","data":{"why":"secret"}}`, string(plain))
}

func TestQueueRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	long := strings.Repeat("x", 300)
	for name, change := range map[string]func(*portalsec.Letter){
		"Kind is not of the form":         func(l *portalsec.Letter) { l.Kind = "reset" },
		"Kind is not of the form area":    func(l *portalsec.Letter) { l.Kind = "auth.reset\nx" },
		"To or Account is required":       func(l *portalsec.Letter) { l.To, l.Account = "", "" },
		"To is no address":                func(l *portalsec.Letter) { l.To = "ada@acme.example\r\nBcc: x" },
		"letter auth.reset: To is no add": func(l *portalsec.Letter) { l.To = long },
		"Tenant and Account have at most": func(l *portalsec.Letter) { l.Account = long },
		"Tenant and Account":              func(l *portalsec.Letter) { l.Tenant = "\xff" },
		"Data is longer than 16384 bytes": func(l *portalsec.Letter) { l.Data = map[string]string{"a": strings.Repeat("x", 20_000)} },
	} {
		l := toAda
		change(&l)
		err := b.Queue(t.Context(), l)
		require.ErrorContains(t, err, name)
		require.NotContains(t, err.Error(), "ada")
	}
	require.Zero(t, b.status(t))
}

type brokenSealer struct{ sealer }

var errBroken = errors.New("broken")

func (brokenSealer) Seal(context.Context, portalsec.Row, []byte) ([]byte, error) {
	return nil, errBroken
}

func TestQueueFailsWithItsStore(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *outbox.Config) { c.Sealer = brokenSealer{} })
	require.ErrorIs(t, b.Queue(t.Context(), toAda), errBroken)
	b = newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Queue(ctx, toAda), context.Canceled)
	_, err := b.Status(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = b.Failed(ctx, 1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = b.Prune(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	good := outbox.Config{Store: outbox.NewMemory(), Sealer: newSealer()}
	for want, change := range map[string]func(*outbox.Config){
		"outbox: Config.Store is required":                          func(c *outbox.Config) { c.Store = nil },
		"outbox: Config.Sealer is required":                         func(c *outbox.Config) { c.Sealer = nil },
		"outbox: Config.GiveUpAfter must be 0 or at least a minute": func(c *outbox.Config) { c.GiveUpAfter = time.Second },
	} {
		c := good
		change(&c)
		_, err := outbox.New(c)
		require.EqualError(t, err, want)
	}
	o, err := outbox.New(good)
	require.NoError(t, err)
	for want, change := range map[string]func(*outbox.Delivery){
		"outbox: Delivery.Sender is required":                    func(d *outbox.Delivery) { d.Sender = nil },
		"outbox: Delivery.Compose is required":                   func(d *outbox.Delivery) { d.Compose = nil },
		"outbox: Delivery.Compose has a nil composer":            func(d *outbox.Delivery) { d.Compose = map[string]outbox.Composer{"auth": nil} },
		"outbox: Delivery.Parallel must be from 0 to 64":         func(d *outbox.Delivery) { d.Parallel = 65 },
		"outbox: Delivery.Timeout and Poll must not be negative": func(d *outbox.Delivery) { d.Timeout = -1 },
	} {
		d := outbox.Delivery{Sender: &server{}, Compose: map[string]outbox.Composer{"auth": compose}}
		change(&d)
		require.EqualError(t, o.Run(t.Context(), d), want)
	}
}

// FuzzQueue: what is queued is what the composer gets.
func FuzzQueue(f *testing.F) {
	f.Add("auth.reset", "ada@acme.example", "acme", "u-1", "nl", "k", "v")
	f.Add("auth.reset", "", "", "u", "", "", "\u2028\"")
	f.Add("a.b", "a\r\nb", "\x00", "", "{}", "to", "x")
	f.Fuzz(func(t *testing.T, kind, address, tenant, account, lang, key, value string) {
		l := portalsec.Letter{Kind: kind, To: address, Tenant: tenant, Account: account, Lang: lang, Data: map[string]string{key: value}}
		store := outbox.NewMemory()
		o, err := outbox.New(outbox.Config{Store: store, Sealer: newSealer(), Audit: audit.Discard})
		require.NoError(t, err)
		if o.Queue(t.Context(), l) != nil {
			return
		}
		require.False(t, strings.ContainsAny(l.To, "\r\n"))
		ctx, cancel := context.WithCancel(t.Context())
		var got portalsec.Letter
		area, _, _ := strings.Cut(kind, ".")
		err = o.Run(ctx, outbox.Delivery{Sender: &server{}, Parallel: 1, Compose: map[string]outbox.Composer{
			area: func(_ context.Context, l portalsec.Letter) (portalsec.Mail, error) {
				got = l
				cancel()
				return portalsec.Mail{}, portalsec.ErrNoMail
			},
		}})
		require.NoError(t, err)
		want := l
		want.Lang = string([]rune(lang)) // each byte that is no UTF-8 is U+FFFD
		want.Data = map[string]string{string([]rune(key)): string([]rune(value))}
		require.Equal(t, want, got)
	})
}
