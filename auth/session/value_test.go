// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth/session"
	"github.com/stretchr/testify/require"
)

type form struct {
	Step int    `json:"step"`
	City string `json:"city,omitempty"`
}

func value[T any](t *testing.T, f *fixture, name string) session.Value[T] {
	t.Helper()
	v, err := session.NewValue[T](f.Manager, name)
	require.NoError(t, err)
	return v
}

func TestNewValueRefuses(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	for _, name := range []string{"", strings.Repeat("n", 65), "\xff"} {
		_, err := session.NewValue[int](f.Manager, name)
		require.ErrorContains(t, err, "want a name")
	}
	value[int](t, f, "form")
	_, err := session.NewValue[string](f.Manager, "form")
	require.ErrorContains(t, err, "another value")
	value[int](t, setUp(t, nil), "form")
}

func TestValue(t *testing.T) {
	t.Parallel()
	for name, sealer := range map[string]session.Sealer{"clear": nil, "sealed": xor{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setUp(t, func(c *session.Config) { c.Sealer = sealer })
			draft, tabs := value[form](t, f, "draft"), value[[]string](t, f, "tabs")
			b := f.browser()
			b.start("ann")
			ctx := t.Context()
			want := func(b *browser, w form, there bool) {
				t.Helper()
				got, ok, err := draft.Get(ctx, b.request())
				require.NoError(t, err)
				require.Equal(t, there, ok)
				require.Equal(t, w, got)
			}
			want(b, form{}, false)
			require.NoError(t, draft.Clear(ctx, b.request()), "nothing to clear")
			require.NoError(t, draft.Set(ctx, b.request(), form{Step: 2, City: "Gent"}))
			require.NoError(t, tabs.Set(ctx, b.request(), []string{"a"}))
			want(b, form{Step: 2, City: "Gent"}, true)
			stored, err := f.store.ListSessions(ctx, "acme", "ann")
			require.NoError(t, err)
			if sealer == nil {
				require.JSONEq(t, `{"draft":{"step":2,"city":"Gent"},"tabs":["a"]}`, string(stored[0].Data))
			} else {
				require.NotContains(t, string(stored[0].Data), "Gent")
			}

			// Another session of the user has its own.
			other := f.browser()
			other.start("ann")
			want(other, form{}, false)

			// It moves with the session to its new token, and not out of it.
			w := httptest.NewRecorder()
			_, err = f.Rotate(ctx, w, b.request())
			require.NoError(t, err)
			stale := b.request()
			b.take(w)
			want(b, form{Step: 2, City: "Gent"}, true)
			require.Equal(t, session.ErrNoSession, draft.Set(ctx, stale, form{Step: 9}))

			require.NoError(t, draft.Clear(ctx, b.request()))
			want(b, form{}, false)
			got, ok, err := tabs.Get(ctx, b.request())
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, []string{"a"}, got)
			require.NoError(t, tabs.Clear(ctx, b.request()))
			stored, err = f.store.ListSessions(ctx, "acme", "ann")
			require.NoError(t, err)
			require.Nil(t, stored[0].Data)

			// It ends with the session.
			require.NoError(t, draft.Set(ctx, b.request(), form{Step: 3}))
			late := b.request()
			require.NoError(t, f.End(ctx, httptest.NewRecorder(), b.request()))
			for _, r := range []*browser{b, f.browser()} {
				_, _, err = draft.Get(ctx, r.request())
				require.Equal(t, session.ErrNoSession, err)
			}
			require.Equal(t, session.ErrNoSession, draft.Set(ctx, late, form{Step: 4}))
			require.Equal(t, session.ErrNoSession, draft.Clear(ctx, late))
			_, err = f.Load(late)
			require.Equal(t, session.ErrNoSession, err)
			b.start("ann")
			want(b, form{}, false)
		})
	}
}

func TestValueTooLarge(t *testing.T) {
	t.Parallel()
	for _, sealer := range []session.Sealer{nil, xor{}} {
		f := setUp(t, func(c *session.Config) { c.Sealer = sealer })
		v := value[string](t, f, "v")
		b := f.browser()
		b.start("ann")
		require.NoError(t, v.Set(t.Context(), b.request(), strings.Repeat("x", session.MaxData-200)))
		require.ErrorIs(t, v.Set(t.Context(), b.request(), strings.Repeat("y", session.MaxData)), session.ErrTooMuchData)
		got, _, err := v.Get(t.Context(), b.request())
		require.NoError(t, err)
		require.Equal(t, "x", got[:1], "what was there stays")
	}
}

func TestValueOfAnotherType(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	b.start("ann")
	require.NoError(t, value[string](t, f, "v").Set(t.Context(), b.request(), "secret"))
	later, err := session.New(session.Config{Store: f.store, Clock: func() time.Time { return f.now }})
	require.NoError(t, err)
	v, err := session.NewValue[int](later, "v")
	require.NoError(t, err)
	_, ok, err := v.Get(t.Context(), b.request())
	require.ErrorContains(t, err, "no int")
	require.NotContains(t, err.Error(), "secret")
	require.False(t, ok)
	require.NoError(t, v.Set(t.Context(), b.request(), 7))
	got, ok, err := v.Get(t.Context(), b.request())
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, 7, got)

	bad, err := session.NewValue[func()](later, "f")
	require.NoError(t, err)
	require.Error(t, bad.Set(t.Context(), b.request(), nil), "JSON knows no functions")
}

