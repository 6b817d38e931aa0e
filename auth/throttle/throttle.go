// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/portalsec/portalsec"
)

// MinKey is the least length of [Config.Key] in bytes.
const MinKey = 16

const (
	// settleTimeout bounds what is written after a request has ended.
	settleTimeout = 5 * time.Second
	// keepGuesses is how long a counter that nobody adds to is kept when its lane is not closed. Over years that
	// lets through more than 100 failures in a row, which NIST SP 800-63B-4 section 3.2.2 does not foresee; but
	// counters of names that never existed must go some day, and 99 guesses in 90 days are no attack.
	keepGuesses = 90 * 24 * time.Hour
)

// Config is the configuration of a [Throttle].
type Config struct {
	// Store keeps the counters. Required.
	Store Store
	// Key is the HMAC key that hides names and addresses from the store and signs browser tokens: at least
	// [MinKey] random bytes, the same in all processes and after a restart. A new key forgets all counters and
	// known browsers. Required.
	Key []byte
	// Clock gives the time. Nil is the system's clock.
	Clock portalsec.Clock
}

// Throttle limits attempts. It may be used by several goroutines.
type Throttle struct {
	store Store
	key   []byte
	clock portalsec.Clock
}

// New gives a throttle.
func New(c Config) (*Throttle, error) {
	if c.Store == nil {
		return nil, errors.New("throttle: Config.Store is required")
	}
	if len(c.Key) < MinKey {
		return nil, fmt.Errorf("throttle: Config.Key is required: at least %d bytes", MinKey)
	}
	return &Throttle{store: c.Store, key: bytes.Clone(c.Key), clock: c.Clock}, nil
}

// Attempt is one attempt to sign in.
type Attempt struct {
	// Account is the login name, normalised by the caller, whether an account of that name exists or not. To count
	// another kind of proof apart, such as reset codes, put a prefix before the name.
	Account string
	// Addr is the client's network, from [portalsec.Origin.Prefix]. All attempts with an invalid one share
	// one counter: it is safer to slow all of them than none.
	Addr netip.Prefix
	// Browser is what the client sent as its browser token, empty when it sent none. [Throttle.Take] checks it;
	// a token that is not good for the account counts as none.
	Browser string
}

// Take counts an attempt and tells whether the password may be checked. When it may not, nothing was
// counted. An error means that the store failed: refuse the attempt.
func (t *Throttle) Take(ctx context.Context, a Attempt) (Decision, error) {
	own, address := t.lanes(a)
	lanes := []Lane{own}
	if own.Kind != KindBrowser {
		lanes = append(lanes, address)
	}
	d, err := t.take(ctx, lanes)
	d.Known = err == nil && own.Kind == KindBrowser
	return d, err
}

// TakeMail counts a request that makes the portal mail something to the name a.Account, such as a link to reset the
// password, whether anybody has the name or not, and tells whether the mail may be sent. Nothing takes the count back:
// neither Success nor Release may be called for it. [Attempt.Browser] plays no part. When it is refused, answer as if the
// mail were on its way, or tell everybody alike to come back later: the answer must not tell which names exist.
func (t *Throttle) TakeMail(ctx context.Context, a Attempt) (Decision, error) {
	return t.take(ctx, []Lane{
		{Key: t.mac("mail", []byte(a.Account)), Kind: KindMail, Limit: mailLimit},
		{Key: t.mac("mail-address", a.network()), Kind: KindMailAddress, Limit: mailAddressLimit},
	})
}

