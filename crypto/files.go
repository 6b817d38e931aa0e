// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"sync"
)

const (
	// suiteCobblestone is the first byte of files: Cobblestone-256. Suites of files have the high bit set, so
	// that no file is ever taken for a value.
	suiteCobblestone = 0x81

	fileHeader = 1 + keyIDSize
)

// Files keeps encrypted files in a folder. A file's name on disk is made from its row, so that nothing that a
// user typed reaches the file system. It is safe for use by several goroutines and processes.
type Files struct {
	ring *Keyring
	root *os.Root
}

// Files gives the files below root, which the caller closes when no file is in use any more. The folder
// should be readable to the portal's user only, and on a file system that has hard links.
func (k *Keyring) Files(root *os.Root) *Files { return &Files{ring: k, root: root} }

// Format prints no content.
func (s *Files) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "crypto.Files(%s)", s.root.Name()) }

// Create encrypts all of r into the file of a row, under the key of row.Subject, or of row.Tenant when nobody
// is the subject, and gives the number of bytes read. The whole file appears at once and lasts when Create
// returns; when it fails, nothing is left. It holds some 50 KiB at a time.
//
// An error for which errors.Is(err, fs.ErrExist) holds says that the row has a file; of concurrent calls one
// wins. An error of r is passed on. Create reads however much r gives: limit it, for a request's body with
// [net/http.MaxBytesReader]. It returns [ErrShredded] when the subject was shredded.
func (s *Files) Create(ctx context.Context, row Row, r io.Reader) (size int64, err error) {
	name, err := fileName(row)
	if err != nil {
		return 0, err
	}
	d, err := s.ring.active(ctx, scopeOf(row))
	if err != nil {
		return 0, err
	}
	if _, err := s.root.Lstat(name); err == nil { // spares reading r; Link below decides
		return 0, fmt.Errorf("crypto: create file: %w", &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist})
	}
	if err := s.makeDir(path.Dir(name)); err != nil {
		return 0, fmt.Errorf("crypto: create file: %w", err)
	}
	temp := name + "." + strings.ToLower(rand.Text())
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, fmt.Errorf("crypto: create file: %w", err)
	}
	size, err = s.write(ctx, f, d, row, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return size, fmt.Errorf("crypto: write file: %w", errors.Join(err, s.root.Remove(temp)))
	}
	// Unlike a rename, a link never replaces a file.
	if err := s.root.Link(temp, name); err != nil {
		return size, fmt.Errorf("crypto: create file: %w", errors.Join(err, s.root.Remove(temp)))
	}
	if err := errors.Join(s.root.Remove(temp), syncDir(s.root.Open, path.Dir(name))); err != nil {
		return size, fmt.Errorf("crypto: create file: %w", errors.Join(err, s.root.Remove(name)))
	}
	return size, nil
}

func (s *Files) write(ctx context.Context, f *os.File, d *dataKey, row Row, r io.Reader) (int64, error) {
	header := append([]byte{suiteCobblestone}, d.id[:]...)
	if _, err := f.Write(header); err != nil {
		return 0, err
	}
	size, err := sealStream(f, contextReader{ctx, r}, d.subkey(purposeFile), fileContext(d.id, row))
	if err != nil {
		return size, err
	}
	return size, f.Sync()
}

// Open gives the file of a row. An error for which errors.Is(err, fs.ErrNotExist) holds says that there is
// none. [ErrOpen], recorded as crypto.open_refused, says that the file was cut, extended, moved here from
// another row or does not belong to this package; a change within is found when the place is read.
// [ErrShredded] says that the subject was shredded.
func (s *Files) Open(ctx context.Context, row Row) (*File, error) {
	name, err := fileName(row)
	if err != nil {
		return nil, err
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("crypto: open file: %w", err)
	}
	c, err := s.open(ctx, f, row)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{
		f: f, chunks: c,
		// The context serves the audit log only; a File lives no longer than the request that opened it.
		refuse: func() error { return s.ring.refuse(ctx, "file", row, "not-authentic") },
	}, nil
}

