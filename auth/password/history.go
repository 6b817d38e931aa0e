// SPDX-License-Identifier: Apache-2.0

package password

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// History gives how many of a person's latest passwords must not be used again, and so how many hashes to keep.
func (p *Policy) History() int { return p.history }

// Reused tells whether a new password is one of the latest: hashes are the stored ones, the present one first and the
// oldest last, of which as many are looked at as [Policy.History] says. The error is a [*PolicyError] with
// [ReusedPassword] if it is, and otherwise nil or that of [Hasher.Verify].
//
// Each hash costs what a sign-in does and waits for a slot as it does; call it last, after [Policy.Check]. Empty hashes and those that
// are not understood are passed over: they match no password, and should not keep anybody from a change.
func (p *Policy) Reused(ctx context.Context, h *Hasher, hashes []string, pw string) error {
	for _, stored := range hashes[:min(len(hashes), p.history)] {
		if stored == "" {
			continue
		}
		res, err := h.Verify(ctx, stored, pw)
		if errors.Is(err, ErrHash) {
			continue
		}
		if err != nil {
			return err
		}
		if res.OK {
			text := "You had this password before. Choose another one."
			if p.history > 1 {
				text = fmt.Sprintf("This is one of your last %d passwords. Choose another one.", p.history)
			}
			return &PolicyError{[]Problem{{ReusedPassword, text}}}
		}
	}
	return nil
}

// Expired tells whether a password that was set at the time set has to be changed at the time now. It is false
// unless [PolicyConfig.MaxAge] says otherwise; then a password of which nobody knows when it was set, which is
// the zero time, is expired.
func (p *Policy) Expired(set, now time.Time) bool {
	return p.maxAge > 0 && (set.IsZero() || now.Sub(set) >= p.maxAge)
}
