// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/internal/uuid"
)

const (
	defaultGiveUp = 24 * time.Hour
	// keepFailed is how long Prune leaves failed letters to the administrator.
	keepFailed = 30 * 24 * time.Hour

	// maxAddress is the longest path of RFC 5321 section 4.5.3.1.3 without its brackets.
	maxAddress = 254
	maxName    = 200      // bytes of a tenant or an account
	maxSealed  = 16 << 10 // bytes before sealing
)

var kindForm = regexp.MustCompile(`^[a-z0-9_-]{1,24}\.[a-z0-9._-]{1,32}$`)

// Sealer encrypts letters. A field of package crypto is one.
type Sealer interface {
	Seal(ctx context.Context, row portalsec.Row, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, row portalsec.Row, sealed []byte) ([]byte, error)
}

// Config is the configuration of an [Outbox].
type Config struct {
	// Store keeps the letters. Required.
	Store Store
	// Sealer seals address, language and data of each letter, bound to Row{Tenant, Account, ID}. A letter that names an account opens
	// no more once that account's key is destroyed. Required.
	Sealer Sealer
	// GiveUpAfter is how long a letter is tried. 0 means 24 hours; otherwise at least a minute.
	GiveUpAfter time.Duration
	// Audit takes the events mail.failed, mail.retried and mail.dropped. Nil is audit.Slog(nil).
	Audit audit.Recorder
	// Logger takes the error of each failed try, with the letter's address blotted out. Nil is silent.
	Logger *slog.Logger
	// Clock gives the time. Nil is the system's clock.
	Clock portalsec.Clock
}

// Outbox queues and delivers letters. It may be used by several goroutines.
type Outbox struct {
	store  Store
	sealer Sealer
	giveUp time.Duration
	audit  audit.Recorder
	log    *slog.Logger
	clock  portalsec.Clock
	// wake holds a value while there may be a letter that no worker of this process has looked for.
	wake chan struct{}
}

var _ portalsec.Mailer = (*Outbox)(nil)

// New gives an outbox. It delivers nothing until [Outbox.Run] is called, here or in another process.
func New(c Config) (*Outbox, error) {
	switch {
	case c.Store == nil:
		return nil, errors.New("outbox: Config.Store is required")
	case c.Sealer == nil:
		return nil, errors.New("outbox: Config.Sealer is required")
	case c.GiveUpAfter != 0 && c.GiveUpAfter < time.Minute:
		return nil, errors.New("outbox: Config.GiveUpAfter must be 0 or at least a minute")
	}
	o := &Outbox{
		store: c.Store, sealer: c.Sealer, giveUp: c.GiveUpAfter, audit: c.Audit, log: c.Logger, clock: c.Clock,
		wake: make(chan struct{}, 1),
	}
	if o.giveUp == 0 {
		o.giveUp = defaultGiveUp
	}
	if o.audit == nil {
		o.audit = audit.Slog(nil)
	}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// now gives the time in whole microseconds, so that every store gives back the time that it was given.
func (o *Outbox) now() time.Time { return o.clock.Now().Truncate(time.Microsecond) }

// content is what of a letter is sealed. Kind is there too, so that nobody who can write to the store makes another letter of it.
type content struct {
	Kind string            `json:"kind"`
	To   string            `json:"to,omitempty"`
	Lang string            `json:"lang,omitempty"`
	Data map[string]string `json:"data,omitempty"`
}

// Queue implements [portalsec.Mailer]: it seals l and writes one row.
func (o *Outbox) Queue(ctx context.Context, l portalsec.Letter) error {
	if err := check(l); err != nil {
		return err
	}
	plain, err := json.Marshal(content{Kind: l.Kind, To: l.To, Lang: l.Lang, Data: l.Data})
	switch {
	case err != nil:
		return fmt.Errorf("outbox: letter: %w", err)
	case len(plain) > maxSealed:
		return fmt.Errorf("outbox: letter %s: Data is longer than %d bytes", l.Kind, maxSealed)
	}
	now := o.now()
	r := Record{
		ID: uuid.NewV7(now), Kind: l.Kind, Tenant: l.Tenant, Account: l.Account,
		Created: now, Due: now, Expires: now.Add(o.giveUp),
	}
	if r.Sealed, err = o.sealer.Seal(ctx, rowOf(r), plain); err != nil {
		return fmt.Errorf("outbox: seal letter: %w", err)
	}
	if err := o.store.AddLetter(ctx, r); err != nil {
		return fmt.Errorf("outbox: queue letter: %w", err)
	}
	o.nudge()
	return nil
}

// check says what is wrong with a letter, without quoting it.
func check(l portalsec.Letter) error {
	switch {
	case !kindForm.MatchString(l.Kind):
		return errors.New("outbox: letter: Kind is not of the form area.what")
	case l.To == "" && l.Account == "":
		return fmt.Errorf("outbox: letter %s: To or Account is required", l.Kind)
	case len(l.To) > maxAddress || !oneLine(l.To):
		return fmt.Errorf("outbox: letter %s: To is no address", l.Kind)
	case len(l.Tenant) > maxName || len(l.Account) > maxName || !utf8.ValidString(l.Tenant) || !utf8.ValidString(l.Account):
		return fmt.Errorf("outbox: letter %s: Tenant and Account have at most %d bytes of UTF-8", l.Kind, maxName)
	}
	return nil
}

func oneLine(s string) bool {
	for _, c := range s {
		if unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			return false
		}
	}
	return utf8.ValidString(s)
}

func rowOf(r Record) portalsec.Row {
	return portalsec.Row{Tenant: r.Tenant, Subject: r.Account, ID: r.ID}
}

func (o *Outbox) open(ctx context.Context, r Record) (portalsec.Letter, error) {
	plain, err := o.sealer.Open(ctx, rowOf(r), r.Sealed)
	if err != nil {
		return portalsec.Letter{}, err
	}
	var c content
	if err := json.Unmarshal(plain, &c); err != nil {
		return portalsec.Letter{}, errors.New("malformed letter") // the cause could quote it
	}
	if c.Kind != r.Kind {
		return portalsec.Letter{}, errors.New("the letter was queued as one of another kind")
	}
	return portalsec.Letter{Kind: c.Kind, To: c.To, Tenant: r.Tenant, Account: r.Account, Lang: c.Lang, Data: c.Data}, nil
}

// nudge lets a worker of this process look for letters.
func (o *Outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
