// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// Config says where a log is kept.
type Config struct {
	// Dir is the directory of the log. It is created with mode 0700 when it is missing. It belongs on a local
	// disk: the lock that keeps a second process out is not reliable on a network file system.
	Dir string
	// Clock dates events that carry no time. Nil is the system's.
	Clock portalsec.Clock
}

// Log is an open log. It may be used by several goroutines. It implements audit.Recorder.
type Log struct {
	path  string
	clock portalsec.Clock
	file  *os.File
	write func([]byte) (int, error)
	sync  func() error

	// turn holds one token: who has it may write to the file.
	turn chan struct{}

	mu     sync.Mutex
	queue  []*pending // taken by who has the turn
	closed bool
	failed error
	// What follows describes the part of the file that is on disk.
	last  uint64
	head  [32]byte
	size  int64
	marks []mark
}

var _ audit.Recorder = (*Log)(nil)

// pending is an event that waits for its write.
type pending struct {
	event []byte
	done  chan struct{} // closed when err is set
	err   error
}

// markEvery is how many entries lie between two marks: a reader skips fewer than that to find its first one.
const markEvery = 256

// mark is a place in the file where a reader may begin: the end of the entry whose number is a multiple of
// markEvery, with its hash.
type mark struct {
	offset int64
	head   [32]byte
}

// Open opens the log in cfg.Dir, or begins one. It reads the whole log, refuses one with a broken link with a
// *[BrokenError], and one of a later version with [ErrNewerFormat]. A last line that was not finished, as a
// crash leaves it, is cut off: Record had not returned for it. Each opening is an event of kind
// audit.LogOpened, which tells how many bytes were cut.
//
// The log is held until Close or the end of the process; a second Open returns [ErrInUse].
func Open(cfg Config) (*Log, error) {
	if cfg.Dir == "" {
		return nil, errors.New("ledger: Config.Dir is required")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	path := filepath.Join(cfg.Dir, fileName)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("ledger: %s is not a regular file", path)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	l := &Log{
		path: path, clock: cfg.Clock, file: f, turn: make(chan struct{}, 1),
		write: f.Write, sync: func() error { return datasync(f) },
	}
	if err := l.open(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w (%s)", err, path)
	}
	return l, nil
}

// open takes the lock, reads the file, mends its end and records that it did.
func (l *Log) open() error {
	if err := lock(l.file); err != nil {
		return err
	}
	// A copy from a backup may be readable to others, and it holds client addresses.
	if err := l.file.Chmod(0o600); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	cut, err := l.scan()
	if err != nil {
		return err
	}
	if cut > 0 {
		if err := l.file.Truncate(l.size); err != nil {
			return fmt.Errorf("ledger: cut the unfinished line: %w", err)
		}
	}
	if l.size == 0 {
		if err := l.begin(); err != nil {
			return err
		}
	}
	e := audit.Event{Kind: audit.LogOpened, Outcome: audit.Success, Details: []audit.Detail{
		{Name: "entries", Value: strconv.FormatUint(l.last, 10)},
	}}
	if cut > 0 {
		e.Reason, e.Severity = "unfinished-line-cut", audit.Warning
		e.Details = append(e.Details, audit.Detail{Name: "cut_bytes", Value: strconv.FormatInt(cut, 10)})
	}
	return l.Record(context.Background(), e)
}

// scan reads the file and tells how many bytes of an unfinished line stand at its end.
func (l *Log) scan() (cut int64, err error) {
	info, err := l.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	s := newScanner(io.NewSectionReader(l.file, 0, info.Size()))
	err = s.start()
	for err == nil {
		if _, err = s.next(); err == nil {
			l.note(s.last, s.head, s.offset)
		}
	}
	l.last, l.head, l.size = s.last, s.head, s.offset
	if err != io.EOF && err != errTorn {
		return 0, err
	}
	return info.Size() - s.offset, nil
}

// begin writes the first line of an empty file and puts the file's name on disk, too.
func (l *Log) begin() error {
	if _, err := l.file.WriteString(header); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	dir := filepath.Dir(l.path)
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := syncDir(d); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	l.size = int64(len(header))
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// note remembers the end of an entry when a mark is due.
func (l *Log) note(index uint64, head [32]byte, end int64) {
	if index%markEvery == 0 {
		l.marks = append(l.marks, mark{offset: end, head: head})
	}
}

// Record writes e and returns when it is on disk. Calls that wait at the same time share one write and one
// sync. An event larger than 64 KiB as JSON, or of a kind that is neither the SDK's nor in the application's
// namespace, is refused.
//
// When a write or sync fails, that call and all later ones fail until the log is opened anew: what the disk
// holds after a failed sync cannot be known, and a second sync may wrongly succeed. An event whose Record
// failed may or may not be in the log.
//
// The end of ctx does not take an event back: else a client could hang up to keep its act out of the log.
func (l *Log) Record(ctx context.Context, e audit.Event) error {
	if e.Time.IsZero() {
		e.Time = l.clock.Now()
	}
	e = audit.Prepare(ctx, e)
	if !e.Kind.Known() {
		return fmt.Errorf("ledger: unknown kind %q: an application's own start with \"app.\"", e.Kind)
	}
	if e.Outcome == "" {
		return fmt.Errorf("ledger: event of kind %q without outcome", e.Kind)
	}
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("ledger: encode event: %w", err)
	}
	if len(b) > maxEvent {
		return fmt.Errorf("ledger: event of kind %q has %d bytes, more than %d", e.Kind, len(b), maxEvent)
	}
	p := &pending{event: b, done: make(chan struct{})}
	if err := l.enqueue(p); err != nil {
		return err
	}
	select {
	case l.turn <- struct{}{}:
		l.commit()
		<-l.turn
		<-p.done // by this commit or the one before it
	case <-p.done:
	}
	return p.err
}

func (l *Log) enqueue(p *pending) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return fmt.Errorf("ledger: log stopped at an earlier failure: %w", l.failed)
	}
	if l.closed {
		return ErrClosed
	}
	l.queue = append(l.queue, p)
	return nil
}

