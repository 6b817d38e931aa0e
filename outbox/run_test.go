// SPDX-License-Identifier: Apache-2.0

package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/outbox"
	"github.com/stretchr/testify/require"
)

func TestDeliversAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run(t, b.delivery())
		synctest.Wait()
		start := time.Now()
		b.queue(t, toAda)
		synctest.Wait()
		require.Equal(t, []portalsec.Mail{{To: "ada@acme.example", Subject: "auth.reset", Text: "acme u-1 nl map[why:secret]"}}, b.server.taken())
		require.Equal(t, []time.Time{start}, b.server.tries())
		require.Zero(t, b.status(t))
		time.Sleep(48 * time.Hour)
		require.Len(t, b.server.tries(), 1)
		require.Empty(t, b.log.recorded())
		require.Empty(t, b.log.String())
	})
}

func TestFindsLettersOfOtherProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		other := newBench(t, func(c *outbox.Config) { c.Store = b.store })
		d := b.delivery()
		d.Poll = 3 * time.Second
		b.run(t, d)
		synctest.Wait()
		time.Sleep(time.Second)
		other.queue(t, toAda)
		synctest.Wait()
		require.Empty(t, b.server.taken())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Len(t, b.server.taken(), 1)

		b.server.answer(func(ctx context.Context, _ portalsec.Mail) error { <-ctx.Done(); return ctx.Err() })
		for range 6 {
			other.queue(t, toAda)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Len(t, b.server.tries(), 5, "one look sets all four workers going")
	})
}

func TestWaitsGrowUntilItIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.server.answer(down)
		start := time.Now().UTC()
		b.queue(t, toAda)
		b.run(t, b.delivery())
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.Equal(t, outbox.Status{Waiting: 1, Retrying: 1, Oldest: start, LastError: outbox.ReasonNotTaken}, b.status(t))
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		tries := b.server.tries()
		var waits []time.Duration
		for i := range tries[1:] {
			waits = append(waits, tries[i+1].Sub(tries[i]))
		}
		m := time.Minute
		require.Equal(t, []time.Duration{m, 2 * m, 4 * m, 8 * m, 16 * m, 32 * m, 60 * m, 60 * m}, waits[:8])
		last := tries[len(tries)-1].Sub(start)
		require.Less(t, last, 24*time.Hour)
		require.GreaterOrEqual(t, last, 23*time.Hour)
		require.Equal(t, outbox.Status{Failed: 1, LastError: outbox.ReasonNotTaken}, b.status(t))

		events := b.log.recorded()
		require.Len(t, events, 1)
		require.Len(t, events[0].Target.ID, 36)
		require.Equal(t, audit.Event{
			Kind: audit.MailFailed, Outcome: audit.Error, Reason: "not-taken", Severity: audit.Warning, Tenant: "acme",
			Subjects: []audit.Pseudonym{"u-1"}, Target: &audit.Target{Type: "letter", ID: events[0].Target.ID},
			Details: []audit.Detail{{Name: "letter", Value: "auth.reset"}, {Name: "tries", Value: fmt.Sprint(len(tries))}},
		}, events[0])
		require.Contains(t, b.log.String(), "451 try again later, <[address]>")
		require.NotContains(t, b.log.String(), "ada")
		require.NotContains(t, b.log.String(), "secret")

		failed, err := b.Failed(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, []outbox.Failure{{
			ID: events[0].Target.ID, Kind: "auth.reset", Tenant: "acme", Account: "u-1", Tries: len(tries), Reason: outbox.ReasonNotTaken,
			Queued: start, Failed: tries[len(tries)-1].UTC(),
		}}, failed)
	})
}

func TestServerComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.server.answer(down)
		b.run(t, b.delivery())
		for i := range 20 {
			b.queue(t, to(fmt.Sprintf("%d@acme.example", i)))
		}
		time.Sleep(3*time.Minute + time.Second)
		require.Equal(t, 20, b.status(t).Retrying)
		require.Len(t, b.server.tries(), 60, "after 0, 1 and 3 minutes")
		b.server.answer(nil)
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		require.Zero(t, b.status(t))
		seen := map[string]int{}
		for _, m := range b.server.taken() {
			seen[m.To]++
		}
		require.Len(t, seen, 20)
		require.Len(t, b.server.taken(), 20, "each once")
	})
}

