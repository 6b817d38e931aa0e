// SPDX-License-Identifier: Apache-2.0

package password

import "context"

// slots bounds what is computed at once and how many may wait for it.
type slots struct {
	admitted chan struct{} // one element for each caller in a slot or in the queue
	free     chan struct{} // one element for each slot that is taken
	wide     chan struct{} // held while taking more than one slot, so that no two callers wait for each other's
	share    uint32        // KiB that one slot stands for
}

func newSlots(n, queue int, share uint32) *slots {
	return &slots{
		admitted: make(chan struct{}, n+queue), free: make(chan struct{}, n), wide: make(chan struct{}, 1), share: share,
	}
}

// do runs f with as many slots as its memory in KiB is worth, or with all of them if that is more than all.
func (s *slots) do(ctx context.Context, memory uint32, f func() (bool, error)) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	select {
	case s.admitted <- struct{}{}:
		defer func() { <-s.admitted }()
	default:
		return false, ErrBusy
	}
	n := max(1, min(cap(s.free), int((memory+s.share-1)/s.share)))
	if err := s.take(ctx, n); err != nil {
		return false, err
	}
	defer s.release(n)
	return f()
}

// take takes n slots, or none.
func (s *slots) take(ctx context.Context, n int) error {
	if n > 1 {
		select {
		case s.wide <- struct{}{}:
			defer func() { <-s.wide }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for taken := range n {
		select {
		case s.free <- struct{}{}:
		case <-ctx.Done():
			s.release(taken)
			return ctx.Err()
		}
	}
	return nil
}

func (s *slots) release(n int) {
	for range n {
		<-s.free
	}
}
