// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/adapters/redisstore"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/stretchr/testify/require"
)

const (
	// childVariable holds the prefix of the child processes that TestProcesses starts.
	childVariable = "PORTALSEC_TEST_CHILD_PREFIX"
	processes     = 4
	// goroutines is how many of each process race.
	goroutines = 8
)

// order is what a child process is to do, with all its goroutines.
type order struct {
	Do      string
	ID      string // of the session, and of its token
	Next    string // new token's
	Version int64
}

type answer struct {
	Wins  int
	Error string
}

func token(id string) session.Hash { return sha256.Sum256([]byte(id)) }

func obey(ctx context.Context, db *redisstore.DB, o order) (a answer) {
	s := db.Sessions()
	act := func(int) (bool, error) {
		_, err := s.TouchSession(ctx, token(o.ID), session.Touch{
			Now: now.Add(time.Minute), AliveAfter: now.Add(-time.Hour), WriteBefore: now.Add(time.Minute),
		})
		return err == nil, err
	}
	switch o.Do {
	case "touch":
	case "rotate":
		act = func(int) (bool, error) {
			next := record("ann", o.ID)
			next.Token = token(o.Next)
			err := s.RotateSession(ctx, token(o.ID), next)
			return err == nil, err
		}
	case "data":
		act = func(i int) (bool, error) {
			return s.SetSessionData(ctx, token(o.ID), []byte("data"), fmt.Appendf(nil, "%d/%d", os.Getpid(), i))
		}
	case "delete":
		act = func(int) (bool, error) { return s.DeleteSession(ctx, "acme", "ann", o.ID) }
	case "bump":
		act = func(i int) (bool, error) {
			if i > 0 {
				return false, nil
			}
			n, err := s.BumpUser(ctx, "acme", "ann", "")
			return n > 0, err
		}
	case "login":
		act = func(i int) (bool, error) {
			r := record("ann", fmt.Sprintf("%s/%d/%d", o.ID, os.Getpid(), i))
			r.Token = token(r.ID)
			err := s.CreateSession(ctx, r, o.Version)
			return err == nil, err
		}
	case "guess":
		act = func(int) (bool, error) {
			d, err := db.Attempts().TakeAttempt(ctx, []throttle.Lane{lane(int(o.Version), capped), address(0, windowed)}, now)
			return d.Allowed, err
		}
	default:
		return answer{Error: "unknown order"}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range goroutines {
		wg.Go(func() {
			<-gate
			won, err := act(i)
			mu.Lock()
			defer mu.Unlock()
			if won {
				a.Wins++
			}
			if err != nil && !errors.Is(err, session.ErrNoSession) {
				a.Error = err.Error()
			}
		})
	}
	close(gate)
	wg.Wait()
	return a
}

// TestProcessChild is the child process: it obeys orders, one JSON object in a line.
func TestProcessChild(t *testing.T) {
	prefix := os.Getenv(childVariable)
	if prefix == "" {
		t.Skip("it is started by TestProcesses")
	}
	db, err := redisstore.New(t.Context(), client(t, sharedURL(t)), redisstore.Config{Prefix: prefix})
	require.NoError(t, err)
	in := json.NewDecoder(os.Stdin)
	for {
		var o order
		if err := in.Decode(&o); err == io.EOF {
			return
		} else {
			require.NoError(t, err)
		}
		line, err := json.Marshal(obey(t.Context(), db, o))
		require.NoError(t, err)
		fmt.Println(string(line))
	}
}

// child is another process on the same server.
type child struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

func startChild(t *testing.T, prefix string) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessChild$")
	cmd.Env = append(os.Environ(), childVariable+"="+prefix)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	return &child{in, bufio.NewScanner(out)}
}

func (c *child) send(t *testing.T, o order) {
	t.Helper()
	require.NoError(t, json.NewEncoder(c.in).Encode(o))
}

