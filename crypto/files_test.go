// SPDX-License-Identifier: Apache-2.0

package crypto_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/crypto"
	"github.com/stretchr/testify/require"
)

const chunk = 16 << 10

// sizes are lengths around the edges of chunks.
var sizes = []int{0, 1, 100, chunk - 1, chunk, chunk + 1, 2*chunk - 1, 2 * chunk, 2*chunk + 1, 5*chunk + 77}

func content(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// onDisk gives the paths of all files below dir.
func onDisk(t *testing.T, dir string) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

func TestFilesRoundTrip(t *testing.T) {
	t.Parallel()
	files, _ := newFiles(t, newRing(t, crypto.Config{}))
	for _, n := range sizes {
		row := crypto.Row{Tenant: "acme", Subject: "ann", ID: strings.Repeat("x", n%50+1) + "/../" + string(rune('a'+n%26))}
		want := content(n)
		got, err := create(t.Context(), files, row, iotest.HalfReader(bytes.NewReader(want)))
		require.NoError(t, err)
		require.EqualValues(t, n, got)
		f, err := files.Open(t.Context(), row)
		require.NoError(t, err)
		require.EqualValues(t, n, f.Size())
		require.NoError(t, iotest.TestReader(f, want))
		require.NoError(t, f.Close())
		require.NoError(t, f.Close())
		_, err = f.ReadAt(make([]byte, 1), 0)
		require.ErrorIs(t, err, fs.ErrClosed)
	}
}

func TestFilesOnDisk(t *testing.T) {
	t.Parallel()
	files, dir := newFiles(t, newRing(t, crypto.Config{}))
	row := crypto.Row{Tenant: "acme", Subject: "ann", ID: "invoice.pdf"}
	_, err := create(t.Context(), files, row, strings.NewReader(strings.Repeat("a readable line\n", 5000)))
	require.NoError(t, err)
	paths := onDisk(t, dir)
	require.Len(t, paths, 1)
	require.NotContains(t, paths[0], "invoice")
	info, err := os.Stat(paths[0])
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	require.EqualValues(t, 1+8+56+80_000+5*16, info.Size())
	b, err := os.ReadFile(paths[0])
	require.NoError(t, err)
	require.Equal(t, byte(0x81), b[0])
	require.NotContains(t, string(b), "readable")
}

func TestFilesRandomAccess(t *testing.T) {
	t.Parallel()
	files, _ := newFiles(t, newRing(t, crypto.Config{}))
	row := crypto.Row{ID: "1"}
	want := content(5*chunk + 77)
	_, err := create(t.Context(), files, row, bytes.NewReader(want))
	require.NoError(t, err)
	f, err := files.Open(t.Context(), row)
	require.NoError(t, err)
	defer f.Close()
	slow := bytes.NewReader(want)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 2))
			for range 500 {
				off, n := r.Int64N(int64(len(want)+100)), r.IntN(3*chunk)
				a, b := make([]byte, n), make([]byte, n)
				na, errA := f.ReadAt(a, off)
				nb, errB := slow.ReadAt(b, off)
				if na != nb || errA != errB || !bytes.Equal(a, b) {
					t.Errorf("ReadAt(%d bytes, %d) = %d, %v, want %d, %v", n, off, na, errA, nb, errB)
				}
			}
		})
	}
	wg.Wait()
	_, err = f.ReadAt(make([]byte, 1), -1)
	require.Error(t, err)
	_, err = f.Seek(-1, io.SeekStart)
	require.Error(t, err)
	_, err = f.Seek(0, 9)
	require.Error(t, err)
}

func TestFilesServeContent(t *testing.T) {
	t.Parallel()
	files, _ := newFiles(t, newRing(t, crypto.Config{}))
	row := crypto.Row{Tenant: "acme", ID: "1"}
	want := content(3*chunk + 10)
	_, err := create(t.Context(), files, row, bytes.NewReader(want))
	require.NoError(t, err)
	f, err := files.Open(t.Context(), row)
	require.NoError(t, err)
	defer f.Close()
	modified := time.Unix(1_800_000_000, 0)
	for _, rng := range []string{"", "bytes=0-0", "bytes=16380-16390", "bytes=-5", "bytes=49000-", "bytes=0-3,20000-20003", "bytes=99999-"} {
		serve := func(c io.ReadSeeker) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Range", rng)
			w := httptest.NewRecorder()
			http.ServeContent(w, r, "x.bin", modified, c)
			return w
		}
		got, plain := serve(f), serve(bytes.NewReader(want))
		require.Equal(t, plain.Code, got.Code, rng)
		require.Equal(t, plain.Body.Len(), got.Body.Len(), rng)
		if !strings.Contains(rng, ",") { // else the parts have random boundaries
			require.Equal(t, plain.Body.Bytes(), got.Body.Bytes(), rng)
		}
	}
}

