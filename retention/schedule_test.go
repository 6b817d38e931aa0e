// SPDX-License-Identifier: Apache-2.0

package retention_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/retention"
	"github.com/stretchr/testify/require"
)

// inBubble runs the schedule against a fake clock: ten of 30 things are out of date.
func inBubble(t *testing.T, f func(t *testing.T, b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *retention.Config) { c.Clock = nil })
		for i := range 30 {
			b.shelf.things[string(rune('A'+i))] = time.Now().AddDate(-1, 0, 0)
		}
		for i := range 10 {
			b.shelf.things[string(rune('A'+i))] = time.Now().AddDate(-3, 0, 0)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		synctest.Wait()
		f(t, b)
		cancel()
		require.NoError(t, <-done)
	})
}

// pass lets time go by. In the bubble of a synctest it takes none.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (b *bench) count(kind audit.Kind, ph string) (n int) {
	b.journal.mu.Lock()
	defer b.journal.mu.Unlock()
	for _, e := range b.journal.events {
		if e.Kind == kind && phase(e) == ph {
			n++
		}
	}
	return n
}

func TestScheduleObservesThenRuns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		require.Equal(t, 1, b.count(audit.RetentionPlanned, ""), "a dry run at once")
		pass(25 * time.Hour)
		require.Equal(t, 3, b.count(audit.RetentionPlanned, ""), "one for each twelve hours")
		require.Len(t, b.shelf.things, 30)

		b.approve(t)
		pass(2 * time.Minute)
		require.Len(t, b.shelf.things, 20, "an approved policy does not wait for its next dry run")
		require.Equal(t, 1, b.count(audit.RetentionRun, "finished"))
		pass(11 * time.Hour)
		require.Equal(t, 1, b.count(audit.RetentionRun, "finished"))
		pass(time.Hour + time.Minute)
		require.Equal(t, 2, b.count(audit.RetentionRun, "finished"))
		pass(48 * time.Hour)
		require.Equal(t, 6, b.count(audit.RetentionRun, "finished"))
	})
}

// A policy that nobody approved leaves its target alone between two dry runs.
func TestScheduleDoesNotAskAboutWhatItOnlyObserves(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		asked := b.shelf.described()
		pass(11 * time.Hour)
		require.Equal(t, asked, b.shelf.described())
		pass(61 * time.Minute)
		require.Equal(t, 2, b.count(audit.RetentionPlanned, ""))
		require.Greater(t, b.shelf.described(), asked)
	})
}

func TestScheduleRestsAfterAFailure(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.approve(t)
		b.shelf.mu.Lock()
		b.shelf.step = func() error { return errors.New("disk full") }
		b.shelf.mu.Unlock()
		pass(46 * time.Minute)
		require.Equal(t, 4, b.count(audit.RetentionRun, "ended"), "about every 15 minutes")
		b.shelf.mu.Lock()
		b.shelf.step = nil
		b.shelf.mu.Unlock()
		pass(17 * time.Minute)
		require.Equal(t, 1, b.count(audit.RetentionRun, "finished"))
		require.Len(t, b.shelf.things, 20)
	})
}

func TestScheduleSurvivesABrokenTarget(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.approve(t)
		b.shelf.mu.Lock()
		b.shelf.describe = errors.New("no such table")
		b.shelf.mu.Unlock()
		pass(5 * time.Minute)
		require.Equal(t, 1, b.count(audit.RetentionRun, "ended"))
		require.Len(t, b.shelf.things, 30)
	})
}