func (c *child) receive(t *testing.T) int {
	t.Helper()
	require.True(t, c.out.Scan(), "the child process died: %v", c.out.Err())
	var a answer
	require.NoError(t, json.Unmarshal(c.out.Bytes(), &a), c.out.Text())
	require.Empty(t, a.Error)
	return a.Wins
}

func (c *child) ask(t *testing.T, o order) int {
	t.Helper()
	c.send(t, o)
	return c.receive(t)
}

// Several operating-system processes share one server: what may happen once happens once, and what one of them ends the
// very next request of every other one misses.
func TestProcesses(t *testing.T) {
	t.Parallel()
	db, _, prefix := open(t)
	s, ctx := db.Sessions(), t.Context()
	children := make([]*child, processes)
	for i := range children {
		children[i] = startChild(t, prefix)
	}
	// race gives each process an order at once, in turn, and tells the wins of each order.
	race := func(t *testing.T, orders ...order) map[string]int {
		t.Helper()
		for i, c := range children {
			c.send(t, orders[i%len(orders)])
		}
		wins := map[string]int{}
		for i, c := range children {
			wins[orders[i%len(orders)].Do] += c.receive(t)
		}
		return wins
	}
	const rounds = 20
	t.Run("one rotation", func(t *testing.T) {
		r := create(t, s, "ann", "r0")
		for i := range rounds {
			old, next := fmt.Sprint("r", i), fmt.Sprint("r", i+1)
			require.Equal(t, 1, race(t, order{Do: "rotate", ID: old, Next: next})["rotate"])
			for _, c := range children {
				require.Zero(t, c.ask(t, order{Do: "touch", ID: old}))
				require.Equal(t, goroutines, c.ask(t, order{Do: "touch", ID: next}))
			}
		}
		ok, err := s.DeleteSession(ctx, "acme", "ann", r.ID)
		require.NoError(t, err)
		require.True(t, ok)
	})
	t.Run("one change of data", func(t *testing.T) {
		for i := range rounds {
			id := fmt.Sprint("v", i)
			create(t, s, "ann", id)
			require.Equal(t, 1, race(t, order{Do: "data", ID: id})["data"])
		}
	})
	t.Run("one deletion, and no use brings a session back", func(t *testing.T) {
		for i := range rounds {
			id, next := fmt.Sprint("d", i), fmt.Sprint("dn", i)
			create(t, s, "ann", id)
			wins := race(t, order{Do: "touch", ID: id}, order{Do: "delete", ID: id}, order{Do: "rotate", ID: id, Next: next})
			require.Equal(t, 1, wins["delete"])
			require.LessOrEqual(t, wins["rotate"], 1)
			for _, c := range children {
				require.Zero(t, c.ask(t, order{Do: "touch", ID: id}))
				require.Zero(t, c.ask(t, order{Do: "touch", ID: next}))
			}
		}
	})
	t.Run("no login under way outlives the end of all sessions", func(t *testing.T) {
		for i := range rounds {
			v, err := s.UserVersion(ctx, "acme", "ann")
			require.NoError(t, err)
			race(t, order{Do: "login", ID: fmt.Sprint("l", i), Version: v}, order{Do: "bump"})
			list, err := s.ListSessions(ctx, "acme", "ann")
			require.NoError(t, err)
			require.Empty(t, list)
		}
	})
	t.Run("the next request of another process", func(t *testing.T) {
		for i := range rounds {
			id := fmt.Sprint("n", i)
			create(t, s, "ann", id)
			for _, c := range children {
				require.Equal(t, goroutines, c.ask(t, order{Do: "touch", ID: id}))
			}
			require.Equal(t, 1, children[i%processes].ask(t, order{Do: "bump"}))
			for _, c := range children {
				require.Zero(t, c.ask(t, order{Do: "touch", ID: id}))
			}
		}
	})
	t.Run("ten guesses at a name", func(t *testing.T) {
		for i := range 5 {
			require.Equal(t, capped.Cap, race(t, order{Do: "guess", Version: int64(i)})["guess"])
		}
	})
}
