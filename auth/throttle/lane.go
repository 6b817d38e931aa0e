// SPDX-License-Identifier: Apache-2.0

package throttle

import "time"

// Key names a counter. It is an HMAC-SHA-256 value.
type Key [32]byte

// Kind is the kind of a lane.
type Kind string

// The kinds of lanes.
const (
	// KindAccount counts what unknown browsers try at one login name.
	KindAccount Kind = "account"
	// KindBrowser counts what one known browser tries at one login name.
	KindBrowser Kind = "browser"
	// KindAddress counts what one network tries at all login names.
	KindAddress Kind = "address"
	// KindMail counts the mails that somebody asks for to be sent to one name, see [Throttle.TakeMail].
	KindMail Kind = "mail"
	// KindMailAddress counts the mails that one network asks for, to all names.
	KindMailAddress Kind = "mail-address"
)

// Limit is how many failures a lane lets through, and how fast.
type Limit struct {
	// Free is the number of failures after which waits begin. At least 1.
	Free int
	// Wait is the wait after that many failures. It doubles with each further failure.
	Wait time.Duration
	// MaxWait bounds the wait.
	MaxWait time.Duration
	// Cap is the number of failures that closes the lane; 0 means that nothing does.
	Cap int
	// Window is the time after the first failure at which the count starts anew; 0 means never.
	Window time.Duration
}

// The limits of this package. Its comment explains them.
var (
	guessLimit   = Limit{Free: 5, Wait: 30 * time.Second, MaxWait: time.Hour, Cap: 100}
	addressLimit = Limit{Free: 50, Wait: time.Second, MaxWait: 15 * time.Minute, Window: 24 * time.Hour}

	mailLimit        = Limit{Free: 3, Wait: time.Minute, MaxWait: time.Hour, Window: 24 * time.Hour}
	mailAddressLimit = Limit{Free: 20, Wait: time.Second, MaxWait: 15 * time.Minute, Window: 24 * time.Hour}
)

// wait gives the time that must pass after the last of so many failures.
func (l Limit) wait(failures int) time.Duration {
	if failures < l.Free {
		return 0
	}
	w := l.Wait
	for i := l.Free; i < failures && w < l.MaxWait; i++ {
		w *= 2
	}
	return min(w, l.MaxWait)
}

// Lane is one counter that an attempt must pass.
type Lane struct {
	// Key names the counter.
	Key Key
	// Kind is stored with the counter, for PruneAttempts.
	Kind Kind
	// Account is stored with the counter, for ResetAccount. It is zero in a lane that belongs to no account.
	Account Key
	// Limit holds for this attempt; it is not stored.
	Limit Limit
}

// Counter is the state of a lane. The zero Counter is that of a lane never used. Times are UTC and whole
// microseconds.
type Counter struct {
	// Failures is the number of attempts that were counted and not taken back.
	Failures int
	// Since is when the first of them was counted.
	Since time.Time
	// Last is when the latest attempt was counted. It never goes back.
	Last time.Time
}

// Decision is the answer to an attempt.
type Decision struct {
	// Allowed tells that the password may be checked.
	Allowed bool
	// RetryAfter is how long to wait before the next attempt when this one is refused, and 0 otherwise. In a
	// closed lane it is that lane's longest wait.
	RetryAfter time.Duration
	// By is the lane that refused, empty when none did. It is for the audit log, not for the visitor.
	By Kind
	// Closed tells that the lane had too many failures and opens only by [Throttle.Reset].
	Closed bool
	// Known tells that the attempt came from a browser that has signed in to the account before.
	Known bool
}

// Decide is the rule that a [Store] applies to the counters of an attempt's lanes: have[i] is the present
// counter of lanes[i]. When the attempt is allowed it gives the counters to write, otherwise nil. When several
// lanes refuse, the decision is of the one with the longest wait, a closed one first.
//
// A counter's time never runs backwards, and a lane opens only by the clock of who asks. So a process with a slow
// clock neither finds a lane open too early nor makes another find it so.
func Decide(lanes []Lane, have []Counter, now time.Time) (Decision, []Counter) {
	d := Decision{Allowed: true}
	next := make([]Counter, len(lanes))
	for i, lane := range lanes {
		c, l := have[i], lane.Limit
		if c.Failures == 0 || l.Window > 0 && now.Sub(c.Since) >= l.Window {
			c.Failures, c.Since = 0, now
		}
		closed := l.Cap > 0 && c.Failures >= l.Cap
		var wait time.Duration
		if w := l.wait(c.Failures); w > 0 {
			wait = c.Last.Add(w).Sub(now)
		}
		if closed {
			wait = max(wait, l.MaxWait, time.Second) // never 0, whatever the Limit: closed is refused
		}
		if refusal := (Decision{RetryAfter: wait, By: lane.Kind, Closed: closed}); refusal.outranks(d) {
			d = refusal
		}
		c.Failures++
		if now.After(c.Last) {
			c.Last = now
		}
		next[i] = c
	}
	if !d.Allowed {
		return d, nil
	}
	return d, next
}

// outranks tells whether a visitor must be told d rather than o. What is allowed has nothing to wait for, so it is
// outranked by all that has.
func (d Decision) outranks(o Decision) bool {
	if d.Closed != o.Closed {
		return d.Closed
	}
	return d.RetryAfter > o.RetryAfter
}