func TestReasons(t *testing.T) {
	t.Parallel()
	fail := func(err error) func(b *bench, d *outbox.Delivery) {
		return func(b *bench, _ *outbox.Delivery) {
			b.server.answer(func(context.Context, portalsec.Mail) error { return err })
		}
	}
	composer := func(c outbox.Composer) func(b *bench, d *outbox.Delivery) {
		return func(_ *bench, d *outbox.Delivery) { d.Compose = map[string]outbox.Composer{"auth": c} }
	}
	mail := func(m portalsec.Mail) func(b *bench, d *outbox.Delivery) {
		return composer(func(context.Context, portalsec.Letter) (portalsec.Mail, error) { return m, nil })
	}
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		reason  outbox.Reason
		arrange func(b *bench, d *outbox.Delivery)
	}{
		"refused":       {outbox.ReasonRefused, fail(fmt.Errorf("550: %w", portalsec.ErrMailRefused))},
		"other answer":  {outbox.ReasonNotTaken, fail(errors.New("451"))},
		"no connection": {outbox.ReasonUnreachable, fail(fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}))},
		"slow server": {outbox.ReasonTimeout, func(b *bench, _ *outbox.Delivery) {
			b.server.answer(func(ctx context.Context, _ portalsec.Mail) error { return hang(ctx) })
		}},
		"slow server that hides it": {outbox.ReasonTimeout, func(b *bench, _ *outbox.Delivery) {
			b.server.answer(func(ctx context.Context, _ portalsec.Mail) error { _ = hang(ctx); return errors.New("closed") })
		}},
		"slow composer": {outbox.ReasonTimeout, composer(func(ctx context.Context, _ portalsec.Letter) (portalsec.Mail, error) {
			return portalsec.Mail{}, hang(ctx)
		})},
		"composer fails": {outbox.ReasonNotComposed, composer(func(context.Context, portalsec.Letter) (portalsec.Mail, error) {
			return portalsec.Mail{}, errors.New("no database")
		})},
		"no address":  {outbox.ReasonNotComposed, mail(portalsec.Mail{Subject: "s", Text: "t"})},
		"no subject":  {outbox.ReasonNotComposed, mail(portalsec.Mail{To: "a@b.example", Text: "t"})},
		"no text":     {outbox.ReasonNotComposed, mail(portalsec.Mail{To: "a@b.example", Subject: "s"})},
		"other areas": {outbox.ReasonNoComposer, func(_ *bench, d *outbox.Delivery) { d.Compose = map[string]outbox.Composer{"mfa": compose} }},
		"composer panics": {outbox.ReasonPanic, composer(func(context.Context, portalsec.Letter) (portalsec.Mail, error) {
			panic("ada@acme.example is secret")
		})},
		"sender panics": {outbox.ReasonPanic, func(b *bench, _ *outbox.Delivery) {
			b.server.answer(func(context.Context, portalsec.Mail) error { panic(errors.New("secret")) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				d := b.delivery()
				c.arrange(b, &d)
				b.run(t, d)
				start := time.Now().UTC()
				b.queue(t, toAda)
				time.Sleep(61 * time.Second)
				synctest.Wait()
				want := outbox.Status{Waiting: 1, Retrying: 1, Oldest: start, LastError: c.reason}
				if c.reason == outbox.ReasonRefused {
					want = outbox.Status{Failed: 1, LastError: c.reason}
				}
				require.Equal(t, want, b.status(t))
				require.NotContains(t, b.log.String(), "secret")
				require.NotContains(t, b.log.String(), "ada@")
				require.Contains(t, b.log.String(), "reason="+string(c.reason))
			})
		})
	}
}

func TestNoMailDropsInSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		d := b.delivery()
		d.Compose["auth"] = func(context.Context, portalsec.Letter) (portalsec.Mail, error) {
			return portalsec.Mail{}, fmt.Errorf("nobody has this address: %w", portalsec.ErrNoMail)
		}
		b.run(t, d)
		b.queue(t, toAda)
		synctest.Wait()
		require.Zero(t, b.status(t))
		require.Empty(t, b.server.tries())
		require.Empty(t, b.log.recorded())
		require.Empty(t, b.log.String())
	})
}

func TestSlowServerHoldsUpFewLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var now, most atomic.Int64
		b.server.answer(func(ctx context.Context, m portalsec.Mail) error {
			n := now.Add(1)
			defer now.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			if m.To == "slow@acme.example" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		b.run(t, b.delivery())
		synctest.Wait()
		for range 3 {
			b.queue(t, to("slow@acme.example"))
		}
		synctest.Wait()
		require.EqualValues(t, 3, now.Load(), "all are being sent, though nobody polled")
		for i := range 50 {
			b.queue(t, to(fmt.Sprintf("%d@acme.example", i)))
		}
		synctest.Wait()
		require.Len(t, b.server.taken(), 50)
		b.queue(t, to("slow@acme.example"))
		time.Sleep(time.Microsecond) // letters of one instant have no order
		b.queue(t, to("waits@acme.example"))
		synctest.Wait()
		require.EqualValues(t, 4, most.Load())
		require.Len(t, b.server.taken(), 50)
		require.Equal(t, 5, b.status(t).Waiting)
	})
}

func TestStopLetsMailsFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.server.answer(func(ctx context.Context, m portalsec.Mail) error {
			wait := 9 * time.Second
			if m.To == "slow@acme.example" {
				wait = 50 * time.Second
			}
			select {
			case <-time.After(wait):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		stop := b.run(t, b.delivery())
		b.queue(t, to("slow@acme.example"))
		b.queue(t, toAda)
		synctest.Wait()
		start := time.Now()
		b.queue(t, to("third@acme.example"))
		stop()
		require.Equal(t, 10*time.Second, time.Since(start))
		require.NotEmpty(t, b.server.taken())
		for _, m := range b.server.taken() {
			require.NotEqual(t, "slow@acme.example", m.To)
		}
		s := b.status(t)
		require.Zero(t, s.Retrying, "to be broken off is no failed try")
		require.Empty(t, s.LastError)

		b.server.answer(nil)
		b.run(t, b.delivery())
		synctest.Wait()
		require.Len(t, b.server.taken(), 3, "what was broken off is due at once")
		require.Zero(t, b.status(t))
	})
}

func TestDeadProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.queue(t, toAda)
		_, ok, err := b.store.ClaimLetter(t.Context(), "dead", time.Now(), time.Now().Add(time.Minute))
		require.NoError(t, err)
		require.True(t, ok)
		b.run(t, b.delivery())
		time.Sleep(59 * time.Second)
		require.Empty(t, b.server.taken())
		time.Sleep(6 * time.Second)
		require.Len(t, b.server.taken(), 1)
	})
}

func TestOldLettersAreNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *outbox.Config) { c.GiveUpAfter = time.Hour })
		b.queue(t, toAda)
		time.Sleep(time.Hour)
		b.run(t, b.delivery())
		synctest.Wait()
		require.Empty(t, b.server.tries())
		require.Equal(t, outbox.Status{Failed: 1, LastError: outbox.ReasonLate}, b.status(t))
		require.Len(t, b.log.recorded(), 1)
	})
}

// shaky is a store whose writes fail for a while.
type shaky struct {
	*outbox.Memory
	until time.Time
}

func (s *shaky) FinishLetter(ctx context.Context, id, lease string) (bool, error) {
	if time.Now().Before(s.until) {
		return false, errBroken
	}
	return s.Memory.FinishLetter(ctx, id, lease)
}

func (s *shaky) ClaimLetter(ctx context.Context, lease string, now, until time.Time) (outbox.Record, bool, error) {
	if time.Now().Before(s.until.Add(-12 * time.Second)) {
		return outbox.Record{}, false, errBroken
	}
	return s.Memory.ClaimLetter(ctx, lease, now, until)
}

func TestStoreFailsForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shaky{outbox.NewMemory(), time.Now().Add(24 * time.Second)}
		b := newBench(t, func(c *outbox.Config) { c.Store = s })
		b.run(t, b.delivery())
		b.queue(t, toAda)
		time.Sleep(10 * time.Minute)
		require.Len(t, b.server.taken(), 1, "a mail that was sent is not sent again")
		require.Zero(t, b.status(t))
		require.Contains(t, b.log.String(), "broken")
	})
}

func TestMovedLettersDoNotOpen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*outbox.Record){
		"other kind":    func(r *outbox.Record) { r.Kind = "auth.invitation" },
		"other tenant":  func(r *outbox.Record) { r.Tenant = "zenith" },
		"other account": func(r *outbox.Record) { r.Account = "u-2" },
		"other bytes":   func(r *outbox.Record) { r.Sealed[3] ^= 1 },
		"no JSON": func(r *outbox.Record) {
			r.Sealed, _ = newSealer().Seal(context.Background(), portalsec.Row{Tenant: r.Tenant, Subject: r.Account, ID: r.ID}, []byte("ada"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(c *outbox.Config) { c.Store = &keeper{Memory: outbox.NewMemory(), change: change} })
				b.run(t, b.delivery())
				b.queue(t, toAda)
				synctest.Wait()
				require.Empty(t, b.server.tries())
				require.Equal(t, outbox.ReasonSealed, b.status(t).LastError)
				require.NotContains(t, b.log.String(), "ada")
			})
		})
	}
}
