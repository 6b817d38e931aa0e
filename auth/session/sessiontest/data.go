// SPDX-License-Identifier: Apache-2.0

package sessiontest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/portalsec/portalsec/auth/session"
)

func data(t *testing.T, s store) {
	r := record("acme", "ann", "a")
	r.Data = nil
	s.create(r)
	for i, c := range []struct {
		old, next, want string
		won             bool
	}{
		{"", "one", "one", true},
		{"", "two", "one", false},
		{"One", "two", "one", false},
		{"one", "two", "two", true},
		{"one", "three", "two", false},
		{"two", "two", "two", true},
		{"two", "", "", true},
		{"two", "three", "", false},
		{"", "", "", true},
	} {
		won, err := s.SetSessionData(t.Context(), r.Token, []byte(c.old), []byte(c.next))
		if won != c.won || err != nil {
			t.Errorf("step %d: SetSessionData(%q, %q) = %v, %v, want %v", i, c.old, c.next, won, err, c.won)
		}
		if got := s.wantAlive(r.Token).Data; string(got) != c.want {
			t.Errorf("step %d: data = %q, want %q", i, got, c.want)
		}
	}
	// Nil and empty are the same, and both are given back as nil.
	for _, c := range [][2][]byte{{nil, {}}, {{}, nil}, {nil, nil}, {{}, {}}} {
		if won, err := s.SetSessionData(t.Context(), r.Token, c[0], c[1]); !won || err != nil {
			t.Errorf("SetSessionData of nothing = %v, %v, want true", won, err)
		}
	}
	equal(t, s.wantAlive(r.Token), r)
	// Any bytes, up to 8 KiB.
	whole := bytes.Repeat([]byte{0, 0xff, '\'', '\\'}, 2<<10)
	if won, err := s.SetSessionData(t.Context(), r.Token, nil, whole); !won || err != nil {
		t.Errorf("SetSessionData of 8 KiB = %v, %v, want true", won, err)
	}
	if got := s.wantAlive(r.Token).Data; !bytes.Equal(got, whole) {
		t.Errorf("8 KiB of data are not given back as they were set")
	}
}

func dataOnly(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	other := s.create(record("acme", "ann", "b"))
	if won, err := s.SetSessionData(t.Context(), r.Token, r.Data, []byte("new")); !won || err != nil {
		t.Fatalf("SetSessionData = %v, %v, want true", won, err)
	}
	r.Data = []byte("new")
	equal(t, s.wantAlive(r.Token), r)
	equal(t, s.wantAlive(other.Token), other)

	// It stays when the session is used and rotated.
	touch := alive()
	touch.WriteBefore = start
	if _, err := s.TouchSession(t.Context(), r.Token, touch); err != nil {
		t.Fatal(err)
	}
	next := r
	next.Token, next.LastSeen = token("new"), start
	if err := s.RotateSession(t.Context(), r.Token, next); err != nil {
		t.Fatal(err)
	}
	equal(t, s.wantAlive(next.Token), next)
}

func dataUnknown(t *testing.T, s store) {
	r := s.create(record("acme", "ann", "a"))
	gone := s.create(record("acme", "ann", "b"))
	if _, err := s.DeleteSession(t.Context(), "acme", "ann", "b"); err != nil {
		t.Fatal(err)
	}
	rotated := r
	rotated.Token = token("new")
	if err := s.RotateSession(t.Context(), r.Token, rotated); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]session.Hash{"unknown": token("c"), "ended": gone.Token, "rotated": r.Token} {
		for _, old := range [][]byte{nil, r.Data} {
			if won, err := s.SetSessionData(t.Context(), h, old, []byte("new")); won || !errors.Is(err, session.ErrNoSession) {
				t.Errorf("%s: SetSessionData = %v, %v, want ErrNoSession", name, won, err)
			}
		}
		s.wantDead(h)
	}
	equal(t, s.wantAlive(rotated.Token), rotated)
	s.want("acme", "ann", "a")
}
