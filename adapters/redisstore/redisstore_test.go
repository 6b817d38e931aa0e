// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/portalsec/portalsec/adapters/redisstore"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/session/sessiontest"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/auth/throttle/throttletest"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

const (
	urlVariable = "PORTALSEC_TEST_REDIS"
	defaultURL  = "redis://127.0.0.1:6379/15"
)

// sharedURL gives the URL of the server that all tests share. Without one it skips the test, or fails it when the
// variable names one.
func sharedURL(t testing.TB) string {
	t.Helper()
	url, must := os.LookupEnv(urlVariable)
	if !must {
		url = defaultURL
	}
	c := client(t, url)
	if err := c.Ping(t.Context()).Err(); err != nil {
		if must {
			t.Fatalf("%s: %v", urlVariable, err)
		}
		t.Skipf("no Redis at %s: set %s to the URL of one", defaultURL, urlVariable)
	}
	return url
}

// client gives a client with the settings of Options.
func client(t testing.TB, url string) *redis.Client {
	t.Helper()
	o, err := redisstore.Options(url)
	require.NoError(t, err)
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// newPrefix gives a prefix of the test's own on the shared server, whose keys are removed after it.
func newPrefix(t testing.TB, c *redis.Client) string {
	t.Helper()
	prefix := "test:" + rand.Text()
	t.Cleanup(func() {
		for _, k := range keys(t, c, prefix) {
			require.NoError(t, c.Del(context.Background(), k).Err())
		}
	})
	return prefix
}

// keys gives all keys with a prefix.
func keys(t testing.TB, c *redis.Client, prefix string) (all []string) {
	t.Helper()
	ctx := context.Background() // also when the test has ended
	for i := c.Scan(ctx, 0, prefix+":*", 1000).Iterator(); i.Next(ctx); {
		all = append(all, i.Val())
	}
	return all
}

// open gives stores of the test's own on the shared server.
func open(t testing.TB) (db *redisstore.DB, c *redis.Client, prefix string) {
	t.Helper()
	c = client(t, sharedURL(t))
	prefix = newPrefix(t, c)
	db, err := redisstore.New(t.Context(), c, redisstore.Config{Prefix: prefix})
	require.NoError(t, err)
	return db, c, prefix
}

func TestSessions(t *testing.T) {
	t.Parallel()
	sharedURL(t)
	sessiontest.Run(t, func(t *testing.T) session.Store {
		db, _, _ := open(t)
		return db.Sessions()
	})
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	sharedURL(t)
	throttletest.Run(t, func(t *testing.T) throttle.Store {
		db, _, _ := open(t)
		return db.Attempts()
	})
}

// server is a Redis of the test's own, which may be stopped and started again.
type server struct {
	t    *testing.T
	dir  string
	port int
	args []string
	cmd  *exec.Cmd
}

// startServer starts one. Without a redis-server it skips the test, or fails it in CI.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("no redis-server: install it (Debian: apt-get install redis-server)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{t: t, dir: t.TempDir(), port: l.Addr().(*net.TCPAddr).Port, args: args}
	require.NoError(t, l.Close())
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) url() string { return fmt.Sprintf("redis://127.0.0.1:%d/0", s.port) }

// start starts the server and waits until it answers.
func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", append([]string{
		"--bind", "127.0.0.1", "--port", fmt.Sprint(s.port), "--dir", s.dir, "--save", "", "--loglevel", "warning",
	}, s.args...)...)
	require.NoError(s.t, s.cmd.Start())
	c := client(s.t, s.url())
	require.Eventually(s.t, func() bool { return c.Ping(s.t.Context()).Err() == nil }, 10*time.Second, 5*time.Millisecond)
}

// kill ends the server at once, as a crash does.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// stop makes the server hang, resume lets it go on.
func (s *server) stop()   { require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGSTOP)) }
func (s *server) resume() { require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGCONT)) }

// silent keeps the driver from telling each failure that the tests ask for.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	os.Exit(m.Run())
}
