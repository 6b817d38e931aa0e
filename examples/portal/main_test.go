// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The tests drive the real program: they build it once, start it as a process of its own on a free port, and
// talk to it over HTTP or through a browser.

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "portal-test")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "portal")
	build := exec.Command("go", "build", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// portal is a running process.
type portal struct {
	t    *testing.T
	url  string
	data string
	cmd  *exec.Cmd
	done chan error    // the end of the process, for one reader
	gone chan struct{} // closed after it

	mu     sync.Mutex
	stdout []string
	stderr bytes.Buffer
}

// Write takes the process's stderr.
func (p *portal) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

func (p *portal) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// start runs the portal on a data folder until the test ends.
func start(t *testing.T, data string, flags ...string) *portal {
	t.Helper()
	p := &portal{t: t, data: data, done: make(chan error, 1), gone: make(chan struct{})}
	p.cmd = exec.Command(binary, append([]string{"-addr", "127.0.0.1:0", "-data", data}, flags...)...)
	p.cmd.Stderr = p
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.mu.Lock()
			p.stdout = append(p.stdout, lines.Text())
			p.mu.Unlock()
			if u, ok := strings.CutPrefix(lines.Text(), "Portal ready: "); ok {
				ready <- strings.TrimSuffix(u, "/")
			}
		}
		p.done <- p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.gone // before its folder is removed
		if t.Failed() {
			t.Logf("portal's log:\n%s", p.log())
		}
	})
	select {
	case p.url = <-ready:
	case err := <-p.done:
		t.Fatalf("the portal ended: %v\n%s", err, p.log())
	case <-time.After(time.Minute):
		t.Fatalf("the portal did not start:\n%s", p.log())
	}
	return p
}

// stop ends the process as Ctrl-C does and gives its exit code.
func (p *portal) stop() int {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(os.Interrupt))
	return p.wait()
}

func (p *portal) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		p.t.Fatalf("the portal did not stop:\n%s", p.log())
		return -1
	}
}

// account is one line of demo-accounts.json.
type account struct{ Email, Password, Role, Tenant string }

func (p *portal) account(tenant, role string) account {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.data, "demo-accounts.json"))
	require.NoError(p.t, err)
	var list []account
	require.NoError(p.t, json.Unmarshal(b, &list))
	for _, a := range list {
		if a.Tenant == tenant && a.Role == role {
			return a
		}
	}
	p.t.Fatalf("no account for %s of %s", role, tenant)
	return account{}
}

// client is somebody's program or browser: it has cookies of its own and follows no redirect.
type client struct {
	p      *portal
	http   *http.Client
	header http.Header
}

func (p *portal) client() *client {
	jar, err := cookiejar.New(nil)
	require.NoError(p.t, err)
	return &client{p: p, header: http.Header{}, http: &http.Client{Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as gives a client that is signed in with the password.
func (p *portal) as(tenant, role string) *client {
	p.t.Helper()
	c := p.client()
	require.Equal(p.t, "session", c.login(p.account(tenant, role)))
	return c
}

type response struct {
	status int
	header http.Header
	body   string
}

func (c *client) do(method, path, contentType string, body io.Reader) response {
	c.p.t.Helper()
	req, err := http.NewRequestWithContext(c.p.t.Context(), method, c.p.url+path, body)
	require.NoError(c.p.t, err)
	for k, v := range c.header {
		req.Header[k] = v
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.http.Do(req)
	require.NoError(c.p.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(c.p.t, err)
	return response{res.StatusCode, res.Header, string(b)}
}

func (c *client) get(path string) response {
	c.p.t.Helper()
	return c.do(http.MethodGet, path, "", nil)
}

func (c *client) post(path string, fields ...string) response {
	c.p.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return c.do(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

// call posts JSON and reads JSON.
func (c *client) call(path string, in any) (int, map[string]any) {
	c.p.t.Helper()
	b, err := json.Marshal(in)
	require.NoError(c.p.t, err)
	res := c.do(http.MethodPost, path, "application/json", bytes.NewReader(b))
	out := map[string]any{}
	if res.body != "" {
		require.NoError(c.p.t, json.Unmarshal([]byte(res.body), &out), res.body)
	}
	return res.status, out
}

// login signs in over the API and gives what comes next.
func (c *client) login(a account) string {
	c.p.t.Helper()
	status, out := c.call("/api/login", map[string]string{"email": a.Email, "password": a.Password})
	require.Equal(c.p.t, http.StatusOK, status, out)
	return out["next"].(string)
}
