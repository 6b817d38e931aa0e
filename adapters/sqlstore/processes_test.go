// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/mfa"
	"github.com/portalsec/portalsec/rbac"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

const (
	// processDB names the database of the child processes that TestProcesses starts: its dialect and data source name.
	processDB = "PORTALSEC_TEST_PROCESS_DB"
	processes = 4
	// lanes is how many goroutines of each process race.
	lanes = 8

	goodPassword = "olive tractor winter 9"
)

// processNow is the time in all processes, so that a code stays good however slow the machine is.
var processNow = time.Date(2026, 3, 1, 12, 0, 15, 0, time.UTC)

var ticketRead = rbac.Permission("ticket.read", "read tickets")

// portal is all that signs in and decides, on one database.
type portal struct {
	auth     *auth.Auth
	sessions *session.Manager
	mfa      *mfa.Manager
	rbac     *rbac.Engine
	factors  *sqlstore.Factors
	oneTime  *sqlstore.OneTime
}

func openPortal(t *testing.T, b backend, dsn string) *portal {
	t.Helper()
	s, _ := b.stores(t, dsn)
	clock := portalsec.Clock(func() time.Time { return processNow })

	p := &portal{factors: s.Factors(), oneTime: s.OneTime()}
	var err error
	p.sessions, err = session.New(session.Config{Store: s.Sessions(), Clock: clock, Audit: audit.Discard})
	require.NoError(t, err)
	p.mfa, err = mfa.New(mfa.Config{Store: p.factors, Sealer: plain{}, Issuer: "Acme", Clock: clock, Audit: audit.Discard})
	require.NoError(t, err)
	catalog, err := rbac.NewCatalog(ticketRead)
	require.NoError(t, err)
	p.rbac, err = rbac.Open(t.Context(), catalog, rbac.Config{
		Policy:      fstest.MapFS{"policy.yaml": {Data: []byte("roles: {agent: {allow: [ticket.read]}, lead: {may_grant: [agent]}}")}},
		Assignments: s.Assignments(), Clock: clock, Audit: audit.Discard,
	})
	require.NoError(t, err)
	hasher, err := password.New(password.Config{Memory: 64, Time: 1, InsecureFast: true})
	require.NoError(t, err)
	policy, err := password.NewPolicy(password.PolicyConfig{})
	require.NoError(t, err)
	limit, err := throttle.New(throttle.Config{Store: s.Attempts(), Key: make([]byte, 32), Clock: clock})
	require.NoError(t, err)
	p.auth, err = auth.New(auth.Config{
		Accounts: s.Accounts(), OneTime: p.oneTime, Profile: indexed{}, Hasher: hasher, Policy: policy,
		Sessions: p.sessions, Throttle: limit, Roles: p.rbac, SecondFactor: p.mfa, Clock: clock, Audit: audit.Discard,
	})
	require.NoError(t, err)
	return p
}

// indexed is an auth.Protector that seals nothing.
type indexed struct{ plain }

func (indexed) Index(_ context.Context, _, value string) ([]byte, error) {
	h := hmac.New(sha256.New, []byte("index"))
	h.Write([]byte(strings.ToLower(value)))
	return h.Sum(nil), nil
}

func (i indexed) Candidates(ctx context.Context, tenant, value string) ([][]byte, error) {
	index, err := i.Index(ctx, tenant, value)
	return [][]byte{index}, err
}

// order is one line to a child process: what to do, as whom.
type order struct {
	Do, User, Code string
	Purpose        auth.Purpose
	Token          auth.TokenHash
	Cookies        map[string]string
}

// answer is one line from a child process.
type answer struct {
	Wins    int
	Error   string            // of a kind that no loser gets
	Cookies map[string]string // that a winner got
	Roles   []string
	Allowed bool
}

func requestWith(ctx context.Context, cookies map[string]string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, "POST", "/", nil)
	for name, value := range cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

// merge gives cookies as a browser has them after a response.
func merge(cookies map[string]string, w *httptest.ResponseRecorder) map[string]string {
	merged := map[string]string{}
	for name, value := range cookies {
		merged[name] = value
	}
	for _, c := range w.Result().Cookies() {
		merged[c.Name] = c.Value
	}
	return merged
}

// race does an act in several goroutines of this process and counts who won. Losers must get one of the errors.
func race(act func(w http.ResponseWriter) error, losers ...error) (a answer) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range lanes {
		wg.Go(func() {
			w := httptest.NewRecorder()
			err := act(w)
			mu.Lock()
			defer mu.Unlock()
			var throttled *mfa.ThrottledError
			lost := errors.As(err, &throttled)
			for _, l := range losers {
				lost = lost || errors.Is(err, l)
			}
			switch {
			case err == nil:
				a.Wins++
				a.Cookies = merge(nil, w)
			case !lost:
				a.Error = err.Error()
			}
		})
	}
	wg.Wait()
	return a
}