func TestFilesChanged(t *testing.T) {
	t.Parallel()
	var rec events
	files, dir := newFiles(t, newRing(t, crypto.Config{Audit: &rec}))
	row := crypto.Row{Tenant: "acme", Subject: "ann", ID: "1"}
	_, err := create(t.Context(), files, row, strings.NewReader("a short file"))
	require.NoError(t, err)
	path := onDisk(t, dir)[0]
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	opens := func(b []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, b, 0o600))
		rec.take("")
		_, err := files.Open(t.Context(), row)
		require.ErrorIs(t, err, crypto.ErrOpen)
		events := rec.take(audit.CryptoOpenRefused)
		require.Len(t, events, 1)
		require.Equal(t, &audit.Target{Type: "file", ID: "1"}, events[0].Target)
	}
	for bit := range 8 * len(good) {
		changed := bytes.Clone(good)
		changed[bit/8] ^= 1 << (bit % 8)
		opens(changed)
	}
	for n := range good {
		opens(good[:n])
	}
	opens(append(bytes.Clone(good), 0))
}

// TestFilesChangedChunk changes a file of several chunks: its length is checked at once, a chunk when it is
// read.
func TestFilesChangedChunk(t *testing.T) {
	t.Parallel()
	var rec events
	files, dir := newFiles(t, newRing(t, crypto.Config{Audit: &rec}))
	row := crypto.Row{Tenant: "acme", ID: "1"}
	want := content(3*chunk + 5)
	_, err := create(t.Context(), files, row, bytes.NewReader(want))
	require.NoError(t, err)
	path := onDisk(t, dir)[0]
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	const start, sealed = 1 + 8 + 56, chunk + 16

	for _, cut := range []int{len(good) - 1, start + 3*sealed, start + 2*sealed + 20, start + sealed, start + 16, start} {
		require.NoError(t, os.WriteFile(path, good[:cut], 0o600))
		_, err := files.Open(t.Context(), row)
		require.ErrorIs(t, err, crypto.ErrOpen, "cut to %d", cut)
	}
	swapped := bytes.Clone(good)
	copy(swapped[start:], good[start+sealed:start+2*sealed])
	copy(swapped[start+sealed:], good[start:start+sealed])
	flipped := bytes.Clone(good)
	flipped[start+sealed+1000] ^= 1
	for name, test := range map[string]struct {
		b    []byte
		good int
	}{"swapped chunks": {swapped, 0}, "flipped bit": {flipped, chunk}} {
		require.NoError(t, os.WriteFile(path, test.b, 0o600))
		f, err := files.Open(t.Context(), row)
		require.NoError(t, err, name)
		rec.take("")
		got, err := io.ReadAll(f)
		require.Equal(t, crypto.ErrOpen, err, name)
		require.True(t, bytes.Equal(want[:test.good], got), name)
		require.Len(t, rec.take(audit.CryptoOpenRefused), 1, name)
		require.NoError(t, f.Close())
	}
}

func TestFilesMoved(t *testing.T) {
	t.Parallel()
	ring := newRing(t, crypto.Config{})
	files, dir := newFiles(t, ring)
	rows := []crypto.Row{
		{Tenant: "acme", Subject: "ann", ID: "1"}, {Tenant: "acme", Subject: "ann", ID: "2"}, {Tenant: "acme", ID: "3"},
		{Tenant: "acme", ID: "4"}, {Tenant: "other", ID: "3"}, {Tenant: "other", Subject: "ann", ID: "1"},
	}
	sealed := make([][]byte, len(rows))
	for i, row := range rows {
		_, err := create(t.Context(), files, row, strings.NewReader("secret"))
		require.NoError(t, err)
		name, err := crypto.FileName(row)
		require.NoError(t, err)
		sealed[i], err = os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
	}
	for i, row := range rows {
		name, err := crypto.FileName(row)
		require.NoError(t, err)
		for j, b := range sealed {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
			f, err := files.Open(t.Context(), row)
			if i == j {
				require.NoError(t, err)
				require.NoError(t, f.Close())
				continue
			}
			require.ErrorIs(t, err, crypto.ErrOpen, "%v at the place of %v", rows[j], row)
		}
	}
	_, err := files.Open(t.Context(), crypto.Row{Tenant: "acme", Subject: "bob", ID: "1"})
	require.ErrorIs(t, err, crypto.ErrOpen, "same row, other subject")

	value, err := ring.Field("t", "c").Seal(t.Context(), rows[2], content(200))
	require.NoError(t, err)
	name, err := crypto.FileName(rows[2])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), value, 0o600))
	_, err = files.Open(t.Context(), rows[2])
	require.ErrorIs(t, err, crypto.ErrOpen, "a value is no file")
	_, err = ring.Field("t", "c").Open(t.Context(), rows[2], sealed[2])
	require.ErrorIs(t, err, crypto.ErrOpen, "a file is no value")
}

