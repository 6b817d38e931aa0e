// SPDX-License-Identifier: Apache-2.0

package mail_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/adapters/mail"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/outbox"
	"github.com/stretchr/testify/require"
)

// clear is an outbox.Sealer that seals nothing.
type clear struct{}

func (clear) Seal(_ context.Context, _ portalsec.Row, b []byte) ([]byte, error) { return b, nil }
func (clear) Open(_ context.Context, _ portalsec.Row, b []byte) ([]byte, error) { return b, nil }

// post is an outbox that sends to a server process, by a clock that the test sets forward.
type post struct {
	*outbox.Outbox
	t      *testing.T
	ahead  atomic.Int64
	log    *strings.Builder
	events []audit.Event
}

func newPost(t *testing.T, s *mail.Sender, timeout time.Duration) *post {
	t.Helper()
	p := &post{t: t, log: &strings.Builder{}}
	var err error
	p.Outbox, err = outbox.New(outbox.Config{
		Store: outbox.NewMemory(), Sealer: clear{}, Logger: slog.New(slog.NewTextHandler(p.log, nil)),
		Clock: func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) },
		Audit: audit.RecorderFunc(func(_ context.Context, e audit.Event) error { p.events = append(p.events, e); return nil }),
	})
	require.NoError(t, err)
	compose := func(_ context.Context, l portalsec.Letter) (portalsec.Mail, error) {
		m := chinese
		m.To = l.To
		return m, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- p.Run(ctx, outbox.Delivery{
			Sender: s, Compose: map[string]outbox.Composer{"auth": compose}, Timeout: timeout, Poll: 10 * time.Millisecond,
		})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		for _, secret := range []string{password, "reader.example"} {
			require.NotContains(t, p.log.String(), secret)
		}
	})
	return p
}

func (p *post) queue(address string) {
	p.t.Helper()
	require.NoError(p.t, p.Queue(p.t.Context(), portalsec.Letter{Kind: "auth.reset", To: address}))
}

func (p *post) status() outbox.Status {
	p.t.Helper()
	s, err := p.Status(p.t.Context())
	require.NoError(p.t, err)
	return s
}

// eventually waits until the status is as it should be.
func (p *post) eventually(ok func(outbox.Status) bool, what string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return ok(p.status()) }, 30*time.Second, 5*time.Millisecond, what)
}

func recipients(t *testing.T, mails []string) map[string]int {
	t.Helper()
	n := make(map[string]int)
	for _, text := range mails {
		m := parse(t, text)
		require.Equal(t, chinese.Subject, m.subject)
		n[m.header.Get("To")]++
	}
	return n
}

// A server that is killed with mails in its hands, stays away, comes back and asks everybody to try again gets each letter
// once, and the status says all the while how it is.
func TestServerIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	server := startServer(t, "")
	// The clock runs fast below, and a lease is as long as this at least; the sender has a timeout of its own.
	p := newPost(t, server.sender(), 12*time.Hour)
	const letters = 12

	for i := range 4 {
		p.queue(fmt.Sprintf("early-%d@reader.example", i))
	}
	p.eventually(func(s outbox.Status) bool { return s == outbox.Status{} }, "the first ones are sent")

	server.mode("hold")
	start := time.Now().Add(-time.Second)
	for i := range letters {
		p.queue(fmt.Sprintf("reader-%d@reader.example", i))
	}
	require.Eventually(t, func() bool { return server.held() == 4 }, 30*time.Second, 5*time.Millisecond, "the server has four in its hands")
	s := p.status()
	require.Equal(t, letters, s.Waiting)
	require.True(t, s.Oldest.After(start))

	server.kill()
	p.eventually(func(s outbox.Status) bool { return s.Retrying == letters }, "no letter is lost")
	require.Equal(t, outbox.Status{Waiting: letters, Retrying: letters, Oldest: s.Oldest, LastError: outbox.ReasonUnreachable}, p.status())

	server.mode("greylist")
	server.start()
	p.ahead.Add(int64(time.Minute))
	p.eventually(func(s outbox.Status) bool { return s.LastError == outbox.ReasonNotTaken && s.Retrying == letters }, "it is to try later")
	p.eventually(func(s outbox.Status) bool {
		p.ahead.Add(int64(10 * time.Second)) // at each look
		return s == outbox.Status{}
	}, "all are sent")

	got := recipients(t, server.mails())
	require.Len(t, got, letters+4)
	for i := range letters {
		require.Equal(t, 1, got[fmt.Sprintf("<reader-%d@reader.example>", i)])
	}
	require.Empty(t, p.events)
}

func TestRefusedLettersDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	server := startServer(t, "implicit")
	p := newPost(t, server.sender(), time.Minute)
	p.queue("nobody@reader.example")
	p.queue("ada@reader.example")
	p.eventually(func(s outbox.Status) bool { return s.Waiting == 0 }, "both are done with")
	require.Equal(t, outbox.Status{Failed: 1, LastError: outbox.ReasonRefused}, p.status())
	require.Equal(t, map[string]int{"<ada@reader.example>": 1}, recipients(t, server.mails()))
	require.Contains(t, p.log.String(), "550 5.1.1")
}

func TestTarpit(t *testing.T) {
	t.Parallel()
	server := startServer(t, "")
	server.mode("tarpit")
	p := newPost(t, server.sender(), 300*time.Millisecond)
	start := time.Now()
	p.queue("ada@reader.example")
	require.Less(t, time.Since(start), 5*time.Second, "who asks for a letter does not wait for the server")
	p.eventually(func(s outbox.Status) bool { return s.Retrying == 1 }, "it is given up for now")
	require.Equal(t, outbox.ReasonTimeout, p.status().LastError)
}

// The server has taken the mail and is gone before it said so: nobody can know, so the letter is sent again.
func TestYesThatIsLost(t *testing.T) {
	t.Parallel()
	server := startServer(t, "")
	server.mode("hang up")
	p := newPost(t, server.sender(), time.Minute)
	p.queue("ada@reader.example")
	p.eventually(func(s outbox.Status) bool { return s.Retrying == 1 }, "it is to be tried again")
	require.Equal(t, outbox.ReasonUnreachable, p.status().LastError)
	server.mode("")
	p.ahead.Add(int64(time.Minute))
	p.eventually(func(s outbox.Status) bool { return s == outbox.Status{} }, "it is sent")
	require.Equal(t, map[string]int{"<ada@reader.example>": 2}, recipients(t, server.mails()))
}