func (p *portal) obey(ctx context.Context, o order) answer {
	user := mfa.User{Tenant: "acme", ID: o.User, Label: o.User, Visit: "s"}
	proof := portalsec.FactorProof{Kind: portalsec.FactorTOTP, At: processNow}
	switch o.Do {
	case "complete":
		return race(func(w http.ResponseWriter) error {
			_, err := p.auth.CompleteLogin(ctx, w, requestWith(ctx, o.Cookies), proof)
			return err
		}, auth.ErrNoPending)
	case "consume":
		return race(func(http.ResponseWriter) error {
			won, err := p.oneTime.ConsumeOneTime(ctx, o.Purpose, o.Token)
			if err == nil && !won {
				return auth.ErrNoToken
			}
			return err
		}, auth.ErrNoToken)
	case "code":
		return race(func(http.ResponseWriter) error {
			_, err := p.mfa.Verify(ctx, user, o.Code)
			return err
		}, mfa.ErrCode)
	case "guess":
		// Who is let through to the hash wins.
		return race(func(w http.ResponseWriter) error {
			_, err := p.auth.Login(ctx, w, requestWith(ctx, nil), auth.Credentials{Email: o.User, Password: "wrong"})
			var throttled *auth.ThrottledError
			if errors.Is(err, auth.ErrLoginRefused) && !errors.As(err, &throttled) {
				return nil
			}
			return err
		}, auth.ErrLoginRefused)
	case "rotate":
		return race(func(w http.ResponseWriter) error {
			_, err := p.sessions.Rotate(ctx, w, requestWith(ctx, o.Cookies), proof)
			return err
		}, session.ErrNoSession)
	case "visit":
		var a answer
		principal, err := p.auth.Principal(requestWith(ctx, o.Cookies))
		switch {
		case errors.Is(err, auth.ErrNoSession):
			return a
		case err != nil:
			a.Error = err.Error()
			return a
		}
		a.Wins, a.Roles = 1, principal.Roles
		a.Allowed = p.rbac.Check(portalsec.WithPrincipal(ctx, principal), ticketRead, nil) == nil
		return a
	case "assign":
		return failing(p.rbac.AssignWithoutGrantor(ctx, rbac.Assignment{Tenant: "acme", Subject: o.User, Role: "agent", Scope: "acme"}))
	case "unassign":
		lead := portalsec.WithPrincipal(ctx, portalsec.Principal{ID: "lead", Tenant: "acme"})
		return failing(p.rbac.Unassign(lead, "acme", o.User, "agent", "acme"))
	case "revoke":
		_, err := p.sessions.RevokeUser(ctx, "acme", o.User, "")
		return failing(err)
	case "disable":
		return failing(p.auth.SetDisabled(ctx, o.User, true))
	}
	return answer{Error: "unknown order " + o.Do}
}

