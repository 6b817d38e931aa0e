// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portalsec/portalsec/audit/ledger"
)

// TestAdoption asks the application's handlers as its users would.
func TestAdoption(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, h, err := newApp(t.Context(), dir)
	require.NoError(t, err)
	doctor, err := a.addUser("doctor")
	require.NoError(t, err)
	patient, err := a.addUser("patient")
	require.NoError(t, err)
	a.users["other"] = user{id: "patient-2", group: "patient", practice: "main", password: a.users["patient"].password}
	a.users["elsewhere"] = user{id: "doctor-2", group: "doctor", practice: "elsewhere", password: a.users["doctor"].password}

	ask := func(method, name, password, from string, form url.Values) (int, string) {
		r := httptest.NewRequest(method, "/notes/1", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = from
		r.SetBasicAuth(name, password)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	status := func(code int, _ string) int { return code }
	const here = "127.0.0.1:5000"
	text := url.Values{"patient": {"patient-1"}, "text": {"sleeps badly"}}

	require.Equal(t, http.StatusUnauthorized, status(ask("GET", "doctor", "wrong", here, nil)))
	require.Equal(t, http.StatusForbidden, status(ask("GET", "doctor", doctor, "203.0.113.9:5000", nil)), "not from outside")
	require.Equal(t, http.StatusForbidden, status(ask("POST", "patient", patient, here, text)))
	forged := httptest.NewRequest("POST", "/notes/1", strings.NewReader(text.Encode()))
	forged.RemoteAddr = here
	forged.Header.Set("Sec-Fetch-Site", "cross-site")
	forged.SetBasicAuth("doctor", doctor)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, forged)
	require.Equal(t, http.StatusForbidden, w.Code, "another site made the browser send it")
	require.Equal(t, http.StatusNoContent, status(ask("POST", "doctor", doctor, here, text)))
	for name, want := range map[string]int{"doctor": http.StatusOK, "patient": http.StatusOK, "other": http.StatusForbidden, "elsewhere": http.StatusNotFound} {
		password := patient
		if name == "doctor" || name == "elsewhere" {
			password = doctor
		}
		code, body := ask("GET", name, password, "192.168.1.4:5000", nil)
		require.Equal(t, want, code, name)
		require.Equal(t, want == http.StatusOK, strings.Contains(body, "sleeps badly"), name)
	}
	require.NotContains(t, string(a.notes["1"].sealed), "sleeps")
	report, err := ledger.Verify(t.Context(), filepath.Join(dir, "audit"))
	require.NoError(t, err)
	require.True(t, report.OK())
}
