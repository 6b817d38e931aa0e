// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/portalsec/portalsec/outbox"
	"github.com/portalsec/portalsec/outbox/outboxtest"
	"github.com/stretchr/testify/require"
)

func TestOutbox(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		outboxtest.Run(t, func(t *testing.T) outbox.Store {
			s, _ := b.open(t)
			return s.Outbox()
		})
	})
}

// The variables tell TestOutboxProcess its database; it is run by TestOutboxProcesses.
const (
	outboxDialect = "PORTALSEC_TEST_OUTBOX_DIALECT"
	outboxDSN     = "PORTALSEC_TEST_OUTBOX_DSN"
)

// outboxStart is the time in all processes.
var outboxStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestOutboxProcess(t *testing.T) {
	if os.Getenv(outboxDSN) == "" {
		t.Skip("run by TestOutboxProcesses")
	}
	for _, b := range backends {
		if string(b.dialect) == os.Getenv(outboxDialect) {
			s, _ := b.stores(t, os.Getenv(outboxDSN))
			claimAll(t, s)
		}
	}
}

// claimAll claims letters until there is none, prints their IDs, and finishes every other one. What it leaves
// is as a process leaves it that dies.
func claimAll(t *testing.T, s *sqlstore.DB) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for lane := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				lease := fmt.Sprintf("%d/%d/%d", os.Getpid(), lane, i)
				r, ok, err := s.Outbox().ClaimLetter(t.Context(), lease, outboxStart, outboxStart.Add(time.Hour))
				if err != nil || !ok {
					if err != nil {
						t.Errorf("ClaimLetter: %v", err)
					}
					return
				}
				mu.Lock()
				fmt.Println("claimed", r.ID)
				mu.Unlock()
				if i%2 == 0 {
					ok, err := s.Outbox().FinishLetter(t.Context(), r.ID, lease)
					if err != nil || !ok {
						t.Errorf("FinishLetter: %v, %v", ok, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// Each letter is claimed once, whatever the number of processes.
func TestOutboxProcesses(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	each(t, func(t *testing.T, b backend) {
		dsn := b.make(t)
		s, _ := b.stores(t, dsn)
		const letters = 120
		for i := range letters {
			require.NoError(t, s.Outbox().AddLetter(t.Context(), outbox.Record{
				ID: fmt.Sprintf("l-%03d", i), Kind: "auth.reset", Sealed: []byte("x"),
				Created: outboxStart, Due: outboxStart, Expires: outboxStart.Add(time.Hour),
			}))
		}
		var outputs [4][]byte
		var errs [4]error
		var wg sync.WaitGroup
		for i := range outputs {
			wg.Go(func() {
				cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestOutboxProcess$", "-test.count=1")
				cmd.Env = append(os.Environ(), outboxDialect+"="+string(b.dialect), outboxDSN+"="+dsn)
				outputs[i], errs[i] = cmd.CombinedOutput()
			})
		}
		wg.Wait()
		claimed := make(map[string]int)
		for i, out := range outputs {
			require.NoError(t, errs[i], "%s", out)
			for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
				if id, ok := strings.CutPrefix(lines.Text(), "claimed "); ok {
					claimed[id]++
				}
			}
		}
		require.Len(t, claimed, letters)
		for i := range letters {
			id := fmt.Sprintf("l-%03d", i)
			require.Equal(t, 1, claimed[id], id)
		}
		c, err := s.Outbox().CountLetters(t.Context())
		require.NoError(t, err)
		require.Positive(t, c.Waiting)
		left := c.Waiting
		for i := range left {
			r, ok, err := s.Outbox().ClaimLetter(t.Context(), fmt.Sprint(i), outboxStart.Add(time.Hour), outboxStart.Add(2*time.Hour))
			require.NoError(t, err)
			require.True(t, ok, "what dead processes held is free when its lease is over")
			require.Equal(t, 2, r.Tries)
		}
		_, ok, err := s.Outbox().ClaimLetter(t.Context(), "x", outboxStart.Add(time.Hour), outboxStart.Add(2*time.Hour))
		require.NoError(t, err)
		require.False(t, ok)
	})
}
