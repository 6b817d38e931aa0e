// SPDX-License-Identifier: Apache-2.0

package crypto_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/crypto"
	"github.com/stretchr/testify/require"
)

func TestFieldRoundTrip(t *testing.T) {
	t.Parallel()
	f := newRing(t, crypto.Config{}).Field("customers", "email")
	for _, row := range []crypto.Row{
		{ID: "1"}, {Tenant: "acme", ID: "1"}, {Tenant: "acme", Subject: "ann", ID: "1"}, {Subject: "ann", ID: "1"},
	} {
		for _, plaintext := range [][]byte{nil, []byte("a"), bytes.Repeat([]byte("x"), 100_000)} {
			sealed, err := f.Seal(t.Context(), row, plaintext)
			require.NoError(t, err)
			require.Len(t, sealed, 49+len(plaintext))
			require.Equal(t, byte(1), sealed[0])
			if len(plaintext) > 1 {
				require.NotContains(t, string(sealed), "xxxx")
			}
			got, err := f.Open(t.Context(), row, sealed)
			require.NoError(t, err)
			require.True(t, bytes.Equal(plaintext, got))
			again, err := f.Seal(t.Context(), row, plaintext)
			require.NoError(t, err)
			require.NotEqual(t, sealed, again)
		}
	}
}

// TestFieldSwapped opens every value in every other place. Names are chosen so that places would meet if
// their parts were only joined.
func TestFieldSwapped(t *testing.T) {
	t.Parallel()
	var rec events
	ring := newRing(t, crypto.Config{Audit: &rec})
	type place struct {
		field *crypto.Field
		row   crypto.Row
	}
	var places []place
	var sealed [][]byte
	for _, tenant := range []string{"", "a", "ab"} {
		for _, subject := range []string{"", "b", "ab"} {
			for _, table := range []string{"c", "bc"} {
				for _, column := range []string{"d", "cd", "value"} {
					for _, id := range []string{"1", "d1", "a"} {
						p := place{ring.Field(table, column), crypto.Row{Tenant: tenant, Subject: subject, ID: id}}
						v, err := p.field.Seal(t.Context(), p.row, []byte("secret"))
						require.NoError(t, err)
						places, sealed = append(places, p), append(sealed, v)
					}
				}
			}
		}
	}
	rec.take(audit.CryptoOpenRefused)
	refused := 0
	for i, p := range places {
		for j, v := range sealed {
			got, err := p.field.Open(t.Context(), p.row, v)
			if i == j {
				require.NoError(t, err)
				continue
			}
			if err != crypto.ErrOpen || got != nil {
				t.Fatalf("value of %v opened in %v: %v", places[j], p, err)
			}
			refused++
		}
	}
	require.Greater(t, refused, 10_000)
	require.Len(t, rec.take(audit.CryptoOpenRefused), refused)
}

