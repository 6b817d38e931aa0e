// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

// childVariable names what this test binary does in place of its tests: some things hold for a whole process.
const childVariable = "PORTALSEC_PASSWORD_CHILD"

func TestMain(m *testing.M) {
	child, ok := map[string]func() error{"fips": fipsChild, "heap": heapChild}[os.Getenv(childVariable)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := child(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runChild(t *testing.T, name string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), childVariable+"="+name), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// Under GODEBUG=fips140=only PBKDF2 does all that the package does, lists of breached passwords included, and Argon2id is
// refused in words.
func TestFIPSOnly(t *testing.T) {
	t.Parallel()
	require.Equal(t, "done\n", runChild(t, "fips", "GODEBUG=fips140=only"))
}

func fipsChild() error {
	ctx := context.Background()
	for _, c := range []password.Config{{}, {Profile: 3}, {InsecureFast: true, Memory: 64, Time: 1}} {
		if _, err := password.New(c); err == nil || !strings.Contains(err.Error(), "set Config.FIPS") {
			return fmt.Errorf("New(%v) = %v", c, err)
		}
	}
	h, err := password.New(password.Config{FIPS: true})
	if err != nil {
		return err
	}
	for _, pw := range []string{"a", right, strings.Repeat("x", password.MaxBytes)} {
		stored, err := h.Hash(ctx, pw)
		if err != nil {
			return err
		}
		if res, err := h.Verify(ctx, stored, pw); err != nil || res != (password.Result{OK: true}) {
			return fmt.Errorf("right: %v %v", res, err)
		}
		if res, err := h.Verify(ctx, stored, pw[1:]+"?"); err != nil || res.OK {
			return fmt.Errorf("wrong: %v %v", res, err)
		}
	}
	if err := h.VerifyUnknown(ctx, right); err != nil {
		return err
	}
	if res, err := h.Verify(ctx, "pbkdf2_sha256$260000$m5xRw6QLOHkTG3pqQjfcrl$Ie+Dd3oXPTK0qDTinign8sA962S08Ko+0w6KcyBflYE=", right); err != nil || !res.NeedsRehash {
		return fmt.Errorf("Django: %v %v", res, err)
	}
	// Not approved, and a salt that is too short for this mode.
	for _, stored := range []string{good, goodBcrypt, goodScrypt, goodDjango} {
		if res, err := h.Verify(ctx, stored, right); !errors.Is(err, password.ErrHash) || res.OK {
			return fmt.Errorf("%s: %v %v", stored, res, err)
		}
	}
	p, err := password.NewPolicy(password.PolicyConfig{})
	if err != nil {
		return err
	}
	if err := p.Check(ctx, "passwordpassword"); err == nil || !strings.Contains(err.Error(), "common") {
		return fmt.Errorf("policy: %v", err)
	}
	if s := password.Estimate("passwordpassword"); s.Score != 0 {
		return fmt.Errorf("estimate: %v", s)
	}
	fmt.Println("done")
	return nil
}

// 500 sign-ins at once with the default cost: under 256 MiB of heap, and whoever finds the queue full is told so. An unbounded
// hasher needs 9.5 GiB.
func TestHeap(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: computes some hundred hashes of the full cost")
	}
	if raceEnabled {
		t.Skip("-race: the race detector's own memory would be measured")
	}
	out := runChild(t, "heap", "GOMAXPROCS=4", "GOGC=100", "GOMEMLIMIT=off")
	var peakInUse, peakSys uint64
	var done, busy int
	_, err := fmt.Sscanf(out, "in use %d, from the system %d, done %d, busy %d\n", &peakInUse, &peakSys, &done, &busy)
	require.NoError(t, err, out)
	t.Log(strings.TrimSpace(out))
	require.Equal(t, 500, done+busy)
	require.NotZero(t, busy, "no queue overflowed")
	require.GreaterOrEqual(t, done, 99, "three slots and their queue: that many are admitted at once")
	require.Greater(t, peakInUse, uint64(19<<20), "nothing was measured")
	require.Less(t, peakInUse, uint64(256<<20))
	require.Less(t, peakSys, uint64(256<<20))
}

func heapChild() error {
	ctx := context.Background()
	h, err := password.New(password.Config{})
	if err != nil {
		return err
	}
	stored, err := h.Hash(ctx, right)
	if err != nil {
		return err
	}
	debug.FreeOSMemory()
	start := make(chan struct{})
	var wg sync.WaitGroup
	var done, busy, failed atomic.Int32
	for i := range 500 {
		wg.Go(func() {
			<-start
			var err error
			if i%10 == 0 {
				_, err = h.Hash(ctx, right)
			} else {
				_, err = h.Verify(ctx, stored, right)
			}
			switch {
			case err == nil:
				done.Add(1)
			case errors.Is(err, password.ErrBusy):
				busy.Add(1)
			default:
				failed.Add(1)
			}
		})
	}
	finished := make(chan struct{})
	close(start)
	go func() { wg.Wait(); close(finished) }()
	var peakInUse, peakSys uint64
	for tick := time.NewTicker(time.Millisecond); ; {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peakInUse, peakSys = max(peakInUse, m.HeapInuse), max(peakSys, m.HeapSys-m.HeapReleased)
		select {
		case <-tick.C:
			continue
		case <-finished:
		}
		break
	}
	if n := failed.Load(); n > 0 {
		return fmt.Errorf("%d failed", n)
	}
	fmt.Printf("in use %d, from the system %d, done %d, busy %d\n", peakInUse, peakSys, done.Load(), busy.Load())
	return nil
}
