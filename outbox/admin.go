// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/portalsec/portalsec/audit"
)

// Reason is why a letter was not sent, in a stable word that holds nothing of the letter.
type Reason string

// The reasons.
const (
	// ReasonRefused: the mail server has refused the mail for good. It is not tried again.
	ReasonRefused Reason = "refused"
	// ReasonTimeout: composing and sending took longer than they may.
	ReasonTimeout Reason = "timeout"
	// ReasonUnreachable: there was no connection to the mail server, or it broke.
	ReasonUnreachable Reason = "unreachable"
	// ReasonNotTaken: the mail server, or what speaks to it, has not taken the mail now.
	ReasonNotTaken Reason = "not-taken"
	// ReasonNotComposed: the composer returned an error, or a mail without address, subject or text.
	ReasonNotComposed Reason = "not-composed"
	// ReasonNoComposer: [Delivery.Compose] has no composer for the letter's area.
	ReasonNoComposer Reason = "no-composer"
	// ReasonPanic: the composer or the sender panicked.
	ReasonPanic Reason = "panic"
	// ReasonSealed: the letter could not be opened.
	ReasonSealed Reason = "sealed"
	// ReasonLate: its time was over before anybody tried.
	ReasonLate Reason = "late"
)

// Status is the state of the queue, of all processes.
type Status struct {
	// Waiting is how many letters are to be sent, those that are being sent among them.
	Waiting int
	// Retrying is how many of them have been tried without success.
	Retrying int
	// Failed is how many were given up and not pruned yet.
	Failed int
	// Oldest is when the oldest waiting letter was queued; zero when none waits.
	Oldest time.Time
	// LastError is why the latest try failed of those whose letters are still here; empty when there is none.
	LastError Reason
}

// Status tells how the queue is.
func (o *Outbox) Status(ctx context.Context) (Status, error) {
	c, err := o.store.CountLetters(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("outbox: count letters: %w", err)
	}
	return Status{Waiting: c.Waiting, Retrying: c.Retrying, Failed: c.Failed, Oldest: c.Oldest, LastError: Reason(c.Reason)}, nil
}

// Failure is a letter that was given up.
type Failure struct {
	// ID names the letter, see [Outbox.Retry].
	ID string
	// Kind, Tenant and Account are those of the letter.
	Kind, Tenant, Account string
	// Tries is how often it was tried.
	Tries int
	// Reason is why the last try failed.
	Reason Reason
	// Queued and Failed are when it was queued and given up, in UTC.
	Queued, Failed time.Time
}

// Failed gives at most limit letters that were given up, the latest first.
func (o *Outbox) Failed(ctx context.Context, limit int) ([]Failure, error) {
	records, err := o.store.FailedLetters(ctx, max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("outbox: list letters: %w", err)
	}
	var list []Failure
	for _, r := range records {
		list = append(list, Failure{
			ID: r.ID, Kind: r.Kind, Tenant: r.Tenant, Account: r.Account, Tries: r.Tries, Reason: Reason(r.Reason),
			Queued: r.Created, Failed: r.Failed,
		})
	}
	return list, nil
}

// Retry queues a letter again that has failed or waits for its next try, as if it were new. It is for administrators.
// It returns [ErrNoLetter] for a letter that is sent or being sent.
func (o *Outbox) Retry(ctx context.Context, id string) error {
	err := o.act(ctx, audit.MailRetried, id, func(ctx context.Context, now time.Time) (bool, error) {
		return o.store.ReviveLetter(ctx, id, now, now.Add(o.giveUp))
	})
	o.nudge()
	return err
}

// Drop removes a letter that has failed or waits. It is for administrators. It returns [ErrNoLetter] for a letter
// that is sent or being sent.
func (o *Outbox) Drop(ctx context.Context, id string) error {
	return o.act(ctx, audit.MailDropped, id, func(ctx context.Context, now time.Time) (bool, error) {
		return o.store.DropLetter(ctx, id, now)
	})
}

func (o *Outbox) act(ctx context.Context, kind audit.Kind, id string, do func(context.Context, time.Time) (bool, error)) error {
	e := audit.Event{Kind: kind, Target: &audit.Target{Type: "letter", ID: id}, Severity: audit.Notice}
	return audit.Act(ctx, o.audit, e, func(ctx context.Context, result *audit.Event) error {
		ok, err := do(ctx, o.now())
		switch {
		case err != nil:
			result.Reason = "store"
			return fmt.Errorf("outbox: %w", err)
		case !ok:
			result.Outcome, result.Reason = audit.Failure, "no-such-letter"
			return ErrNoLetter
		}
		return nil
	})
}

// Prune removes the letters that failed more than 30 days ago and tells how many. Call it once a day.
func (o *Outbox) Prune(ctx context.Context) (int64, error) {
	n, err := o.store.PruneLetters(ctx, o.now().Add(-keepFailed))
	if err != nil {
		return 0, fmt.Errorf("outbox: prune: %w", err)
	}
	return n, nil
}
