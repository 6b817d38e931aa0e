// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth/session"
	"github.com/stretchr/testify/require"
)

// TestNoSessionComesBack signs out while other requests of the same browser are in flight. Each of them
// notes its use of the session, which must not bring it back.
func TestNoSessionComesBack(t *testing.T) {
	t.Parallel()
	races := 10_000
	if testing.Short() {
		races = 500
	}
	f := setUp(t, nil)
	back := 0
	for range races {
		b := f.browser()
		b.start("ann")
		f.wait(2 * time.Minute) // so that each request writes
		var wg sync.WaitGroup
		for range 3 {
			r := b.request()
			wg.Go(func() {
				if _, err := f.Load(r); err != nil && err != session.ErrNoSession {
					t.Error(err)
				}
			})
		}
		r := b.request()
		wg.Go(func() {
			if err := f.End(r.Context(), httptest.NewRecorder(), r); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if _, err := f.Load(b.request()); err != session.ErrNoSession {
			back++
		}
	}
	require.Zero(t, back)
}
