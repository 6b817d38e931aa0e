// SPDX-License-Identifier: Apache-2.0

package outbox_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/outbox"
	"github.com/stretchr/testify/require"
)

func refuse(context.Context, portalsec.Mail) error { return portalsec.ErrMailRefused }

// onlyFailed gives the ID of the one letter that has failed.
func (b *bench) onlyFailed(t *testing.T) string {
	t.Helper()
	synctest.Wait()
	list, err := b.Failed(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, outbox.ReasonRefused, list[0].Reason)
	return list[0].ID
}

func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.server.answer(refuse)
		b.run(t, b.delivery())
		b.queue(t, toAda)
		id := b.onlyFailed(t)
		time.Sleep(29 * 24 * time.Hour)
		require.NoError(t, b.Retry(t.Context(), id))
		require.Equal(t, id, b.onlyFailed(t), "it is refused again")
		b.server.answer(down)
		require.NoError(t, b.Retry(t.Context(), id))
		synctest.Wait()
		require.Equal(t, 1, b.status(t).Retrying)
		b.server.answer(nil)
		require.NoError(t, b.Retry(t.Context(), id), "one that waits is tried now")
		synctest.Wait()
		require.Len(t, b.server.taken(), 1)
		require.Zero(t, b.status(t))
		require.ErrorIs(t, b.Retry(t.Context(), id), outbox.ErrNoLetter)

		var got []audit.Event
		for _, e := range b.log.recorded() {
			if e.Kind == audit.MailRetried {
				require.Equal(t, &audit.Target{Type: "letter", ID: id}, e.Target)
				e.Target = nil
				got = append(got, e)
			}
		}
		good := audit.Event{Kind: audit.MailRetried, Outcome: audit.Success, Severity: audit.Notice}
		bad := good
		bad.Outcome, bad.Reason = audit.Failure, "no-such-letter"
		require.Equal(t, []audit.Event{good, good, good, good, bad}, got)
	})
}

func TestDrop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.server.answer(refuse)
		b.run(t, b.delivery())
		b.queue(t, toAda)
		id := b.onlyFailed(t)
		require.NoError(t, b.Drop(t.Context(), id))
		require.Zero(t, b.status(t))
		require.ErrorIs(t, b.Drop(t.Context(), id), outbox.ErrNoLetter)
		events := b.log.recorded()
		require.Equal(t, audit.MailDropped, events[1].Kind)
		require.Equal(t, audit.Success, events[1].Outcome)
	})
}

func TestLettersBeingSentAreLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.server.answer(func(context.Context, portalsec.Mail) error { time.Sleep(time.Second); return portalsec.ErrMailRefused })
		b.run(t, b.delivery())
		b.queue(t, toAda)
		time.Sleep(2 * time.Second)
		id := b.onlyFailed(t)
		require.NoError(t, b.Retry(t.Context(), id))
		synctest.Wait()
		require.ErrorIs(t, b.Drop(t.Context(), id), outbox.ErrNoLetter)
		require.ErrorIs(t, b.Retry(t.Context(), id), outbox.ErrNoLetter)
	})
}

func TestNothingIsDoneThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := false
		l := &log{}
		b := newBench(t, func(c *outbox.Config) {
			c.Audit = audit.RecorderFunc(func(ctx context.Context, e audit.Event) error {
				if broken {
					return errBroken
				}
				return l.Record(ctx, e)
			})
		})
		b.server.answer(refuse)
		stop := b.run(t, b.delivery())
		b.queue(t, toAda)
		id := b.onlyFailed(t)
		stop()
		broken = true
		require.ErrorIs(t, b.Drop(t.Context(), id), errBroken)
		require.ErrorIs(t, b.Retry(t.Context(), id), errBroken)
		require.Equal(t, id, b.onlyFailed(t))

		// A letter that is given up is that whether the log takes it or not.
		b.queue(t, toAda)
		b.run(t, b.delivery())
		synctest.Wait()
		require.Equal(t, 2, b.status(t).Failed)
		require.Contains(t, b.log.String(), "record event")
	})
}

func TestPrune(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.server.answer(refuse)
		b.run(t, b.delivery())
		b.queue(t, toAda)
		synctest.Wait()
		time.Sleep(30 * 24 * time.Hour)
		for _, want := range []int64{0, 1} {
			n, err := b.Prune(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, n)
			time.Sleep(time.Microsecond)
		}
	})
}
