// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/rbac"
	"github.com/stretchr/testify/require"
)

// problem is an answer as a program gets it.
type problem struct {
	Status int
	Code   string
	Next   string
}

func answer(t *testing.T, h http.Handler, ctx context.Context, method, target string) (problem, *http.Response) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, method, target, nil))
	res := rec.Result()
	p := problem{Status: res.StatusCode}
	if res.Header.Get("Content-Type") == "application/problem+json" {
		require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &p))
	}
	return p, res
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestMuxAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "anna", "agent", "acme")
	w.give(t, "susi", "supervisor", "acme")
	w.give(t, "berta", "agent", "acme/berlin")
	mux := rbac.NewMux(w.Engine)
	mux.Handle("GET /login", rbac.Public("sign-in page"), say("login"))
	mux.Handle("GET /me", rbac.SignedIn("one's own page"), say("me"))
	mux.HandleFunc("GET /tickets/{id}", rbac.Need(ticketRead), func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.PathValue("id")+" by "+r.Pattern)
	})
	mux.Handle("GET /delete", rbac.Need(ticketDelete), say("form"))
	mux.Handle("POST /delete", rbac.Need(ticketDelete), say("deleted"))
	nobody, anna := t.Context(), as(t, "anna", "acme")
	for _, test := range []struct {
		name           string
		ctx            context.Context
		method, target string
		want           problem
	}{
		{"public", nobody, "GET", "/login", problem{Status: 200}},
		{"signed in", as(t, "u1", "acme"), "GET", "/me", problem{Status: 200}},
		{"not signed in", nobody, "GET", "/me?tab=2&x=y", problem{401, "sign-in-required", "/login?next=%2Fme%3Ftab%3D2%26x%3Dy"}},
		{"not signed in, POST", nobody, "POST", "/delete", problem{401, "sign-in-required", "/login"}},
		{"allowed", anna, "GET", "/tickets/7", problem{Status: 200}},
		{"in a part of the tenant only", as(t, "berta", "acme"), "GET", "/tickets/7", problem{403, "not-allowed", ""}},
		{"without role", as(t, "u1", "acme"), "GET", "/tickets/7", problem{403, "not-allowed", ""}},
		{"not allowed", anna, "GET", "/delete", problem{403, "not-allowed", ""}},
		{"challenge", as(t, "susi", "acme"), "GET", "/delete", problem{403, "second-factor-required", "/confirm?next=%2Fdelete"}},
		{"challenge, POST", as(t, "susi", "acme"), "POST", "/delete", problem{403, "second-factor-required", "/confirm"}},
		{"no such route", anna, "GET", "/other", problem{404, "", ""}},
		{"no such route, not signed in", nobody, "GET", "/other", problem{404, "", ""}},
		{"no such route, unclean path", anna, "GET", "/other/../nowhere", problem{404, "", ""}},
		{"no such method", anna, "DELETE", "/tickets/7", problem{405, "", ""}},
	} {
		got, res := answer(t, mux, test.ctx, test.method, test.target)
		require.Equal(t, test.want, got, test.name)
		if got.Status == 405 {
			require.Equal(t, "GET, HEAD", res.Header.Get("Allow"))
		}
	}
	_, res := answer(t, mux, anna, "GET", "/tickets/7")
	body, _ := io.ReadAll(res.Body)
	require.Equal(t, "7 by GET /tickets/{id}", string(body))
}

func TestMuxRefusesRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	for name, access := range map[string]rbac.Access{
		"zero":            {},
		"zero object":     rbac.Access{}.Object(),
		"no permission":   rbac.Need(nil),
		"not in catalog":  rbac.Need(rbac.Permission("other.read", "x")),
		"no reason":       rbac.Public(""),
		"no reason, too":  rbac.SignedIn(""),
		"object of whom?": rbac.Public("home").Object(),
	} {
		require.Panics(t, func() { rbac.NewMux(w.Engine).Handle("GET /", access, say("")) }, name)
	}
	require.Panics(t, func() { w.Require(nil)(say("")) })
}

func TestObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "carl", "customer", "acme")
	mine, other := thing{"acme", "carl"}, thing{"acme", "dora"}
	type handler = func(http.ResponseWriter, *http.Request)
	full := func(w http.ResponseWriter) {
		w.Header().Set("X-Secret", "4711")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "secret")
	}
	for _, test := range []struct {
		name    string
		handler handler
		want    problem
		sent    bool   // the handler's own bytes
		reason  string // of the event
	}{
		{"checked", func(rw http.ResponseWriter, r *http.Request) {
			if err := w.Check(r.Context(), ticketRead, mine); err != nil {
				w.Deny(rw, r, err)
				return
			}
			full(rw)
		}, problem{Status: 200}, true, ""},
		{"filtered", func(rw http.ResponseWriter, r *http.Request) {
			_, _ = w.Filter(r.Context(), ticketRead)
			full(rw)
		}, problem{Status: 200}, true, ""},
		{"checked, nothing written", func(rw http.ResponseWriter, r *http.Request) {
			_ = w.Check(r.Context(), ticketRead, mine)
			rw.Header().Set("X-Secret", "4711")
		}, problem{Status: 200}, true, ""},
		{"refused and denied", func(rw http.ResponseWriter, r *http.Request) {
			w.Deny(rw, r, w.Check(r.Context(), ticketRead, other))
		}, problem{403, "not-allowed", ""}, false, "no-permission"},
		{"refused, own error page", func(rw http.ResponseWriter, r *http.Request) {
			_ = w.Check(r.Context(), ticketRead, other)
			rw.Header().Set("X-Secret", "4711")
			rw.WriteHeader(http.StatusForbidden)
		}, problem{Status: 403}, true, "no-permission"},
		{"refused and ignored", func(rw http.ResponseWriter, r *http.Request) {
			_ = w.Check(r.Context(), ticketRead, other)
			full(rw)
		}, problem{500, "internal-error", ""}, false, "refusal-ignored"},
		{"refused, then one allowed", func(rw http.ResponseWriter, r *http.Request) {
			_ = w.Check(r.Context(), ticketRead, other)
			_ = w.Check(r.Context(), ticketRead, mine)
			full(rw)
		}, problem{Status: 200}, true, "no-permission"},
		{"unchecked", func(rw http.ResponseWriter, r *http.Request) { full(rw) },
			problem{500, "internal-error", ""}, false, "unchecked"},
		{"unchecked, nothing written", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("X-Secret", "4711")
		}, problem{500, "internal-error", ""}, false, "unchecked"},
		{"unchecked redirect", func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "/secret", http.StatusSeeOther)
		}, problem{500, "internal-error", ""}, false, "unchecked"},
		{"unchecked, written in pieces", func(rw http.ResponseWriter, r *http.Request) {
			_, _ = rw.Write(nil)
			_ = w.Check(r.Context(), ticketRead, mine)
			full(rw)
		}, problem{500, "internal-error", ""}, false, "unchecked"},
		{"unchecked flush", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("X-Secret", "4711")
			_ = http.NewResponseController(rw).Flush()
			full(rw)
		}, problem{500, "internal-error", ""}, false, "unchecked"},
		{"unchecked hijack", func(rw http.ResponseWriter, r *http.Request) {
			if _, _, err := http.NewResponseController(rw).Hijack(); err == nil {
				panic("hijacked")
			}
		}, problem{500, "internal-error", ""}, false, "unchecked"},
		{"unchecked early hints", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("X-Secret", "4711")
			rw.WriteHeader(http.StatusEarlyHints)
			full(rw)
		}, problem{500, "internal-error", ""}, false, "unchecked"},
		{"another permission checked", func(rw http.ResponseWriter, r *http.Request) {
			_ = w.Check(r.Context(), ticketOpen, mine)
			full(rw)
		}, problem{500, "internal-error", ""}, false, "unchecked"},
		{"checked without a resource", func(rw http.ResponseWriter, r *http.Request) {
			_ = w.Check(r.Context(), ticketRead, nil)
			full(rw)
		}, problem{500, "internal-error", ""}, false, "unchecked"},
		{"only asked what to show", func(rw http.ResponseWriter, r *http.Request) {
			_ = w.Can(r.Context(), ticketRead, mine)
			full(rw)
		}, problem{500, "internal-error", ""}, false, "unchecked"},
		{"no such record", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("X-Secret", "4711")
			http.Error(rw, "secret", http.StatusNotFound)
		}, problem{404, "not-found", ""}, false, ""},
		{"no such record, denied", func(rw http.ResponseWriter, r *http.Request) {
			w.Deny(rw, r, rbac.ErrNotFound)
		}, problem{404, "not-found", ""}, false, ""},
		{"bad form", func(rw http.ResponseWriter, r *http.Request) { http.Error(rw, "secret", http.StatusBadRequest) },
			problem{400, "", ""}, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			mux := rbac.NewMux(w.Engine)
			mux.HandleFunc("GET /x", rbac.Need(ticketRead).Object(), test.handler)
			outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Outer", "kept")
				mux.ServeHTTP(w, r)
			})
			got, res := answer(t, outer, as(t, "carl", "acme"), "GET", "/x")
			require.Equal(t, test.want, got)
			require.Equal(t, "kept", res.Header.Get("X-Outer"))
			body, _ := io.ReadAll(res.Body)
			require.Equal(t, test.sent, res.Header.Get("X-Secret") != "")
			if !test.sent {
				require.NotContains(t, string(body), "secret")
				require.Empty(t, res.Header.Get("Location"))
			}
			events := w.events.take()
			require.Equal(t, test.reason != "", len(events) > 0)
			if test.reason == "" {
				return
			}
			last := events[len(events)-1]
			require.Equal(t, test.reason, last.Reason)
			if test.want.Status == 500 {
				require.Equal(t, audit.Critical, last.Severity)
				require.Equal(t, "GET /x", last.Route)
			}
		})
	}
	// Everything in one's tenant says nothing about a record that may be another tenant's.
	w.give(t, "anna", "agent", "acme")
	mux := rbac.NewMux(w.Engine)
	mux.HandleFunc("GET /x", rbac.Need(ticketRead).Object(), func(rw http.ResponseWriter, r *http.Request) {
		require.NoError(t, w.Check(r.Context(), ticketRead, nil))
		full(rw)
	})
	got, _ := answer(t, mux, as(t, "anna", "acme"), "GET", "/x")
	require.Equal(t, problem{500, "internal-error", ""}, got)

	mux = rbac.NewMux(w.Engine)
	mux.Handle("GET /x", rbac.Need(ticketRead).Object(), say("never reached"))
	got, _ = answer(t, mux, as(t, "u1", "acme"), "GET", "/x")
	require.Equal(t, problem{403, "not-allowed", ""}, got, "who has it nowhere does not reach the handler")
	got, _ = answer(t, mux, t.Context(), "GET", "/x")
	require.Equal(t, 401, got.Status)
}

