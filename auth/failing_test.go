// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/stretchr/testify/require"
)

// fault makes one call of a store fail, or hang until its context ends.
type fault struct {
	at   int // which one, from 1; 0 for none
	hang bool
	n    int // calls so far
}

func (f *fault) step(ctx context.Context) error {
	if f.n++; f.n != f.at {
		return nil
	}
	if f.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return errBroken
}

// The stores and the mailer with a fault in them.
type (
	failingAccounts struct {
		auth.AccountStore
		*fault
	}
	failingTokens struct {
		auth.OneTimeStore
		*fault
	}
	failingSessions struct {
		session.Store
		*fault
	}
	failingThrottle struct {
		throttle.Store
		*fault
	}
	failingMailer struct {
		portalsec.Mailer
		*fault
	}
	failingRecorder struct {
		audit.Recorder
		*fault
	}
)

func (s failingAccounts) Account(ctx context.Context, id string) (auth.AccountRecord, error) {
	if err := s.step(ctx); err != nil {
		return auth.AccountRecord{}, err
	}
	return s.AccountStore.Account(ctx, id)
}

func (s failingAccounts) AccountByLogin(ctx context.Context, candidates [][]byte) (auth.AccountRecord, error) {
	if err := s.step(ctx); err != nil {
		return auth.AccountRecord{}, err
	}
	return s.AccountStore.AccountByLogin(ctx, candidates)
}

func (s failingAccounts) CreateAccount(ctx context.Context, a auth.AccountRecord) error {
	if err := s.step(ctx); err != nil {
		return err
	}
	return s.AccountStore.CreateAccount(ctx, a)
}

func (s failingAccounts) SetPassword(ctx context.Context, id string, version int64, p auth.NewPassword) (bool, error) {
	if err := s.step(ctx); err != nil {
		return false, err
	}
	return s.AccountStore.SetPassword(ctx, id, version, p)
}

func (s failingAccounts) PasswordHistory(ctx context.Context, id string) ([]string, error) {
	if err := s.step(ctx); err != nil {
		return nil, err
	}
	return s.AccountStore.PasswordHistory(ctx, id)
}

func (s failingAccounts) SetLogin(ctx context.Context, id string, version int64, login, profile []byte) (bool, error) {
	if err := s.step(ctx); err != nil {
		return false, err
	}
	return s.AccountStore.SetLogin(ctx, id, version, login, profile)
}

func (s failingTokens) CreateOneTime(ctx context.Context, r auth.OneTimeRecord) error {
	if err := s.step(ctx); err != nil {
		return err
	}
	return s.OneTimeStore.CreateOneTime(ctx, r)
}

func (s failingTokens) OneTime(ctx context.Context, p auth.Purpose, token auth.TokenHash) (auth.OneTimeRecord, error) {
	if err := s.step(ctx); err != nil {
		return auth.OneTimeRecord{}, err
	}
	return s.OneTimeStore.OneTime(ctx, p, token)
}

func (s failingTokens) ConsumeOneTime(ctx context.Context, p auth.Purpose, token auth.TokenHash) (bool, error) {
	if err := s.step(ctx); err != nil {
		return false, err
	}
	return s.OneTimeStore.ConsumeOneTime(ctx, p, token)
}

func (s failingTokens) RevokeOneTime(ctx context.Context, account string, purposes ...auth.Purpose) (int64, error) {
	if err := s.step(ctx); err != nil {
		return 0, err
	}
	return s.OneTimeStore.RevokeOneTime(ctx, account, purposes...)
}

func (s failingSessions) BumpUser(ctx context.Context, tenant, user, except string) (int, error) {
	if err := s.step(ctx); err != nil {
		return 0, err
	}
	return s.Store.BumpUser(ctx, tenant, user, except)
}

func (s failingThrottle) TakeAttempt(ctx context.Context, lanes []throttle.Lane, now time.Time) (throttle.Decision, error) {
	if err := s.step(ctx); err != nil {
		return throttle.Decision{}, err
	}
	return s.Store.TakeAttempt(ctx, lanes, now)
}

func (s failingThrottle) ResetAccount(ctx context.Context, account throttle.Key) error {
	if err := s.step(ctx); err != nil {
		return err
	}
	return s.Store.ResetAccount(ctx, account)
}

