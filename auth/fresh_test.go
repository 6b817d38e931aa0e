// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/stretchr/testify/require"
)

func TestCheckFresh(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	const password, totp = portalsec.FactorPassword, portalsec.FactorTOTP
	// proven gives a principal who gave each proof so long ago.
	type proofs map[string]time.Duration
	proven := func(given proofs) portalsec.Principal {
		p := portalsec.Principal{ID: "ann"}
		for _, kind := range []string{password, totp, ""} {
			if age, ok := given[kind]; ok {
				at := f.now.Truncate(time.Microsecond).Add(-age)
				p.Factors = append(p.Factors, portalsec.FactorProof{Kind: kind, At: at})
				if at.After(p.AuthTime) {
					p.AuthTime = at
				}
			}
		}
		return p
	}
	for name, c := range map[string]struct {
		p     portalsec.Principal
		max   time.Duration
		kinds []string
		ok    bool
	}{
		"just now":                     {proven(proofs{password: 0}), time.Minute, nil, true},
		"at the limit":                 {proven(proofs{password: time.Minute}), time.Minute, nil, true},
		"past the limit":               {proven(proofs{password: time.Minute + time.Microsecond}), time.Minute, nil, false},
		"default":                      {proven(proofs{password: 5 * time.Minute}), 0, nil, true},
		"past the default":             {proven(proofs{password: 5*time.Minute + time.Microsecond}), 0, nil, false},
		"any proof":                    {proven(proofs{password: time.Hour, totp: 0}), time.Minute, nil, true},
		"that kind":                    {proven(proofs{password: time.Hour, totp: 0}), time.Minute, []string{totp}, true},
		"that kind is old":             {proven(proofs{password: 0, totp: time.Hour}), time.Minute, []string{totp}, false},
		"one of the kinds":             {proven(proofs{password: 0, totp: time.Hour}), time.Minute, []string{totp, password}, true},
		"never that kind":              {proven(proofs{password: 0}), time.Minute, []string{portalsec.FactorPasskey}, false},
		"no kind is no kind":           {proven(proofs{"": 0}), time.Minute, []string{""}, false},
		"never anything":               {portalsec.Principal{ID: "ann"}, time.Minute, nil, false},
		"never anything, far max":      {portalsec.Principal{ID: "ann"}, 1 << 62, nil, false},
		"nobody":                       {portalsec.Principal{AuthTime: f.now}, time.Minute, nil, false},
		"a clock that is a bit ahead":  {proven(proofs{totp: -time.Minute}), time.Minute, []string{totp}, true},
		"ahead, and nothing is enough": {proven(proofs{totp: -time.Minute}), -1, []string{totp}, false},
		"a clock that is wrong":        {proven(proofs{totp: -time.Minute - time.Microsecond}), time.Hour, []string{totp}, false},
		"wrong clock, any proof":       {proven(proofs{totp: -time.Hour}), time.Hour, nil, false},
		"negative":                     {proven(proofs{password: 0}), -time.Minute, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := f.CheckFresh(c.p, c.max, c.kinds...)
			if c.ok {
				require.NoError(t, err)
				return
			}
			var needed *auth.ProofNeededError
			require.ErrorAs(t, err, &needed)
			require.Equal(t, c.kinds, needed.Kinds)
			require.Equal(t, http.StatusForbidden, auth.DenialOf(err).Status)
			require.Equal(t, "reauthentication-required", auth.DenialOf(err).Code)
		})
	}
	l1 := setUp(t, func(c *auth.Config) { c.Level = portalsec.L1 })
	require.NoError(t, l1.CheckFresh(proven(proofs{password: 15 * time.Minute}), 0))
}

func TestRequireFresh(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	a := f.account()
	b := f.browser()
	serve := func(m portalsec.Middleware, method, target, accept string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), b.request(method, target)
		r.Header.Set("Accept", accept)
		portalsec.Chain(who, f.Middleware(), m).ServeHTTP(w, r)
		return w
	}
	w := serve(f.RequireFresh(0), "GET", "/export", "text/html")
	require.Equal(t, "/login?next=%2Fexport", w.Header().Get("Location"), "nobody is asked who they are")
	require.Equal(t, http.StatusUnauthorized, serve(f.RequireFresh(0), "GET", "/export", "application/json").Code)

	b.mustLogin()
	require.Contains(t, serve(f.RequireFresh(0), "POST", "/export", "application/json").Body.String(), a.ID)
	f.wait(5*time.Minute + time.Microsecond)
	w = serve(f.RequireFresh(0), "POST", "/export", "application/json")
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.Contains(t, w.Body.String(), `"code":"reauthentication-required","next":"/confirm"`)
	e := f.last(audit.AuthProofNeeded)
	require.Equal(t, audit.Denied, e.Outcome)
	require.Equal(t, audit.Pseudonym(a.ID), e.Actor)
	require.Contains(t, serve(f.RequireFresh(6*time.Minute), "GET", "/export", "text/html").Body.String(), a.ID)

	for _, c := range []struct{ method, target, want string }{
		{"GET", "/export?x=1", "/confirm?next=%2Fexport%3Fx%3D1"},
		{"HEAD", "/export", "/confirm?next=%2Fexport"},
		{"POST", "/export", "/confirm"},
		{"GET", "//evil.test/", "/confirm"},
	} {
		w := serve(f.RequireFresh(time.Minute), c.method, c.target, "text/html")
		require.Equal(t, http.StatusSeeOther, w.Code)
		require.Equal(t, c.want, w.Header().Get("Location"))
	}
	w = serve(f.RequireFresh(time.Hour, "totp", "passkey"), "GET", "/export", "text/html")
	require.Equal(t, "/confirm?factor=totp&factor=passkey&next=%2Fexport", w.Header().Get("Location"))

	require.NoError(t, b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
		return f.Reauthenticate(ctx, w, r, goodPassword)
	}))
	require.Contains(t, serve(f.RequireFresh(0), "GET", "/export", "text/html").Body.String(), a.ID)
	require.NotContains(t, serve(f.RequireFresh(0, "totp"), "GET", "/export", "text/html").Body.String(), a.ID)
	require.NoError(t, b.do(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
		_, err := f.sessions.Rotate(ctx, w, r, f.proof(portalsec.FactorTOTP))
		return err
	}))
	require.Contains(t, serve(f.RequireFresh(0, "totp"), "GET", "/export", "text/html").Body.String(), a.ID)
}

// TestKindsAreNotShared changes the slice that RequireFresh was given.
func TestKindsAreNotShared(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(c *auth.Config) { c.StepUpPath = "/prove" })
	f.account()
	b := f.browser()
	b.mustLogin()
	kinds := []string{"totp"}
	m := f.RequireFresh(0, kinds...)
	kinds[0] = "password"
	w, r := httptest.NewRecorder(), b.request("GET", "/export")
	r.Header.Set("Accept", "text/html")
	portalsec.Chain(who, f.Middleware(), m).ServeHTTP(w, r)
	require.Equal(t, "/prove?factor=totp&next=%2Fexport", w.Header().Get("Location"))
}
