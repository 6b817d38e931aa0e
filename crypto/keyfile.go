// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

const (
	keyFileHeader  = "portalsec key file v1"
	keyFileMaxSize = 4096
)

// KeyFile is a root key that lives in a file of its own, apart from the database and its backups. It is safe
// for use by several goroutines, and prints nothing secret.
type KeyFile struct {
	wrap *[keySize]byte // a pointer, because fmt prints what is in unexported fields
	id   string
}

var _ KeyWrapper = (*KeyFile)(nil)

// GenerateKeyFile writes a new random key to a file that must not exist, readable by its owner only. The file
// lasts when it returns. Keep a copy where the database's backups are not: who loses the file loses every value
// sealed under it.
func GenerateKeyFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("crypto: make key file: %w", err)
	}
	key := make([]byte, keySize)
	rand.Read(key) // never fails
	text := keyFileHeader + "\n" + base64.StdEncoding.EncodeToString(key) + "\n"
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = syncDir(os.Open, filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("crypto: write key file %s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}

// OpenKeyFile reads a key file. It refuses one that others than its owner may read or write, except on
// Windows, where the permission bits say nothing. Errors name the file and never its content.
func OpenKeyFile(path string) (*KeyFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("crypto: open key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("crypto: open key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("crypto: key file %s is not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("crypto: key file %s has mode %04o: others may read or change it; run chmod 600 on it", path, perm)
	}
	text, err := io.ReadAll(io.LimitReader(f, keyFileMaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("crypto: read key file: %w", err)
	}
	key, err := parseKeyFile(text)
	clear(text)
	if err != nil {
		return nil, fmt.Errorf("crypto: key file %s %w", path, err)
	}
	defer clear(key[:])
	return &KeyFile{
		wrap: derive(key[:], labelKeyFile, purposeWrap),
		id:   hex.EncodeToString(derive(key[:], labelKeyFile, purposeID)[:8]),
	}, nil
}

// parseKeyFile reads the text of a key file. Its errors go on after the file's name.
func parseKeyFile(text []byte) (key [keySize]byte, err error) {
	if len(text) > keyFileMaxSize {
		return key, errors.New("is too large to be one")
	}
	header, rest, _ := bytes.Cut(text, []byte("\n"))
	if string(header) != keyFileHeader {
		if bytes.HasPrefix(header, []byte("portalsec key file v")) {
			return key, errors.New("is of a version that this program does not know")
		}
		return key, fmt.Errorf("does not begin with the line %q", keyFileHeader)
	}
	line, rest, _ := bytes.Cut(rest, []byte("\n"))
	if len(rest) > 0 {
		return key, errors.New("has more than two lines")
	}
	if bytes.ContainsRune(line, '\r') { // the decoder would pass over it
		return key, errors.New("has carriage returns: save it with plain line feeds")
	}
	encoding := base64.StdEncoding.Strict()
	b := make([]byte, encoding.DecodedLen(len(line)))
	defer clear(b)
	n, err := encoding.Decode(b, line)
	if err != nil {
		return key, errors.New("has a second line that is not base64")
	}
	if n != keySize {
		return key, fmt.Errorf("holds %d bytes of key, want %d", n, keySize)
	}
	return [keySize]byte(b[:n]), nil
}

// Wrap implements [KeyWrapper].
func (f *KeyFile) Wrap(_ context.Context, key, aad []byte) ([]byte, error) {
	return wrapKey(f.wrap, key, aad), nil
}

// Unwrap implements [KeyWrapper].
func (f *KeyFile) Unwrap(_ context.Context, wrapped, aad []byte) ([]byte, error) {
	return unwrapKey(f.wrap, wrapped, aad)
}

// ID gives 16 hexadecimal digits that are derived from the key and say nothing about it.
func (f *KeyFile) ID() string { return f.id }

// Format keeps the key out of every verb of package fmt.
func (f KeyFile) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "crypto.KeyFile(%s)", f.id) }