// The headers of a handler that panics do not reach the answer of whoever recovers.
func TestObjectPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "carl", "customer", "acme")
	mux := rbac.NewMux(w.Engine)
	mux.HandleFunc("GET /x", rbac.Need(ticketRead).Object(), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Secret", "4711")
		panic("broken")
	})
	recovering := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		mux.ServeHTTP(w, r)
	})
	got, res := answer(t, recovering, as(t, "carl", "acme"), "GET", "/x")
	require.Equal(t, 500, got.Status)
	require.Empty(t, res.Header.Get("X-Secret"))
}

// What a handler sets after its response would be sent as trailers, over HTTP/2 always.
func TestObjectTrailers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "carl", "customer", "acme")
	mux := rbac.NewMux(w.Engine)
	trailer := func(rw http.ResponseWriter) { rw.Header().Set(http.TrailerPrefix+"X-Secret", "4711") }
	for name, h := range map[string]http.HandlerFunc{
		"unchecked": func(rw http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(rw, "secret"); trailer(rw) },
		"failed":    func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusNotFound); trailer(rw) },
		"refused": func(rw http.ResponseWriter, r *http.Request) {
			_ = w.Check(r.Context(), ticketRead, thing{"acme", "dora"})
			_, _ = io.WriteString(rw, "secret")
			trailer(rw)
		},
		"panicked": func(rw http.ResponseWriter, r *http.Request) {
			rw.WriteHeader(http.StatusNotFound)
			trailer(rw)
			panic("broken")
		},
		"checked": func(rw http.ResponseWriter, r *http.Request) {
			_ = w.Check(r.Context(), ticketRead, thing{"acme", "carl"})
			_, _ = io.WriteString(rw, "fine")
			trailer(rw)
		},
	} {
		mux.Handle("GET /"+name, rbac.Need(ticketRead).Object(), h)
	}
	ctx := as(t, "carl", "acme")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer func() { _ = recover() }()
		p, _ := portalsec.PrincipalFrom(ctx)
		mux.ServeHTTP(rw, r.WithContext(portalsec.WithPrincipal(r.Context(), p)))
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	for name, want := range map[string]int{"unchecked": 500, "failed": 404, "refused": 500, "panicked": 404, "checked": 200} {
		res, err := server.Client().Get(server.URL + "/" + name)
		require.NoError(t, err)
		_, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode, name)
		require.Equal(t, "HTTP/2.0", res.Proto)
		require.Equal(t, want == 200, res.Trailer.Get("X-Secret") != "", name)
	}
}

