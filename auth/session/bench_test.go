// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"net/http/httptest"
	"testing"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/session"
)

func BenchmarkLoad(b *testing.B) {
	m, err := session.New(session.Config{Store: session.NewMemory(), Audit: audit.Discard})
	if err != nil {
		b.Fatal(err)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	now := portalsec.Clock(nil).Now()
	if _, err := m.Start(b.Context(), w, r, session.Identity{User: "ann", Factors: []portalsec.FactorProof{{Kind: portalsec.FactorPassword, At: now}}}); err != nil {
		b.Fatal(err)
	}
	r.AddCookie(w.Result().Cookies()[0])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Load(r); err != nil {
			b.Fatal(err)
		}
	}
}