func (t *Throttle) take(ctx context.Context, lanes []Lane) (Decision, error) {
	slices.SortFunc(lanes, func(a, b Lane) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	// Whole microseconds, so that every store gives back the time that it was given.
	d, err := t.store.TakeAttempt(ctx, lanes, t.clock.Now().Truncate(time.Microsecond))
	if err != nil {
		return Decision{}, fmt.Errorf("throttle: take: %w", err)
	}
	return d, nil
}

// Success tells that the password of an allowed attempt was right, whatever remains to be proven. It clears
// the counter of the account's lane or the browser's, and takes back one count of the address. It does its
// work when ctx has ended too. Call it once for an attempt.
func (t *Throttle) Success(ctx context.Context, a Attempt) error {
	own, address := t.lanes(a)
	var giveBack []Key
	if own.Kind != KindBrowser {
		giveBack = []Key{address.Key}
	}
	return t.settle(ctx, []Key{own.Key}, giveBack)
}

// Release tells that the password of an allowed attempt was never looked at, because the hasher was busy or
// the client left the queue. It takes the attempt's counts back, so that a crowd locks nobody out. It does its work when ctx
// has ended too. Call it once for an attempt, and never after a password was hashed.
func (t *Throttle) Release(ctx context.Context, a Attempt) error {
	own, address := t.lanes(a)
	giveBack := []Key{own.Key}
	if own.Kind != KindBrowser {
		giveBack = append(giveBack, address.Key)
	}
	return t.settle(ctx, nil, giveBack)
}

func (t *Throttle) settle(ctx context.Context, remove, giveBack []Key) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := t.store.SettleAttempt(ctx, remove, giveBack); err != nil {
		return fmt.Errorf("throttle: settle: %w", err)
	}
	return nil
}

// Reset opens all lanes of an account: for an administrator, and after a password was reset. It opens no
// address.
func (t *Throttle) Reset(ctx context.Context, account string) error {
	if err := t.store.ResetAccount(ctx, t.account(account)); err != nil {
		return fmt.Errorf("throttle: reset: %w", err)
	}
	return nil
}

// Prune removes old counters and tells how many: those of addresses and of mails after two days without an attempt, those
// of accounts and browsers after 90, unless the lane is closed. Call it once a day.
func (t *Throttle) Prune(ctx context.Context) (int64, error) {
	now := t.clock.Now()
	var all int64
	for _, p := range []struct {
		kind  Kind
		keep  time.Duration
		below int
	}{
		{KindAccount, keepGuesses, guessLimit.Cap},
		{KindBrowser, keepGuesses, guessLimit.Cap},
		// Twice the window, because the clocks of several processes may differ.
		{KindAddress, 2 * addressLimit.Window, math.MaxInt},
		{KindMail, 2 * mailLimit.Window, math.MaxInt},
		{KindMailAddress, 2 * mailAddressLimit.Window, math.MaxInt},
	} {
		n, err := t.store.PruneAttempts(ctx, p.kind, now.Add(-p.keep), p.below)
		if err != nil {
			return all, fmt.Errorf("throttle: prune: %w", err)
		}
		all += n
	}
	return all, nil
}

// lanes gives the attempt's own lane, of the account or of the browser, and that of its address.
func (t *Throttle) lanes(a Attempt) (own, address Lane) {
	account := t.account(a.Account)
	own = Lane{Key: account, Kind: KindAccount, Account: account, Limit: guessLimit}
	if id, ok := t.browser(account, a.Browser); ok {
		own.Kind, own.Key = KindBrowser, t.mac("browser", account[:], id)
	}
	return own, Lane{Key: t.mac("address", a.network()), Kind: KindAddress, Limit: addressLimit}
}

// network gives the client's network as text, empty when it is not known.
func (a Attempt) network() []byte {
	if !a.Addr.IsValid() {
		return nil
	}
	return []byte(a.Addr.Masked().String())
}

func (t *Throttle) account(name string) Key { return t.mac("account", []byte(name)) }

// mac gives the HMAC of parts under a label. At most one of the parts may vary in length.
func (t *Throttle) mac(label string, parts ...[]byte) (k Key) {
	h := hmac.New(sha256.New, t.key)
	h.Write([]byte("portalsec/throttle/1/" + label + "\x00"))
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(k[:0])
	return k
}
