// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

const (
	defaultParallel = 4
	maxParallel     = 64
	defaultTimeout  = time.Minute
	defaultPoll     = 5 * time.Second

	firstWait = time.Minute
	maxWait   = time.Hour

	// shutdown is how long mails that are being sent may go on when Run is to end. Breaking off in between risks that
	// they are sent twice.
	shutdown = 10 * time.Second
	// settleTimeout bounds the writing of what became of a letter, and settleWait is between its tries.
	settleTimeout = 15 * time.Second
	settleWait    = time.Second
	// margin is how much longer a lease is than all that its holder does.
	margin = time.Minute
)

// Composer makes the mail of a letter. It may be called several times for one letter. [portalsec.ErrNoMail] drops the
// letter, any other error lets it be tried again. It honours ctx, and its errors name no address and no secret.
type Composer func(ctx context.Context, l portalsec.Letter) (portalsec.Mail, error)

// Delivery tells [Outbox.Run] how.
type Delivery struct {
	// Sender sends the mails. Required.
	Sender portalsec.Sender
	// Compose has the composer of each area, which is the part of a letter's Kind before its first dot: "auth" for
	// "auth.reset". Required. Letters of other areas wait for a process that composes them.
	Compose map[string]Composer
	// Parallel is how many letters are sent at the same time. 0 means 4; at most 64.
	Parallel int
	// Timeout is how long composing and sending one letter may take together. 0 means a minute.
	Timeout time.Duration
	// Poll is how often letters are looked for that another process has queued, or whose next try is due. 0 means
	// 5 seconds. What this process queues leaves at once.
	Poll time.Duration
}

// Run delivers letters until ctx ends, and then returns nil. Mails that are being sent then may go on for ten seconds. Several
// processes, and several calls in one, may deliver from one store.
func (o *Outbox) Run(ctx context.Context, d Delivery) error {
	d, err := d.complete()
	if err != nil {
		return err
	}
	var workers sync.WaitGroup
	for range d.Parallel {
		workers.Go(func() { o.work(ctx, d) })
	}
	tick := time.NewTicker(d.Poll)
	defer tick.Stop()
	for ctx.Err() == nil {
		o.nudge()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	workers.Wait()
	return nil
}

func (d Delivery) complete() (Delivery, error) {
	d.Compose = maps.Clone(d.Compose)
	switch {
	case d.Sender == nil:
		return d, errors.New("outbox: Delivery.Sender is required")
	case len(d.Compose) == 0:
		return d, errors.New("outbox: Delivery.Compose is required")
	case d.Parallel < 0 || d.Parallel > maxParallel:
		return d, fmt.Errorf("outbox: Delivery.Parallel must be from 0 to %d", maxParallel)
	case d.Timeout < 0 || d.Poll < 0:
		return d, errors.New("outbox: Delivery.Timeout and Poll must not be negative")
	}
	for _, c := range d.Compose {
		if c == nil {
			return d, errors.New("outbox: Delivery.Compose has a nil composer")
		}
	}
	if d.Parallel == 0 {
		d.Parallel = defaultParallel
	}
	if d.Timeout == 0 {
		d.Timeout = defaultTimeout
	}
	if d.Poll == 0 {
		d.Poll = defaultPoll
	}
	return d, nil
}

// work delivers one letter after the other.
func (o *Outbox) work(ctx context.Context, d Delivery) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
		for ctx.Err() == nil && o.deliverOne(ctx, d) {
		}
	}
}

// deliverOne delivers a letter, if there is one that is due.
func (o *Outbox) deliverOne(ctx context.Context, d Delivery) bool {
	lease, now := rand.Text(), o.now()
	r, ok, err := o.store.ClaimLetter(ctx, lease, now, now.Add(d.Timeout+settleTimeout+margin))
	if err != nil {
		if ctx.Err() == nil {
			o.log.ErrorContext(ctx, "outbox: claim letter", slog.Any("error", err))
		}
		return false
	}
	if !ok {
		return false
	}
	o.nudge() // there may be more, for another worker
	if !now.Before(r.Expires) {
		reason := Reason(r.Reason)
		if reason == "" {
			reason = ReasonLate
		}
		o.failed(ctx, r, lease, reason, true)
		return true
	}
	o.settleTry(ctx, d, r, lease)
	return true
}

// settleTry tries to send a letter and writes down what came of it.
func (o *Outbox) settleTry(ctx context.Context, d Delivery, r Record, lease string) {
	trying, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.Timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(shutdown, cancel)
		context.AfterFunc(trying, func() { t.Stop() })
	})
	defer stop()
	reason, err := o.try(trying, d, r)
	switch {
	case err == nil:
		o.settle(ctx, r, func(ctx context.Context) (bool, error) { return o.store.FinishLetter(ctx, r.ID, lease) })
	case errors.Is(trying.Err(), context.Canceled): // Run ends: this was no try that failed
		o.giveBack(ctx, r, lease, Return{Due: o.now(), Tried: r.Tried, Reason: r.Reason})
	default:
		o.log.WarnContext(ctx, "outbox: letter not sent", slog.String("letter", r.ID), slog.String("kind", r.Kind),
			slog.Int("tries", r.Tries), slog.String("reason", string(reason)), slog.String("error", err.Error()))
		o.failed(ctx, r, lease, reason, reason == ReasonRefused)
	}
}