// TestDataIsNotWhereabouts has somebody who can write the store, and cannot open what is sealed, put one sealed part of
// a session in the other's place.
func TestDataIsNotWhereabouts(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(c *session.Config) { c.Sealer = xor{} })
	v := value[map[string]string](t, f, "client")
	b := f.browser()
	s := b.start("ann")
	require.NoError(t, v.Set(t.Context(), b.request(), map[string]string{"device": "Ann's own"}))
	stored, err := f.store.ListSessions(t.Context(), "acme", "ann")
	require.NoError(t, err)
	rec := stored[0]
	swap := func(client, data []byte) {
		_, err := f.store.DeleteSession(t.Context(), "acme", "ann", s.ID)
		require.NoError(t, err)
		swapped := rec
		swapped.Client, swapped.Data = client, data
		require.NoError(t, f.store.CreateSession(t.Context(), swapped, 1))
	}
	swap(rec.Data, rec.Client)
	_, _, err = v.Get(t.Context(), b.request())
	require.ErrorContains(t, err, "malformed")
	require.ErrorContains(t, v.Set(t.Context(), b.request(), nil), "malformed")
	_, err = f.List(t.Context(), "acme", "ann")
	require.Error(t, err)
	swap(rec.Client, []byte("nonsense"))
	_, _, err = v.Get(t.Context(), b.request())
	require.Error(t, err)
	swap(rec.Client, rec.Data)
	_, ok, err := v.Get(t.Context(), b.request())
	require.NoError(t, err)
	require.True(t, ok)
}

func TestValueStoreFails(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	v := value[int](t, f, "v")
	b := f.browser()
	b.start("ann")
	f.broken = true
	_, ok, err := v.Get(t.Context(), b.request())
	require.ErrorIs(t, err, errBroken)
	require.False(t, ok)
	require.ErrorIs(t, v.Set(t.Context(), b.request(), 1), errBroken)
	require.ErrorIs(t, v.Clear(t.Context(), b.request()), errBroken)
}

// TestValuesAreNotLost has the requests of one page set a value each.
func TestValuesAreNotLost(t *testing.T) {
	t.Parallel()
	f := setUp(t, nil)
	b := f.browser()
	b.start("ann")
	const requests = 8
	var values []session.Value[int]
	var wg sync.WaitGroup
	for i := range requests {
		v := value[int](t, f, fmt.Sprint("v", i))
		values = append(values, v)
		r := b.request()
		wg.Go(func() {
			if err := v.Set(t.Context(), r, i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, v := range values {
		got, ok, err := v.Get(t.Context(), b.request())
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, i, got)
	}
}

// rival is a store in which another request sets a value just before the first of our own sets.
type rival struct {
	session.Store
	once *sync.Once
}

func (s rival) SetSessionData(ctx context.Context, h session.Hash, old, data []byte) (bool, error) {
	s.once.Do(func() { _, _ = s.Store.SetSessionData(ctx, h, old, []byte(`{"theirs":1}`)) })
	return s.Store.SetSessionData(ctx, h, old, data)
}

func TestSetTriesAgain(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(c *session.Config) { c.Store = rival{c.Store, new(sync.Once)} })
	ours, theirs := value[int](t, f, "ours"), value[int](t, f, "theirs")
	b := f.browser()
	b.start("ann")
	require.NoError(t, ours.Set(t.Context(), b.request(), 2))
	for want, v := range map[int]session.Value[int]{1: theirs, 2: ours} {
		got, ok, err := v.Get(t.Context(), b.request())
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
}

// loser is a store in which another request is always faster.
type loser struct{ session.Store }

func (loser) SetSessionData(context.Context, session.Hash, []byte, []byte) (bool, error) {
	return false, nil
}

func TestSetGivesUp(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(c *session.Config) { c.Store = loser{c.Store} })
	v := value[int](t, f, "v")
	b := f.browser()
	b.start("ann")
	require.ErrorContains(t, v.Set(t.Context(), b.request(), 1), "other requests changed the session")
}

// FuzzData gives stored data of any bytes to a value: what is no JSON object is an error, what is one comes back as it
// was, and no other value is touched by a change.
func FuzzData(f *testing.F) {
	for _, s := range []string{``, `{}`, `null`, `[]`, `{"v":1}`, `{"v":null,"o":{"a":[1,2]}}`, `{"v":"x"`, `{"v":1}{}`, "{\"\xff\":1}", `{"v":1,"v":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > session.MaxData/4 {
			return
		}
		fx := setUp(t, nil)
		b := fx.browser()
		b.start("ann")
		records, err := fx.store.ListSessions(t.Context(), "acme", "ann")
		require.NoError(t, err)
		won, err := fx.store.SetSessionData(t.Context(), records[0].Token, nil, bytes.Clone(data))
		require.NoError(t, err)
		require.True(t, won)
		v := value[json.RawMessage](t, fx, "v")

		var twin map[string]json.RawMessage
		good := len(data) == 0 || json.Unmarshal(data, &twin) == nil && twin != nil
		got, ok, err := v.Get(t.Context(), b.request())
		require.Equal(t, good, err == nil, "%q: %v", data, err)
		if !good {
			require.Error(t, v.Set(t.Context(), b.request(), json.RawMessage("1")))
			return
		}
		want, there := twin["v"]
		require.Equal(t, there, ok)
		require.Equal(t, string(want), string(got))

		require.NoError(t, v.Set(t.Context(), b.request(), json.RawMessage(`{"new":true}`)))
		got, ok, err = v.Get(t.Context(), b.request())
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, `{"new":true}`, string(got))
		records, err = fx.store.ListSessions(t.Context(), "acme", "ann")
		require.NoError(t, err)
		var after map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(records[0].Data, &after))
		delete(after, "v")
		delete(twin, "v")
		require.Len(t, after, len(twin))
		for name, text := range twin {
			require.JSONEq(t, string(text), string(after[name]))
		}
	})
}
