// SPDX-License-Identifier: Apache-2.0

package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"

	"github.com/portalsec/portalsec/crypto"
)

const (
	lockFile = ".lock"
	// markerFile is in the folder while its first start is under way. It lists what that start makes, so that one
	// that failed or was killed can be undone, whatever else is there.
	markerFile = "first-start.json"
)

// dbSuffixes are what the names of SQLite's files add to the database's.
var dbSuffixes = []string{"", "-wal", "-shm", "-journal"}

// folder is the data folder while a portal uses it. One process does at a time.
type folder struct {
	cfg   config
	lock  *flock.Flock
	made  bool // the folder was not there before, and holds nothing worth keeping yet
	first bool // there is no portal in it yet
}

// openFolder takes the folder of cfg for this process and tells whether it holds a portal. Whatever is unclear
// is an error: a folder with other things in it, a database without its key.
func openFolder(cfg config) (_ *folder, err error) {
	f := &folder{cfg: cfg, made: !exists(cfg.data)}
	if err := os.MkdirAll(cfg.data, 0o700); err != nil {
		return nil, usageError{fmt.Errorf("-data: %w", err)}
	}
	f.lock = flock.New(f.path(lockFile), flock.SetPermissions(0o600))
	mine, err := f.lock.TryLock()
	if err != nil {
		f.close()
		return nil, usageError{fmt.Errorf("-data: %w", err)}
	}
	if !mine {
		return nil, fmt.Errorf("another process uses the data folder %s", cfg.data)
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if err := f.undo(); err != nil { // an earlier first start did not get to its end
		return nil, err
	}
	if exists(cfg.dbFile) {
		if err := f.whole(); err != nil {
			return nil, err
		}
		f.made = false
		return f, nil
	}
	entries, err := os.ReadDir(cfg.data)
	if err != nil {
		return nil, usageError{fmt.Errorf("-data: %w", err)}
	}
	for _, e := range entries {
		if slices.Contains([]string{lockFile, "lost+found"}, e.Name()) || sameFile(f.path(e.Name()), cfg.keyFile) {
			continue
		}
		return nil, usageError{fmt.Errorf("-data: %s holds %s but no portal: the database %s is missing; put it back or name an empty folder", cfg.data, e.Name(), cfg.dbFile)}
	}
	f.first = true
	return f, nil
}

// whole checks that a portal has all its parts, without changing any.
func (f *folder) whole() error {
	if !exists(f.cfg.keyFile) {
		return usageError{fmt.Errorf("-key: %s is missing, and without it the database %s cannot be read: put the key file back", f.cfg.keyFile, f.cfg.dbFile)}
	}
	db, err := openDB(f.cfg.dbFile, "ro")
	if err != nil {
		return usageError{fmt.Errorf("-db: %w", err)}
	}
	defer db.Close()
	var demo bool
	if err := db.QueryRow(`SELECT demo FROM portal_setting`).Scan(&demo); err != nil {
		return usageError{fmt.Errorf("-db: %s holds no portal (%w): put the right file there, or name one that does not exist", f.cfg.dbFile, err)}
	}
	for _, part := range []struct{ name, what string }{{"audit", "the audit log"}, {"files", "the attachments"}} {
		if path := f.path(part.name); !exists(path) {
			return usageError{fmt.Errorf("-data: the folder %s with %s is missing: put it back, or make an empty one to begin anew", path, part.what)}
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

func (f *folder) path(name string) string { return filepath.Join(f.cfg.data, name) }

// begin writes down what the first start will make, and makes the database's file. What is in the folder is named
// relative to it, so that a copy of an unfinished folder is undone where it is. The list comes first: a database
// that is there without one is somebody's.
func (f *folder) begin() error {
	name, err := f.name(f.cfg.dbFile)
	if err != nil {
		return err
	}
	makes := []string{"audit", "files", demoFile, firstFile}
	for _, suffix := range dbSuffixes {
		makes = append(makes, name+suffix)
	}
	if !exists(f.cfg.keyFile) {
		if name, err = f.name(f.cfg.keyFile); err != nil {
			return err
		}
		makes = append(makes, name)
	}
	b, err := json.Marshal(makes)
	if err != nil {
		return err
	}
	marker := f.path(markerFile)
	if err = os.WriteFile(marker+".new", b, 0o600); err == nil {
		err = os.Rename(marker+".new", marker) // whole or not at all
	}
	if err != nil {
		return errors.Join(usageError{fmt.Errorf("-data: %w", err)}, remove(marker+".new"))
	}
	db, err := os.OpenFile(f.cfg.dbFile, os.O_CREATE|os.O_EXCL, 0o600) // nobody else's, and nobody else can read it
	if err != nil {
		return errors.Join(usageError{fmt.Errorf("-db: %w", err)}, remove(marker)) // what is there is not to be undone
	}
	return db.Close()
}

// remove removes a file that may not be there.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// name gives the path of a file relative to the folder when it is in it, and else as an absolute one.
func (f *folder) name(path string) (string, error) {
	dir, err := filepath.Abs(f.cfg.data)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", err
	}
	if rest, ok := strings.CutPrefix(path, dir+string(filepath.Separator)); ok {
		return rest, nil
	}
	return path, nil
}

// finish ends the first start.
func (f *folder) finish() error {
	f.first, f.made = false, false
	return os.Remove(f.path(markerFile))
}

// undo removes what a first start that did not get to its end has made. Outside of the folder it removes only
// what the flags of today still name, and nothing that another portal may have come to use.
func (f *folder) undo() error {
	marker := f.path(markerFile)
	b, err := os.ReadFile(marker)
	if errors.Is(err, fs.ErrNotExist) {
		return remove(marker + ".new")
	}
	var makes []string
	if err == nil {
		err = json.Unmarshal(b, &makes)
	}
	if err != nil {
		return fmt.Errorf("-data: %s: %w", marker, err)
	}
	db, err := f.name(f.cfg.dbFile)
	if err != nil {
		return err
	}
	key, err := f.name(f.cfg.keyFile)
	if err != nil {
		return err
	}
	if slices.Contains(makes, db) {
		mine, err := unfinished(f.cfg.dbFile)
		if err != nil {
			return fmt.Errorf("-db %s: is it the one of the first start that did not get to its end? %w", f.cfg.dbFile, err)
		}
		if !mine {
			return os.Remove(marker)
		}
	}
	for _, name := range makes {
		path := f.path(name)
		if filepath.IsAbs(name) {
			suffix, ofDB := strings.CutPrefix(name, db)
			_, broken := crypto.OpenKeyFile(name)
			switch {
			case ofDB && slices.Contains(dbSuffixes, suffix):
			case name == key && broken != nil: // a whole one may be another portal's by now, and serves as well
			default:
				continue
			}
			path = name
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("undo the first start: %w", err)
		}
	}
	return os.Remove(marker)
}

// unfinished tells whether a database holds nothing, or no more than a part of a portal: the last thing that a
// first start writes is its setting.
func unfinished(path string) (bool, error) {
	if !exists(path) {
		return true, nil
	}
	db, err := openDB(path, "rw") // what a kill has left in its journal is put right
	if err != nil {
		return false, err
	}
	defer db.Close()
	var foreign, settings int
	if err := db.QueryRow(`SELECT COUNT(*) FILTER (WHERE name NOT GLOB 'ps_*' AND name NOT GLOB 'portal_*' AND name NOT GLOB 'sqlite_*'),
		COUNT(*) FILTER (WHERE name = 'portal_setting') FROM sqlite_schema WHERE type = 'table'`).Scan(&foreign, &settings); err != nil {
		return false, err
	}
	if foreign > 0 || settings == 0 {
		return foreign == 0, nil
	}
	err = db.QueryRow(`SELECT COUNT(*) FROM portal_setting`).Scan(&settings)
	return settings == 0, err
}

// openDB opens the file of a database as it is.
func openDB(path, mode string) (*sql.DB, error) {
	q := url.Values{"mode": {mode}, "_pragma": {"busy_timeout(10000)"}}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
}

// close lets go of the folder. One that this process made for nothing goes too.
func (f *folder) close() error {
	var undone error
	if f.first {
		undone = f.undo()
	}
	err := f.lock.Close()
	if f.made {
		_ = os.Remove(f.lock.Path())
		_ = os.Remove(f.cfg.data) // stays when something else is in it
	}
	return errors.Join(undone, err)
}