func (m failingMailer) Queue(ctx context.Context, l portalsec.Letter) error {
	if err := m.step(ctx); err != nil {
		return err
	}
	return m.Mailer.Queue(ctx, l)
}

func (r failingRecorder) Record(ctx context.Context, e audit.Event) error {
	if e.Kind.Duty() == audit.Must && e.Kind != audit.AuthNoticeFailed {
		if err := r.step(ctx); err != nil {
			return err
		}
	}
	return r.Recorder.Record(ctx, e)
}

// setUpFault gives a portal of which every part can fail.
func setUpFault(t *testing.T) (mailing, *fault) {
	x := &fault{}
	f := setUpMail(t, func(c *auth.Config) {
		c.Accounts, c.OneTime = failingAccounts{c.Accounts, x}, failingTokens{c.OneTime, x}
		c.Mail, c.Audit = failingMailer{c.Mail, x}, failingRecorder{c.Audit, x}
		var err error
		c.Sessions, err = session.New(session.Config{Store: failingSessions{session.NewMemory(), x}, Clock: c.Clock, Audit: audit.Discard})
		require.NoError(t, err)
		c.Throttle, err = throttle.New(throttle.Config{Store: failingThrottle{throttle.NewMemory(), x}, Key: make([]byte, 32), Clock: c.Clock})
		require.NoError(t, err)
	})
	return f, x
}

// faulty is a flow in which something fails, and what a user does about it.
type faulty struct {
	name string
	// prepare gives the call.
	prepare func(f mailing) func(ctx context.Context) error
	// again brings the user where they wanted to be.
	again func(f mailing) error
}

var faultyFlows = []faulty{
	{"request reset", func(f mailing) func(context.Context) error {
		f.account()
		return func(ctx context.Context) error { return f.RequestReset(ctx, f.post(), address) }
	}, func(f mailing) error { return f.RequestReset(f.t.Context(), f.post(), address) }},

	{"compose reset", func(f mailing) func(context.Context) error {
		f.account()
		return func(ctx context.Context) error {
			_, err := f.Compose(ctx, portalsec.Letter{Kind: "auth.reset", To: address})
			return err
		}
	}, func(f mailing) error { return f.CompleteReset(f.t.Context(), f.post(), f.resetToken(), newPassword) }},

	{"complete reset", func(f mailing) func(context.Context) error {
		f.account()
		token := f.resetToken()
		return func(ctx context.Context) error { return f.CompleteReset(ctx, f.post(), token, newPassword) }
	}, func(f mailing) error {
		f.box.take()
		return f.CompleteReset(f.t.Context(), f.post(), f.resetToken(), "another one, quite long")
	}},

	{"force reset", func(f mailing) func(context.Context) error {
		a := f.account()
		return func(ctx context.Context) error { return f.ForceReset(ctx, a.ID) }
	}, func(f mailing) error {
		all, err := f.Accounts(f.t.Context(), "acme")
		require.NoError(f.t, err)
		f.box.take()
		require.NoError(f.t, f.ForceReset(f.t.Context(), all[0].ID))
		return f.CompleteReset(f.t.Context(), f.post(), f.token(f.mail(), "/reset"), newPassword)
	}},

	{"register", func(f mailing) func(context.Context) error {
		return func(ctx context.Context) error {
			return f.Register(ctx, f.post(), auth.NewRegistration{Email: address})
		}
	}, func(f mailing) error {
		_, err := f.CompleteRegistration(f.t.Context(), f.post(), f.registrationToken(), newPassword)
		return err
	}},

	{"complete registration", func(f mailing) func(context.Context) error {
		token := f.registrationToken()
		return func(ctx context.Context) error {
			_, err := f.CompleteRegistration(ctx, f.post(), token, newPassword)
			return err
		}
	}, func(f mailing) error {
		_, err := f.CompleteRegistration(f.t.Context(), f.post(), f.registrationToken(), newPassword)
		return err
	}},

	{"invite", func(f mailing) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := f.Invite(ctx, auth.NewInvitation{Email: address})
			return err
		}
	}, func(f mailing) error {
		_, token := f.invitationToken()
		_, err := f.AcceptInvitation(f.t.Context(), f.post(), token, newPassword)
		return err
	}},

	{"accept invitation", func(f mailing) func(context.Context) error {
		_, token := f.invitationToken()
		return func(ctx context.Context) error {
			_, err := f.AcceptInvitation(ctx, f.post(), token, newPassword)
			return err
		}
	}, func(f mailing) error {
		require.NoError(f.t, f.RequestReset(f.t.Context(), f.post(), address))
		m := f.mail()
		for p, path := range map[auth.Purpose]string{auth.PurposeInvitation: "/welcome", auth.PurposeReset: "/reset"} {
			if found := links.FindStringSubmatch(m.Text); found[1] == path {
				return f.use(p, found[2])
			}
		}
		return errBroken
	}},

	{"change e-mail", func(f mailing) func(context.Context) error {
		f.account()
		b := f.browser()
		b.mustLogin()
		p := b.wantSignedIn()
		return func(ctx context.Context) error {
			return f.ChangeEmail(portalsec.WithPrincipal(ctx, p), f.post(), goodPassword, newAddress)
		}
	}, func(f mailing) error {
		b := f.browser()
		b.mustLogin()
		f.box.take()
		return f.ConfirmEmail(f.t.Context(), f.post(), f.emailToken(b))
	}},

	{"confirm e-mail", func(f mailing) func(context.Context) error {
		f.account()
		b := f.browser()
		b.mustLogin()
		token := f.emailToken(b)
		return func(ctx context.Context) error { return f.ConfirmEmail(ctx, f.post(), token) }
	}, func(f mailing) error {
		b := f.browser()
		if _, err := b.loginAs(newAddress, goodPassword); err == nil {
			return nil // only what follows the change has failed
		}
		b.mustLogin()
		f.box.take()
		return f.ConfirmEmail(f.t.Context(), f.post(), f.emailToken(b))
	}},

	{"change password", func(f mailing) func(context.Context) error {
		f.account()
		b := f.browser()
		b.mustLogin()
		p := b.wantSignedIn()
		r := b.request("POST", "/")
		return func(ctx context.Context) error {
			return f.ChangePassword(portalsec.WithPrincipal(ctx, p), noWriter{}, r, goodPassword, newPassword)
		}
	}, func(f mailing) error {
		b := f.browser()
		if _, err := b.login(newPassword); err == nil {
			return nil
		}
		return b.login2(goodPassword)
	}},
}