func TestRequire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "anna", "agent", "acme")
	h := portalsec.Chain(say("ok"), w.Require(ticketRead))
	for target, id := range map[string]string{"/a": "anna", "//elsewhere.example/x": ""} {
		ctx, want := t.Context(), problem{401, "sign-in-required", "/login"} // never led elsewhere
		if id != "" {
			ctx, want = as(t, id, "acme"), problem{Status: 200}
		}
		got, _ := answer(t, h, ctx, "GET", "http://portal.example"+target)
		require.Equal(t, want, got)
	}
	got, _ := answer(t, h, as(t, "u1", "acme"), "GET", "/a")
	require.Equal(t, 403, got.Status)
}

// A page that asks often reads the store once, and the decisions of one request agree.
func TestOneRequestReadsOnce(t *testing.T) {
	t.Parallel()
	counting := &countingStore{Memory: rbac.NewMemory()}
	w := newWorld(t, policy, func(c *rbac.Config) { c.Assignments = counting })
	require.NoError(t, w.AssignWithoutGrantor(t.Context(), rbac.Assignment{Tenant: "acme", Subject: "anna", Role: "agent", Scope: "acme"}))
	mux := rbac.NewMux(w.Engine)
	mux.HandleFunc("GET /x", rbac.SignedIn("test"), func(rw http.ResponseWriter, r *http.Request) {
		for range 20 {
			if !w.Can(r.Context(), ticketRead, thing{"acme", "carl"}) {
				w.Deny(rw, r, rbac.ErrDenied)
			}
		}
	})
	got, _ := answer(t, mux, as(t, "anna", "acme"), "GET", "/x")
	require.Equal(t, 200, got.Status)
	require.Equal(t, 1, counting.versions)
}

// A guard within another one is part of the same request: it reads nothing anew, and the handler's check still counts
// for the outer one.
func TestRequireWithinAccess(t *testing.T) {
	t.Parallel()
	counting := &countingStore{Memory: rbac.NewMemory()}
	w := newWorld(t, policy, func(c *rbac.Config) { c.Assignments = counting })
	require.NoError(t, w.AssignWithoutGrantor(t.Context(), rbac.Assignment{Tenant: "acme", Subject: "anna", Role: "agent", Scope: "acme"}))
	w.events.take()
	checks := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := w.Check(r.Context(), ticketRead, thing{"acme", "carl"}); err != nil {
			w.Deny(rw, r, err)
		}
	})
	mux := rbac.NewMux(w.Engine)
	object := rbac.Need(ticketRead).Object()
	mux.Handle("GET /checks", object, w.Require(ticketReply)(checks))
	mux.Handle("GET /not", object, w.Require(ticketRead)(say("secret")))
	mux.Handle("GET /may-not", object, w.Require(ticketDelete)(checks))
	for _, test := range []struct {
		name string
		h    http.Handler
		path string
		want problem
	}{
		{"object outside, checked", mux, "/checks", problem{Status: 200}},
		{"object outside, the guard is no check of a record", mux, "/not", problem{500, "internal-error", ""}},
		{"object outside, refused by the guard", mux, "/may-not", problem{403, "not-allowed", ""}},
		{"object inside, checked", w.Require(ticketReply)(mux), "/checks", problem{Status: 200}},
		{"object inside, not checked", w.Require(ticketRead)(mux), "/not", problem{500, "internal-error", ""}},
	} {
		counting.versions = 0
		got, _ := answer(t, test.h, as(t, "anna", "acme"), "GET", test.path)
		require.Equal(t, test.want, got, test.name)
		require.Equal(t, 1, counting.versions, test.name)
		if events := w.events.take(); test.want.Status == 200 {
			require.Empty(t, events, test.name)
		}
	}
}