func TestFilesCreateOnce(t *testing.T) {
	t.Parallel()
	files, dir := newFiles(t, newRing(t, crypto.Config{}))
	row := crypto.Row{Tenant: "acme", ID: "1"}
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := create(t.Context(), files, row, bytes.NewReader(content(3*chunk)))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, won)
	require.Len(t, onDisk(t, dir), 1, "nothing temporary stays")
}

func TestFilesCreateFails(t *testing.T) {
	t.Parallel()
	files, dir := newFiles(t, newRing(t, crypto.Config{}))
	row := crypto.Row{Tenant: "acme", ID: "1"}
	broken := errors.New("connection reset")
	for _, r := range []io.Reader{
		io.MultiReader(bytes.NewReader(content(chunk+5)), iotest.ErrReader(broken)),
		// What the body of an upload that broke off reports. It is no end of the file.
		io.MultiReader(bytes.NewReader(content(chunk+5)), iotest.ErrReader(io.ErrUnexpectedEOF)),
		io.MultiReader(bytes.NewReader(content(2*chunk)), iotest.ErrReader(io.ErrUnexpectedEOF)),
		http.MaxBytesReader(nil, io.NopCloser(bytes.NewReader(content(3*chunk))), 2*chunk),
		idle{},
	} {
		_, err := create(t.Context(), files, row, r)
		require.Error(t, err)
		require.Empty(t, onDisk(t, dir))
	}
	_, err := create(t.Context(), files, row, iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
	var tooLarge *http.MaxBytesError
	_, err = create(t.Context(), files, row, http.MaxBytesReader(nil, io.NopCloser(bytes.NewReader(content(3))), 2))
	require.ErrorAs(t, err, &tooLarge)

	ctx, cancel := context.WithCancel(t.Context())
	_, err = create(ctx, files, row, io.MultiReader(bytes.NewReader(content(5)), cancels{cancel}, bytes.NewReader(content(5))))
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, onDisk(t, dir))

	_, err = create(t.Context(), files, crypto.Row{Tenant: "acme"}, bytes.NewReader(nil))
	require.EqualError(t, err, "crypto: files: Row.ID is required")
}

// idle never gives anything.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// cancels ends a context when it is read.
type cancels struct{ cancel context.CancelFunc }

func (c cancels) Read([]byte) (int, error) {
	c.cancel()
	return 0, io.EOF
}

func TestFilesRemove(t *testing.T) {
	t.Parallel()
	files, dir := newFiles(t, newRing(t, crypto.Config{}))
	row := crypto.Row{Tenant: "acme", ID: "1"}
	require.NoError(t, files.Remove(t.Context(), row), "nothing there")
	_, err := files.Open(t.Context(), row)
	require.ErrorIs(t, err, fs.ErrNotExist)

	_, err = create(t.Context(), files, row, strings.NewReader("secret"))
	require.NoError(t, err)
	// What a crash leaves when it comes between the link and the removal of the temporary name.
	path := onDisk(t, dir)[0]
	require.NoError(t, os.Link(path, path+".abc"))
	require.NoError(t, files.Remove(t.Context(), row))
	require.Empty(t, onDisk(t, dir))
	require.NoError(t, files.Remove(t.Context(), row), "again")
	_, err = files.Open(t.Context(), row)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = create(t.Context(), files, row, strings.NewReader("another"))
	require.NoError(t, err)
}

func TestFilesShredded(t *testing.T) {
	t.Parallel()
	ring := newRing(t, crypto.Config{})
	files, dir := newFiles(t, ring)
	row := crypto.Row{Tenant: "acme", Subject: "ann", ID: "1"}
	_, err := create(t.Context(), files, row, strings.NewReader("secret"))
	require.NoError(t, err)
	require.NoError(t, ring.Shred(t.Context(), "acme", "ann"))
	_, err = files.Open(t.Context(), row)
	require.ErrorIs(t, err, crypto.ErrShredded)
	_, err = create(t.Context(), files, crypto.Row{Tenant: "acme", Subject: "ann", ID: "2"}, strings.NewReader("x"))
	require.ErrorIs(t, err, crypto.ErrShredded)
	require.Len(t, onDisk(t, dir), 1)
}