func (s *Files) open(ctx context.Context, f *os.File, row Row) (*chunks, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("crypto: open file: %w", err)
	}
	var header [fileHeader]byte
	n, err := f.ReadAt(header[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("crypto: open file: %w", err)
	}
	if n < len(header) || header[0] != suiteCobblestone {
		return nil, s.ring.refuse(ctx, "file", row, "malformed")
	}
	id := KeyID(header[1:])
	d, err := s.ring.find(ctx, scopeOf(row), id)
	if err != nil {
		return nil, s.ring.refuseKey(ctx, "file", row, err)
	}
	length := info.Size() - int64(fileHeader)
	c, err := openChunks(io.NewSectionReader(f, int64(fileHeader), length), length, d.subkey(purposeFile), fileContext(id, row))
	if errors.Is(err, ErrOpen) {
		return nil, s.ring.refuse(ctx, "file", row, "not-authentic")
	}
	if err != nil {
		return nil, fmt.Errorf("crypto: open file: %w", err)
	}
	return c, nil
}

// Remove deletes the file of a row, with anything that a crash in Create may have left of it, and so that a
// crash cannot bring it back. A file that is not there is no error, so that a deletion may be repeated.
func (s *Files) Remove(ctx context.Context, row Row) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name, err := fileName(row)
	if err != nil {
		return err
	}
	err = s.remove(path.Split(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // without its folder there is no file
		return fmt.Errorf("crypto: remove file: %w", err)
	}
	return nil
}

func (s *Files) remove(dir, base string) error {
	d, err := s.root.Open(path.Clean(dir))
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, n := range names {
		if n == base || strings.HasPrefix(n, base+".") {
			if err := s.root.Remove(dir + n); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return syncDir(s.root.Open, path.Clean(dir))
}

// File is an open file in the clear. It serves [net/http.ServeContent], with ranges. It is safe for use by
// several goroutines as far as ReadAt goes; Read and Seek share one position.
type File struct {
	f      *os.File
	refuse func() error

	mu     sync.Mutex
	chunks *chunks
	pos    int64
	closed bool
}

var (
	_ io.ReadSeekCloser = (*File)(nil)
	_ io.ReaderAt       = (*File)(nil)
)

// Size gives the length of the content in bytes. It was checked when the file was opened.
func (f *File) Size() int64 { return f.chunks.size }

// Read implements [io.Reader]. It returns [ErrOpen], and nothing of the place, where the file was changed.
func (f *File) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.readAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil // the next call tells
	}
	return n, err
}

// ReadAt implements [io.ReaderAt], with the errors of Read.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.readAt(p, off)
}

func (f *File) readAt(p []byte, off int64) (int, error) {
	if f.closed {
		return 0, fmt.Errorf("crypto: read file: %w", fs.ErrClosed)
	}
	n, err := f.chunks.readAt(p, off)
	if errors.Is(err, ErrOpen) {
		err = f.refuse()
	}
	return n, err
}

// Seek implements [io.Seeker].
func (f *File) Seek(offset int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		offset += f.chunks.size
	default:
		return 0, errors.New("crypto: seek: unknown whence")
	}
	if offset < 0 {
		return 0, errors.New("crypto: seek before the beginning")
	}
	f.pos = offset
	return offset, nil
}

// Close closes the file and clears what was read of it. A second call does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	f.chunks.forget()
	return f.f.Close()
}

// Format prints no content.
func (f *File) Format(s fmt.State, _ rune) { fmt.Fprint(s, "crypto.File") }

// fileName gives the name on disk of a row's file. It depends on no key, so it stays when keys change.
func fileName(row Row) (string, error) {
	if row.ID == "" {
		return "", errors.New("crypto: files: Row.ID is required")
	}
	h := sha256.Sum256(appendTuple(nil, labelFileName, row.Tenant, row.ID))
	name := hex.EncodeToString(h[:])
	return name[:2] + "/" + name[2:], nil
}

// fileContext binds a file to its place.
func fileContext(id KeyID, row Row) []byte {
	return appendPlace(nil, labelFile, suiteCobblestone, id, row, "", "", purposeFile)
}

// makeDir makes one of the folders that files are spread over.
func (s *Files) makeDir(dir string) error {
	err := s.root.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(s.root.Open, ".")
}

// syncDir makes the names in a folder durable. Windows has no such call.
func syncDir(open func(string) (*os.File, error), dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