// What a request remembers belongs to one principal, and a right to grant is never remembered.
func TestOneRequestTwoPrincipals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	w.give(t, "anna", "agent", "acme")
	w.give(t, "adam", "administrator", "acme")
	mux := rbac.NewMux(w.Engine)
	mux.HandleFunc("GET /x", rbac.Public("test"), func(_ http.ResponseWriter, r *http.Request) {
		become := func(id, tenant string) context.Context {
			return portalsec.WithPrincipal(r.Context(), portalsec.Principal{ID: id, Tenant: tenant})
		}
		require.NoError(t, w.Check(become("anna", "acme"), ticketRead, nil))
		require.ErrorIs(t, w.Check(become("carl", "acme"), ticketRead, nil), rbac.ErrDenied)
		require.ErrorIs(t, w.Check(become("anna", "globex"), ticketRead, nil), rbac.ErrDenied)

		require.ErrorIs(t, w.Check(become("adam", "acme"), ticketRead, nil), rbac.ErrDenied)
		_, err := w.store.Remove(r.Context(), "acme", "adam", "administrator", "acme")
		require.NoError(t, err)
		err = w.Assign(become("adam", "acme"), rbac.Assignment{Tenant: "acme", Subject: "carl", Role: "agent", Scope: "acme"})
		require.ErrorIs(t, err, rbac.ErrNotGrantable)
	})
	got, _ := answer(t, mux, t.Context(), "GET", "/x")
	require.Equal(t, 200, got.Status)
}

type countingStore struct {
	*rbac.Memory
	versions int
}

func (s *countingStore) Version(ctx context.Context) (uint64, error) {
	s.versions++
	return s.Memory.Version(ctx)
}

func TestDeny(t *testing.T) {
	t.Parallel()
	w := newWorld(t, policy)
	for err, want := range map[error]problem{
		rbac.ErrNoPrincipal:                 {401, "sign-in-required", "/login?next=%2Fx"},
		rbac.ErrDenied:                      {403, "not-allowed", ""},
		rbac.ErrNotFound:                    {404, "not-found", ""},
		rbac.ErrNotGrantable:                {403, "not-grantable", ""},
		rbac.ErrExclusive:                   {409, "exclusive-role", ""},
		rbac.ErrAssigned:                    {409, "already-assigned", ""},
		rbac.ErrNotAssigned:                 {404, "not-found", ""},
		rbac.ErrUnknownRole:                 {404, "not-found", ""},
		rbac.ErrInvalid:                     {400, "invalid-assignment", ""},
		rbac.ErrScope:                       {500, "internal-error", ""},
		errors.New("connection refused"):    {503, "unavailable", ""},
		&rbac.Challenge{SecondFactor: true}: {403, "second-factor-required", "/confirm?next=%2Fx"},
		&rbac.Challenge{Fresh: 1}:           {403, "reauthentication-required", "/confirm?next=%2Fx"},
	} {
		h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.Deny(rw, r, err) })
		got, res := answer(t, h, t.Context(), "GET", "/x")
		require.Equal(t, want, got, err)
		body, _ := io.ReadAll(res.Body)
		require.NotContains(t, string(body), "connection refused")
	}
}