func failing(err error) (a answer) {
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// TestProcessChild is the child process: it opens the database and obeys orders, one JSON object in a line.
func TestProcessChild(t *testing.T) {
	dialect, dsn, found := strings.Cut(os.Getenv(processDB), " ")
	if !found {
		t.Skip("it is started by TestProcesses")
	}
	i := slices.IndexFunc(backends, func(b backend) bool { return string(b.dialect) == dialect })
	require.GreaterOrEqual(t, i, 0)
	p := openPortal(t, backends[i], dsn)
	fmt.Println(`{}`)
	in := json.NewDecoder(os.Stdin)
	for {
		var o order
		if err := in.Decode(&o); err == io.EOF {
			return
		} else {
			require.NoError(t, err)
		}
		line, err := json.Marshal(p.obey(t.Context(), o))
		require.NoError(t, err)
		fmt.Println(string(line))
	}
}

// child is a process of its own on the same database.
type child struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

func startChild(t *testing.T, b backend, dsn string) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessChild$")
	cmd.Env = append(os.Environ(), processDB+"="+string(b.dialect)+" "+dsn)
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

func (c *child) receive(t *testing.T) answer {
	t.Helper()
	require.True(t, c.out.Scan(), "the child process died: %v", c.out.Err())
	var a answer
	if err := json.Unmarshal(c.out.Bytes(), &a); err != nil {
		said := []string{c.out.Text()}
		for c.out.Scan() {
			said = append(said, c.out.Text())
		}
		t.Fatalf("a child process failed:\n%s", strings.Join(said, "\n"))
	}
	require.Empty(t, a.Error)
	return a
}

func (c *child) ask(t *testing.T, o order) answer {
	t.Helper()
	c.send(t, o)
	return c.receive(t)
}

// Several operating-system processes share one database: what may happen once happens once, and what one process
// ends or changes, the very next request of every other one sees.
func TestProcesses(t *testing.T) { each(t, testProcesses) }

func testProcesses(t *testing.T, b backend) {
	dsn := b.make(t)
	children := make([]*child, processes)
	for i := range children {
		children[i] = startChild(t, b, dsn) // all of them find no schema yet
	}
	for _, c := range children {
		c.receive(t)
	}
	p := openPortal(t, b, dsn)
	ctx := t.Context()
	// everyone has all processes race with one order, and gives the answers of the winners as one.
	everyone := func(t *testing.T, o order) answer {
		t.Helper()
		for _, c := range children {
			c.send(t, o)
		}
		var winner answer
		for _, c := range children {
			if a := c.receive(t); a.Wins > 0 {
				a.Wins += winner.Wins
				winner = a
			}
		}
		return winner
	}
	one := func(t *testing.T, o order) answer {
		t.Helper()
		a := everyone(t, o)
		require.Equal(t, 1, a.Wins, o.Do)
		return a
	}
	acc, err := p.auth.CreateAccount(ctx, auth.NewAccount{Tenant: "acme", Email: "ann@acme.test", Name: "Ann", Password: goodPassword})
	require.NoError(t, err)
	require.NoError(t, p.rbac.AssignWithoutGrantor(ctx, rbac.Assignment{Tenant: "acme", Subject: "lead", Role: "lead", Scope: "acme"}))

	// signIn gives the cookies of a session that one of the racing processes started.
	signIn := func(t *testing.T) map[string]string {
		t.Helper()
		w := httptest.NewRecorder()
		out, err := p.auth.Login(ctx, w, requestWith(ctx, nil), auth.Credentials{Email: acc.Email, Password: goodPassword})
		require.NoError(t, err)
		require.NotEqual(t, auth.NextSession, out.Next)
		return one(t, order{Do: "complete", Cookies: merge(nil, w)}).Cookies
	}
	const rounds = 10
	t.Run("one pending login", func(t *testing.T) {
		for range rounds {
			signIn(t)
		}
		list, err := p.sessions.List(ctx, "acme", acc.ID)
		require.NoError(t, err)
		require.Len(t, list, rounds)
	})
	t.Run("one token of each purpose", func(t *testing.T) {
		for _, purpose := range []auth.Purpose{auth.PurposeLogin, auth.PurposeReset, auth.PurposeRegistration,
			auth.PurposeInvitation, auth.PurposeEmail, auth.PurposeNotMe} {
			for i := range rounds {
				token := sha256.Sum256(fmt.Append(nil, purpose, i))
				require.NoError(t, p.oneTime.CreateOneTime(ctx, auth.OneTimeRecord{Token: token, Purpose: purpose, Account: acc.ID, Expires: processNow}))
				one(t, order{Do: "consume", Purpose: purpose, Token: token})
			}
		}
	})
	t.Run("one session rotation", func(t *testing.T) {
		cookies := signIn(t)
		for range rounds {
			next := one(t, order{Do: "rotate", Cookies: cookies}).Cookies
			for _, c := range children {
				require.Zero(t, c.ask(t, order{Do: "visit", Cookies: cookies}).Wins, "the old token is dead everywhere")
				require.Equal(t, 1, c.ask(t, order{Do: "visit", Cookies: next}).Wins)
			}
			cookies = next
		}
	})
	t.Run("one TOTP step and one recovery code", func(t *testing.T) {
		for i := range rounds {
			user := mfa.User{Tenant: "acme", ID: fmt.Sprint("u", i), Label: "u", Visit: "s"}
			e, err := p.mfa.BeginTOTP(ctx, user)
			require.NoError(t, err)
			code := func(at time.Time) string {
				code, err := totp.GenerateCode(e.Secret, at)
				require.NoError(t, err)
				return code
			}
			// The step before is the enrolment's, so that the present one is still to be consumed.
			recovery, err := p.mfa.ConfirmTOTP(ctx, user, code(processNow.Add(-30*time.Second)))
			require.NoError(t, err)
			for _, code := range []string{code(processNow), recovery[0]} {
				one(t, order{Do: "code", User: user.ID, Code: code})
				// The losers' tries count, and would keep the next code from being looked at.
				require.NoError(t, p.factors.ClearTries(ctx, user.Tenant, user.ID))
			}
		}
	})
	t.Run("the next request of another process", func(t *testing.T) {
		cookies := signIn(t)
		visit := func(i int) answer {
			return children[i%processes].ask(t, order{Do: "visit", Cookies: cookies})
		}
		for i := range rounds {
			children[i%processes].ask(t, order{Do: "assign", User: acc.ID})
			for j := 1; j < processes; j++ {
				a := visit(i + j)
				require.True(t, a.Allowed)
				require.Equal(t, []string{"agent"}, a.Roles)
			}
			children[i%processes].ask(t, order{Do: "unassign", User: acc.ID})
			for j := 1; j < processes; j++ {
				a := visit(i + j)
				require.Equal(t, 1, a.Wins, "still signed in")
				require.False(t, a.Allowed)
				require.Empty(t, a.Roles)
			}
		}
		for i := range rounds {
			children[i%processes].ask(t, order{Do: "revoke", User: acc.ID})
			for j := range processes {
				require.Zero(t, visit(i+j).Wins)
			}
			cookies = signIn(t)
			require.Equal(t, 1, visit(i).Wins)
		}
		children[0].ask(t, order{Do: "disable", User: acc.ID})
		for j := range processes {
			require.Zero(t, visit(j).Wins)
		}
	})
	t.Run("five guesses at a name", func(t *testing.T) {
		for i := range 5 { // all of them come from one address, which has 50
			require.Equal(t, 5, everyone(t, order{Do: "guess", User: fmt.Sprintf("nobody%d@acme.test", i)}).Wins)
		}
	})
}