func TestFieldFlippedBit(t *testing.T) {
	t.Parallel()
	f := newRing(t, crypto.Config{}).Field("customers", "email")
	row := crypto.Row{Tenant: "acme", Subject: "ann", ID: "1"}
	sealed, err := f.Seal(t.Context(), row, []byte("ann@example.org"))
	require.NoError(t, err)
	for bit := range 8 * len(sealed) {
		changed := bytes.Clone(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		_, err := f.Open(t.Context(), row, changed)
		require.Equal(t, crypto.ErrOpen, err, "bit %d", bit)
	}
	for n := range sealed {
		_, err := f.Open(t.Context(), row, sealed[:n])
		require.Equal(t, crypto.ErrOpen, err, "cut to %d", n)
	}
	_, err = f.Open(t.Context(), row, append(sealed, 0))
	require.Equal(t, crypto.ErrOpen, err)
}

func TestFieldRefusalIsRecorded(t *testing.T) {
	t.Parallel()
	var rec events
	ring := newRing(t, crypto.Config{Audit: &rec})
	f := ring.Field("customers", "email")
	ann := crypto.Row{Tenant: "acme", Subject: "ann", ID: "1"}
	sealed, err := f.Seal(t.Context(), ann, []byte("ann@example.org"))
	require.NoError(t, err)
	foreign, err := newRing(t, crypto.Config{}).Field("customers", "email").Seal(t.Context(), ann, []byte("x"))
	require.NoError(t, err)
	tampered := bytes.Clone(sealed)
	tampered[len(tampered)-1] ^= 1
	for _, test := range []struct {
		reason string
		row    crypto.Row
		sealed []byte
	}{
		{"malformed", ann, []byte("ann@example.org")},
		{"malformed", ann, nil},
		{"unknown-key", ann, foreign},
		{"wrong-key", crypto.Row{Tenant: "other", Subject: "ann", ID: "1"}, sealed},
		{"wrong-key", crypto.Row{Tenant: "acme", ID: "1"}, sealed},
		{"not-authentic", ann, tampered},
		{"not-authentic", crypto.Row{Tenant: "acme", Subject: "ann", ID: "2"}, sealed},
	} {
		rec.take("")
		_, err := f.Open(t.Context(), test.row, test.sealed)
		require.Equal(t, crypto.ErrOpen, err)
		require.Equal(t, []audit.Event{{
			Kind: audit.CryptoOpenRefused, Outcome: audit.Denied, Severity: audit.Warning, Reason: test.reason,
			Tenant: test.row.Tenant, Target: &audit.Target{Type: "customers.email", ID: test.row.ID},
			Subjects: subjects(test.row.Subject),
		}}, rec.take(audit.CryptoOpenRefused))
	}
	rec.err = fmt.Errorf("disk full")
	_, err = f.Open(t.Context(), ann, tampered)
	require.Equal(t, crypto.ErrOpen, err, "also when it cannot be recorded")
}

func subjects(s string) []audit.Pseudonym {
	if s == "" {
		return nil
	}
	return []audit.Pseudonym{audit.Pseudonym(s)}
}

func TestFieldNeedsPlace(t *testing.T) {
	t.Parallel()
	ring := newRing(t, crypto.Config{})
	for _, f := range []*crypto.Field{ring.Field("", "c"), ring.Field("t", "")} {
		_, err := f.Seal(t.Context(), crypto.Row{ID: "1"}, nil)
		require.ErrorContains(t, err, "needs a table and a column")
	}
	_, err := ring.Field("t", "c").Seal(t.Context(), crypto.Row{Tenant: "acme"}, nil)
	require.EqualError(t, err, "crypto: field t.c: Row.ID is required")
	_, err = ring.Field("t", "c").Open(t.Context(), crypto.Row{Tenant: "acme"}, nil)
	require.EqualError(t, err, "crypto: field t.c: Row.ID is required")
}

func TestIndex(t *testing.T) {
	t.Parallel()
	ring := newRing(t, crypto.Config{})
	email := ring.Field("customers", "email", crypto.WithIndex(crypto.NormaliseEmail))
	index := func(f *crypto.Field, tenant, value string) string {
		t.Helper()
		b, err := f.Index(t.Context(), tenant, value)
		require.NoError(t, err)
		require.Len(t, b, 17)
		require.Equal(t, byte(1), b[0])
		all, err := f.Candidates(t.Context(), tenant, value)
		require.NoError(t, err)
		require.Equal(t, [][]byte{b}, all)
		return string(b)
	}
	ann := index(email, "acme", "ann@example.org")
	require.Equal(t, ann, index(email, "acme", " Ann@Example.ORG\n"))
	for name, other := range map[string]string{
		"value":  index(email, "acme", "bob@example.org"),
		"tenant": index(email, "other", "ann@example.org"),
		"portal": index(email, "", "ann@example.org"),
		"column": index(ring.Field("customers", "phone", crypto.WithIndex(nil)), "acme", "ann@example.org"),
		"table":  index(ring.Field("staff", "email", crypto.WithIndex(nil)), "acme", "ann@example.org"),
		"store":  index(newRing(t, crypto.Config{}).Field("customers", "email", crypto.WithIndex(nil)), "acme", "ann@example.org"),
	} {
		require.NotEqual(t, ann, other, name)
	}
	plain := ring.Field("customers", "email", crypto.WithIndex(nil))
	require.Equal(t, ann, index(plain, "acme", "ann@example.org"))
	require.NotEqual(t, ann, index(plain, "acme", "Ann@example.org"))

	_, err := ring.Field("customers", "name").Index(t.Context(), "acme", "Ann")
	require.ErrorContains(t, err, "customers.name has no index")
	_, err = ring.Field("customers", "name").Candidates(t.Context(), "acme", "Ann")
	require.ErrorContains(t, err, "customers.name has no index")
}

func TestNormaliseEmail(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                      "",
		"ann@example.org":       "ann@example.org",
		"\tAnn@EXAMPLE.org ":    "ann@example.org",
		"ÄNNE@example.org":      "änne@example.org",
		"an n+tag@example.org ": "an n+tag@example.org",
	} {
		require.Equal(t, want, crypto.NormaliseEmail(in))
	}
}