// commit writes all events that wait. The caller has the turn.
func (l *Log) commit() {
	l.mu.Lock()
	batch, err := l.queue, l.failed
	l.queue = nil
	index, head := l.last, l.head
	l.mu.Unlock()
	if len(batch) == 0 {
		return
	}

	var buf []byte
	var ends []mark
	for _, p := range batch {
		index++
		hash := link(index, head, p.event)
		buf = appendLine(buf, index, head, hash, p.event)
		head = hash
		ends = append(ends, mark{offset: l.size + int64(len(buf)), head: head})
	}
	if err == nil {
		err = l.store(buf)
	}

	l.mu.Lock()
	if err == nil {
		for i, m := range ends {
			l.note(l.last+uint64(i)+1, m.head, m.offset)
		}
		l.last, l.head, l.size = index, head, l.size+int64(len(buf))
	} else if l.failed == nil {
		l.failed = err
	}
	l.mu.Unlock()
	for _, p := range batch {
		p.err = err
		close(p.done)
	}
}

// store appends b to the file and puts it on disk. Only who has the turn changes l.size.
func (l *Log) store(b []byte) error {
	info, err := os.Stat(l.path)
	if err != nil {
		return fmt.Errorf("ledger: the log's file is gone: %w", err)
	}
	own, err := l.file.Stat()
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	// Otherwise events would go on being accepted into a file that nobody finds again, or behind what
	// another program wrote.
	if !os.SameFile(info, own) || own.Size() != l.size {
		return fmt.Errorf("ledger: another program changed or replaced %s", l.path)
	}
	if _, err := l.write(b); err != nil {
		return fmt.Errorf("ledger: write: %w", err)
	}
	if err := l.sync(); err != nil {
		return fmt.Errorf("ledger: sync: %w", err)
	}
	return nil
}

// Err tells why the log has stopped, and nil while it takes events. A health check asks it.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// Close writes what waits and lets go of the log. Record and Read return [ErrClosed] after it. It may be called
// twice.
func (l *Log) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.mu.Unlock()

	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if !first {
		return nil
	}
	l.commit()
	unlock(l.file)
	return l.file.Close()
}
