// SPDX-License-Identifier: Apache-2.0

package crypto_test

import (
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/crypto"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/v1.json anew")

// frozen is everything that the stored format consists of, as one version of this package wrote it.
type frozen struct {
	KeyFile string
	Root    string // the key file's ID
	Keys    []frozenKey
	Values  []frozenValue
	Files   []frozenFile
	Indexes []frozenIndex
}

// frozenKey is a KeyRecord whose arrays are written in base64, not as numbers.
type frozenKey struct {
	crypto.KeyRecord
	ID, Commitment []byte
}

type frozenValue struct {
	Table, Column string
	Row           crypto.Row
	Plaintext     string
	Sealed        []byte
}

type frozenFile struct {
	Row       crypto.Row
	Name      string
	Plaintext string
	Sealed    []byte
}

type frozenIndex struct {
	Table, Column, Tenant, Value string
	Index                        []byte
}

// TestFrozen opens what an earlier version wrote. If it fails, stored data has become unreadable.
func TestFrozen(t *testing.T) {
	t.Parallel()
	const path = "testdata/v1.json"
	if *update {
		writeFrozen(t, path)
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var v frozen
	require.NoError(t, json.Unmarshal(text, &v))
	require.NotEmpty(t, v.Values)
	require.NotEmpty(t, v.Files)
	require.NotEmpty(t, v.Indexes)

	keyPath := filepath.Join(t.TempDir(), "root.key")
	require.NoError(t, os.WriteFile(keyPath, []byte(v.KeyFile), 0o600))
	root, err := crypto.OpenKeyFile(keyPath)
	require.NoError(t, err)
	require.Equal(t, v.Root, root.ID())
	store := crypto.NewMemory()
	for _, k := range v.Keys {
		k.KeyRecord.ID, k.KeyRecord.Commitment = crypto.KeyID(k.ID), [32]byte(k.Commitment)
		_, err := store.EnsureKey(t.Context(), k.KeyRecord)
		require.NoError(t, err)
	}
	var rec events
	ring := newRing(t, crypto.Config{Root: root, Store: store, Audit: &rec})
	for _, f := range v.Values {
		got, err := ring.Field(f.Table, f.Column).Open(t.Context(), f.Row, f.Sealed)
		require.NoError(t, err)
		require.Equal(t, f.Plaintext, string(got))
	}
	files, dir := newFiles(t, ring)
	for _, f := range v.Files {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(f.Name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, f.Name), f.Sealed, 0o600))
		file, err := files.Open(t.Context(), f.Row)
		require.NoError(t, err)
		got, err := io.ReadAll(file)
		require.NoError(t, err)
		require.Equal(t, f.Plaintext, string(got))
		require.NoError(t, file.Close())
	}
	for _, i := range v.Indexes {
		got, err := ring.Field(i.Table, i.Column, crypto.WithIndex(nil)).Index(t.Context(), i.Tenant, i.Value)
		require.NoError(t, err)
		require.Equal(t, i.Index, got)
	}
	require.Empty(t, rec.take(audit.CryptoKeyCreated), "every key was in the records")
}

func writeFrozen(t *testing.T, path string) {
	keyPath := filepath.Join(t.TempDir(), "root.key")
	require.NoError(t, crypto.GenerateKeyFile(keyPath))
	text, err := os.ReadFile(keyPath)
	require.NoError(t, err)
	root, err := crypto.OpenKeyFile(keyPath)
	require.NoError(t, err)
	store := crypto.NewMemory()
	at := func() time.Time { return time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC) }
	ring := newRing(t, crypto.Config{Root: root, Store: store, Clock: at})
	files, dir := newFiles(t, ring)
	v := frozen{KeyFile: string(text), Root: root.ID()}
	for _, row := range []crypto.Row{{ID: "1"}, {Tenant: "acme", ID: "2"}, {Tenant: "acme", Subject: "ann", ID: "3"}} {
		f := frozenValue{Table: "customers", Column: "email", Row: row, Plaintext: "Änne <" + row.Subject + "@example.org>"}
		f.Sealed, err = ring.Field(f.Table, f.Column).Seal(t.Context(), row, []byte(f.Plaintext))
		require.NoError(t, err)
		v.Values = append(v.Values, f)

		g := frozenFile{Row: row, Plaintext: "a file"}
		_, err = create(t.Context(), files, row, strings.NewReader(g.Plaintext))
		require.NoError(t, err)
		g.Name, err = crypto.FileName(row)
		require.NoError(t, err)
		g.Sealed, err = os.ReadFile(filepath.Join(dir, g.Name))
		require.NoError(t, err)
		v.Files = append(v.Files, g)

		i := frozenIndex{Table: "customers", Column: "email", Tenant: row.Tenant, Value: "ann@example.org"}
		i.Index, err = ring.Field(i.Table, i.Column, crypto.WithIndex(nil)).Index(t.Context(), i.Tenant, i.Value)
		require.NoError(t, err)
		v.Indexes = append(v.Indexes, i)
	}
	for _, s := range []crypto.Scope{
		{Kind: crypto.KindRoot}, {Kind: crypto.KindTenant}, {Kind: crypto.KindTenant, Tenant: "acme"}, {Kind: crypto.KindIndex},
		{Kind: crypto.KindIndex, Tenant: "acme"}, {Kind: crypto.KindSubject, Tenant: "acme", Subject: "ann"},
	} {
		k, err := store.ActiveKey(t.Context(), s)
		require.NoError(t, err)
		v.Keys = append(v.Keys, frozenKey{k, k.ID[:], k.Commitment[:]})
	}
	out, err := json.MarshalIndent(v, "", "\t")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(out, '\n'), 0o644))
}
