// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/stretchr/testify/require"
)

// races is how many races are run: no fewer than 10,000, unless time is short.
func races() int {
	if testing.Short() {
		return 500
	}
	return 10_000
}

// atOnce runs calls at once.
func atOnce(calls ...func()) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for _, call := range calls {
		wg.Go(func() { <-begin; call() })
	}
	close(begin)
	wg.Wait()
}

// rival is a browser at an address of its own, so that the failures of one race slow no other.
func (f *fixture) rival(i int) *browser {
	b := f.browser()
	b.addr = fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
	return b
}

// arrival tells when the next login has come to one of two points: its password is checked, or its session is about
// to start; and when over has been called. Without it most races would be won before they begin.
func (f *fixture) arrival(i int) (at chan struct{}, over func()) {
	var once sync.Once
	at = make(chan struct{})
	reached := func() { once.Do(func() { close(at) }) }
	f.onRoles, f.onMark = nil, nil
	if i%2 == 0 {
		f.onRoles = reached
	} else {
		f.onMark = reached
	}
	return at, reached
}

// next makes room for another race: the session's last use is written anew, no counter is left, no event is kept.
func (f *fixture) next(a auth.Account) {
	f.wait(2 * time.Minute)
	require.NoError(f.t, f.Unlock(f.t.Context(), a.ID))
	f.mu.Lock()
	f.events = f.events[:0]
	f.mu.Unlock()
}

// TestLogoutRaces signs out while other requests of the session are under way: of none is anybody signed in afterwards.
func TestLogoutRaces(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	h := f.Middleware()(who)
	logout := f.Middleware()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f.Logout(r.Context(), w, r); err != nil {
			t.Error(err)
		}
	}))
	for i := range races() {
		f.next(a)
		b := f.rival(i)
		b.mustLogin()
		f.wait(2 * time.Minute) // so that each request writes
		get := func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, b.request("GET", "/"))
			if len(w.Result().Cookies()) > 0 {
				t.Error("a request in flight set a cookie")
			}
		}
		atOnce(get, get, func() { logout.ServeHTTP(httptest.NewRecorder(), b.request("POST", "/logout")) }, get)
		b.wantSignedOut()
		require.Zero(t, f.sessionsOf(a.ID))
	}
}

// TestDisableRaces disables an account while its user signs in: nobody is signed in afterwards.
func TestDisableRaces(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	came := 0
	for i := range races() {
		f.next(a)
		browsers := []*browser{f.rival(i), f.rival(i)}
		arrived, over := f.arrival(i)
		errs := make([]error, len(browsers))
		var calls []func()
		for i, b := range browsers {
			calls = append(calls, func() { errs[i] = b.login2(goodPassword); over() })
		}
		atOnce(append(calls, func() {
			<-arrived
			if err := f.SetDisabled(t.Context(), a.ID, true); err != nil {
				t.Error(err)
			}
		})...)
		for i, b := range browsers {
			b.wantSignedOut()
			if errs[i] == nil {
				came++
			}
		}
		require.Zero(t, f.sessionsOf(a.ID))
		require.NoError(t, f.SetDisabled(t.Context(), a.ID, false))
	}
	t.Logf("%d logins were there before the account was disabled", came)
}

// TestChangePasswordRaces changes a password while somebody signs in with the old one: they are out afterwards.
func TestChangePasswordRaces(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	owner := f.browser()
	owner.mustLogin()
	old, new := goodPassword, newPassword
	came := 0
	for i := range races() {
		f.next(a)
		thief := f.rival(i)
		var changed, in error
		arrived, over := f.arrival(1)
		f.onSet = func() { <-arrived } // the password is replaced, and the sessions are about to end
		if i%2 == 0 {
			f.onSet = nil
		}
		atOnce(func() { in = thief.login2(old); over() }, func() {
			changed = owner.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
				return f.ChangePassword(ctx, w, r, old, new)
			})
		})
		require.NoError(t, changed)
		if in == nil {
			came++
		} else {
			require.Equal(t, auth.ErrLoginRefused, in)
		}
		thief.wantSignedOut()
		owner.wantSignedIn()
		require.Equal(t, 1, f.sessionsOf(a.ID))
		old, new = new, old
		if f.wantAge(owner) > 12*time.Hour { // before the session is too old
			require.NoError(t, owner.login2(old))
		}
	}
	t.Logf("%d logins were there before the change", came)
}

func (f *fixture) wantAge(b *browser) time.Duration {
	f.t.Helper()
	list, err := f.sessions.List(f.t.Context(), "acme", b.wantSignedIn().ID)
	require.NoError(f.t, err)
	return f.config.Clock.Now().Sub(list[0].Created)
}

// TestGuesses lets an attacker with 500 addresses guess at one account 10,000 times, as patiently as they like.
func TestGuesses(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{0, time.Second, time.Hour, 24 * time.Hour} {
		t.Run(fmt.Sprint("every ", pause), func(t *testing.T) {
			t.Parallel()
			f := setUp(t, nil)
			f.account()
			owner := f.browser()
			owner.mustLogin()
			hashed, refused := 0, 0
			f.events = nil
			for i := range 10_000 {
				f.wait(pause)
				b := f.browser()
				b.addr = fmt.Sprintf("198.51.%d.%d", i%500/250, i%250)
				require.ErrorIs(t, b.login2(fmt.Sprint("guess ", i)), auth.ErrLoginRefused)
				for _, e := range f.events {
					switch {
					case e.Kind == audit.AuthThrottled:
						refused++
					case e.Reason == "wrong-password":
						hashed++
					}
				}
				if i%50 == 0 {
					require.NoError(t, owner.login2(goodPassword), "guess %d", i)
				}
				if i%1000 == 0 {
					_, err := f.config.Throttle.Prune(t.Context())
					require.NoError(t, err)
				}
				f.events = f.events[:0]
			}
			require.Equal(t, 10_000, hashed+refused)
			require.LessOrEqual(t, hashed, 100)
			require.Positive(t, hashed)
			t.Logf("%d guesses reached the hash", hashed)
		})
	}
}