// try composes and sends a letter. A nil error means that it is done with.
func (o *Outbox) try(ctx context.Context, d Delivery, r Record) (reason Reason, err error) {
	var to [2]string
	defer func() {
		if v := recover(); v != nil {
			// What was panicked with may hold anything; the stack holds none of it.
			o.log.ErrorContext(ctx, "outbox: panic", slog.String("kind", r.Kind), slog.String("stack", string(debug.Stack())))
			reason, err = ReasonPanic, fmt.Errorf("panic with a %T", v)
		}
		if err != nil {
			err = blot(err, to[:]...)
		}
	}()
	l, err := o.open(ctx, r)
	if err != nil {
		return ReasonSealed, err
	}
	to[0] = l.To
	area, _, _ := strings.Cut(l.Kind, ".")
	compose := d.Compose[area]
	if compose == nil {
		return ReasonNoComposer, errors.New("no composer for area " + area)
	}
	m, err := compose(ctx, l)
	switch {
	case errors.Is(err, portalsec.ErrNoMail):
		return "", nil
	case err != nil && ctx.Err() != nil:
		return ReasonTimeout, err
	case err != nil:
		return ReasonNotComposed, err
	case m.To == "" || m.Subject == "" || m.Text == "":
		return ReasonNotComposed, errors.New("the mail lacks its address, subject or text")
	}
	to[1] = m.To
	if err := d.Sender.Send(ctx, m); err != nil {
		return classify(ctx, err), err
	}
	return "", nil
}

func classify(ctx context.Context, err error) Reason {
	var network net.Error
	switch {
	case errors.Is(err, portalsec.ErrMailRefused):
		return ReasonRefused
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return ReasonTimeout
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ReasonUnreachable
	}
	return ReasonNotTaken
}

// blot gives the text of an error without the addresses, should it name them after all.
func blot(err error, addresses ...string) error {
	text := err.Error()
	for _, a := range addresses {
		if a != "" {
			text = strings.ReplaceAll(text, a, "[address]")
		}
	}
	return errors.New(text)
}

// failed writes a failed try down. The letter is given up when it must not be tried again, or when its next try
// would come too late.
func (o *Outbox) failed(ctx context.Context, r Record, lease string, reason Reason, forGood bool) {
	now := o.now()
	due := now.Add(waitAfter(r.Tries))
	ret := Return{Due: due, Tried: now, Reason: string(reason)}
	if forGood || !due.Before(r.Expires) {
		ret.Failed = now
	}
	if !o.giveBack(ctx, r, lease, ret) || ret.Failed.IsZero() {
		return
	}
	e := audit.Event{
		Kind: audit.MailFailed, Outcome: audit.Error, Reason: string(reason), Severity: audit.Warning, Tenant: r.Tenant,
		Target:  &audit.Target{Type: "letter", ID: r.ID},
		Details: []audit.Detail{{Name: "letter", Value: r.Kind}, {Name: "tries", Value: strconv.Itoa(r.Tries)}},
	}
	if r.Account != "" {
		e.Subjects = []audit.Pseudonym{audit.Pseudonym(r.Account)}
	}
	ctx, cancel := audit.Finishing(ctx)
	defer cancel()
	if err := o.audit.Record(ctx, e); err != nil {
		o.log.ErrorContext(ctx, "outbox: record event", slog.String("kind", string(e.Kind)), slog.Any("error", err))
	}
}

// waitAfter is how long a letter waits after its n-th try.
func waitAfter(n int) time.Duration {
	if n > 7 { // 2^6 minutes are more than an hour
		return maxWait
	}
	return min(firstWait<<(max(n, 1)-1), maxWait)
}

func (o *Outbox) giveBack(ctx context.Context, r Record, lease string, ret Return) bool {
	return o.settle(ctx, r, func(ctx context.Context) (bool, error) { return o.store.ReturnLetter(ctx, r.ID, lease, ret) })
}

// settle writes what became of a letter, and tries again while the store fails: a mail that was sent and is not
// removed is sent again. It tells whether it was written.
func (o *Outbox) settle(ctx context.Context, r Record, write func(context.Context) (bool, error)) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	for {
		ok, err := write(ctx)
		if err == nil {
			if !ok {
				o.log.WarnContext(ctx, "outbox: the lease of a letter was lost", slog.String("letter", r.ID), slog.String("kind", r.Kind))
			}
			return ok
		}
		select {
		case <-ctx.Done():
			o.log.ErrorContext(ctx, "outbox: settle letter", slog.String("letter", r.ID), slog.Any("error", err))
			return false
		case <-time.After(settleWait):
		}
	}
}