type noWriter struct{}

func (noWriter) Header() http.Header         { return http.Header{} }
func (noWriter) Write(b []byte) (int, error) { return len(b), nil }
func (noWriter) WriteHeader(int)             {}

// TestFlowsWithFaults lets the first call of a store fail, then the second, and so on. Each time the answer is 503, nobody
// is let in, and the user can do it again.
func TestFlowsWithFaults(t *testing.T) {
	t.Parallel()
	for _, flow := range faultyFlows {
		t.Run(flow.name, func(t *testing.T) {
			t.Parallel()
			steps := withFaults(t, flow, false)
			require.Greater(t, steps, 1)
		})
	}
}

// TestFlowsThatHang lets a store not answer. A reader waits as long as its request, an act 15 seconds.
func TestFlowsThatHang(t *testing.T) {
	t.Parallel()
	for _, flow := range faultyFlows {
		t.Run(flow.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { withFaults(t, flow, true) })
		})
	}
}

func withFaults(t *testing.T, flow faulty, hang bool) (steps int) {
	for n := 1; ; n++ {
		require.Less(t, n, 50)
		f, x := setUpFault(t)
		act := flow.prepare(f)
		*x = fault{at: n, hang: hang}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		begun := time.Now()
		err := act(ctx)
		cancel()
		if x.n < n {
			require.NoError(t, err)
			return n - 1
		}
		require.LessOrEqual(t, time.Since(begun), 35*time.Second)
		notice := err == nil && len(f.events) > 0 && f.events[len(f.events)-1].Kind == audit.AuthNoticeFailed
		if !notice { // a notice that is lost stops nobody, and the log tells of it
			require.Error(t, err, "call %d", n)
			require.Equal(t, 503, auth.DenialOf(err).Status, "call %d: %v", n, err)
		}
		*x = fault{}
		f.wait(time.Hour)
		require.NoError(t, flow.again(f), "after call %d", n)
	}
}
