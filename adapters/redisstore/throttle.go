// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/redis/go-redis/v9"
)

const (
	// takeTries bounds how often an attempt is decided anew because another came in between.
	takeTries = 200
	// takePause is the longest pause between two tries. It grows to that, so that a crowd thins itself out.
	takePause = 64 * time.Millisecond
)

// errContended says that there were always other attempts at the same lane. It refuses the attempt as any failure does.
var errContended = errors.New("too many attempts at once")

// Attempts is a [throttle.Store]. Its counters hold for all processes that use the server.
//
// An act that returns an error did nothing, or all of it: when the answer was lost nobody can tell. PruneAttempts goes in
// steps, of which those before the failure stay done.
type Attempts struct {
	db *DB
}

var _ throttle.Store = (*Attempts)(nil)

// Attempts gives the counters of package auth/throttle.
func (db *DB) Attempts() *Attempts { return &Attempts{db} }

// TakeAttempt implements [throttle.Store]. It reads, decides, and writes if nothing has changed since; otherwise it
// decides again. So the rule stands in Go only.
func (a *Attempts) TakeAttempt(ctx context.Context, lanes []throttle.Lane, now time.Time) (throttle.Decision, error) {
	d, err := a.take(ctx, lanes, now)
	if err != nil {
		return throttle.Decision{}, fmt.Errorf("redisstore: count attempt: %w", err)
	}
	return d, nil
}

func (a *Attempts) take(ctx context.Context, lanes []throttle.Lane, now time.Time) (throttle.Decision, error) {
	if len(lanes) == 0 {
		d, _ := throttle.Decide(nil, nil, now)
		return d, ctx.Err()
	}
	args := make([]any, len(lanes))
	for i, l := range lanes {
		args[i] = l.Key[:]
	}
	have, err := a.counters(ctx, scriptRead, args)
	for try := range takeTries {
		if err != nil {
			return throttle.Decision{}, err
		}
		if len(have) != len(lanes) {
			return throttle.Decision{}, errAnswer
		}
		if err := pause(ctx, try); err != nil {
			return throttle.Decision{}, err
		}
		counters := make([]throttle.Counter, len(lanes))
		for i, text := range have {
			if counters[i], err = decodeCounter(text); err != nil {
				return throttle.Decision{}, fmt.Errorf("counter: %w", err)
			}
		}
		d, next := throttle.Decide(lanes, counters, now)
		if next == nil {
			return d, nil
		}
		args = args[:0]
		for i, l := range lanes {
			// After its window a counter is as none. Twice the window, because clocks may differ.
			args = append(args, l.Key[:], have[i], encodeCounter(l, next[i]), 2*l.Limit.Window.Milliseconds())
		}
		have, err = a.counters(ctx, scriptTake, args)
		if err == nil && len(have) == 0 {
			return d, nil
		}
	}
	return throttle.Decision{}, errContended
}

// counters runs a script that gives counters.
func (a *Attempts) counters(ctx context.Context, s *redis.Script, args []any) ([]string, error) {
	answer, err := a.db.run(ctx, s, args...)
	if err != nil {
		return nil, err
	}
	return toTexts(answer)
}

// pause waits before a try that is not among the first.
func pause(ctx context.Context, try int) error {
	const free = 2
	if try < free {
		return nil
	}
	longest := min(time.Millisecond<<min(try-free, 10), takePause)
	t := time.NewTimer(rand.N(longest)) // no secret: it only scatters
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// SettleAttempt implements [throttle.Store].
func (a *Attempts) SettleAttempt(ctx context.Context, remove, giveBack []throttle.Key) error {
	args := []any{len(remove)}
	for _, keys := range [][]throttle.Key{remove, giveBack} {
		for _, k := range keys {
			args = append(args, k[:])
		}
	}
	if _, err := a.db.run(ctx, scriptSettle, args...); err != nil {
		return fmt.Errorf("redisstore: settle attempt: %w", err)
	}
	return nil
}

// ResetAccount implements [throttle.Store].
func (a *Attempts) ResetAccount(ctx context.Context, account throttle.Key) error {
	if _, err := a.db.run(ctx, scriptReset, account[:]); err != nil {
		return fmt.Errorf("redisstore: reset attempts: %w", err)
	}
	return nil
}

// PruneAttempts implements [throttle.Store]. Redis drops the counters of lanes with a window by itself.
func (a *Attempts) PruneAttempts(ctx context.Context, kind throttle.Kind, before time.Time, below int) (int64, error) {
	var all, from int64
	for {
		answer, err := a.db.run(ctx, scriptPruneAttempts, string(kind), encodeTime(before), below, from, pruneBatch)
		if err == nil {
			var n []int64
			if n, err = toNumbers(answer, 3); err == nil {
				all += n[1]
				from += n[2] // they stay at the front
				if n[0] == 0 {
					return all, nil
				}
				continue
			}
		}
		return all, fmt.Errorf("redisstore: prune attempts: %w", err)
	}
}
