// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"
)

const (
	// MaxData is how many bytes all values of a session may take together, as they are stored.
	MaxData = 8 << 10

	// dataLabel begins what is sealed, so that nobody who can write the store can have a session's data taken for
	// where it was started, or the other way round: both are sealed for the same row.
	dataLabel = "session data\n"

	// maxValueName is the greatest length of a value's name in bytes.
	maxValueName = 64

	// setTries is how often Set tries again when other requests of the session write at the same time. A browser
	// sends a handful at once.
	setTries = 32
)

// Value is a value of type T that the application keeps in a session, such as a half filled form. It is stored as
// JSON, sealed when [Config.Sealer] is given, and ends with the session: it is not there in the next one. It may be used
// by several goroutines.
//
// A session is loaded anew by each call. After [Manager.Rotate] and [Manager.Restamp] the request still carries the old
// token, so set values before.
type Value[T any] struct {
	m    *Manager
	name string
}

// NewValue gives the value with a name, 1 to 64 bytes of UTF-8, which no other value of m may have.
func NewValue[T any](m *Manager, name string) (Value[T], error) {
	if name == "" || len(name) > maxValueName || !utf8.ValidString(name) {
		return Value[T]{}, fmt.Errorf("session: value %q: want a name of 1 to %d bytes of UTF-8", name, maxValueName)
	}
	if !m.values.take(name) {
		return Value[T]{}, fmt.Errorf("session: value %q: another value has this name", name)
	}
	return Value[T]{m, name}, nil
}

func (v *valueNames) take(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.taken[name] {
		return false
	}
	if v.taken == nil {
		v.taken = map[string]bool{}
	}
	v.taken[name] = true
	return true
}

// Get gives the value in the session that r carries, and whether there is one. It returns [ErrNoSession] when r carries
// none, and another error when the store failed or what is stored is no T.
func (v Value[T]) Get(ctx context.Context, r *http.Request) (value T, ok bool, err error) {
	rec, err := v.m.load(ctx, r)
	if err != nil {
		return value, false, err
	}
	all, err := v.m.openData(ctx, rec)
	if err != nil {
		return value, false, fmt.Errorf("session: value %q: %w", v.name, err)
	}
	text, ok := all[v.name]
	if !ok {
		return value, false, nil
	}
	if err := json.Unmarshal(text, &value); err != nil {
		var zero T
		return zero, false, v.notT()
	}
	return value, true, nil
}

// notT is the error for what is no T. It leaves out that of the decoder, which quotes the value.
func (v Value[T]) notT() error {
	return fmt.Errorf("session: value %q: what is stored is no %T", v.name, *new(T))
}

// Set keeps a value in the session that r carries. It returns [ErrNoSession] when r carries none or it ends meanwhile, and
// [ErrTooMuchData] when it holds more than [MaxData] bytes then.
func (v Value[T]) Set(ctx context.Context, r *http.Request, value T) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("session: value %q: %w", v.name, err)
	}
	return v.m.changeData(ctx, r, v.name, func(all map[string]json.RawMessage) { all[v.name] = text })
}

// Clear removes the value from the session that r carries. It returns [ErrNoSession] when r carries none.
func (v Value[T]) Clear(ctx context.Context, r *http.Request) error {
	return v.m.changeData(ctx, r, v.name, func(all map[string]json.RawMessage) { delete(all, v.name) })
}

// changeData changes the values of the session of r. When another request writes at the same time, it starts again from
// what that one has written, so that neither is lost.
func (m *Manager) changeData(ctx context.Context, r *http.Request, name string, change func(map[string]json.RawMessage)) error {
	for range setTries {
		rec, err := m.load(ctx, r)
		if err != nil {
			return err
		}
		all, err := m.openData(ctx, rec)
		if err != nil {
			return fmt.Errorf("session: value %q: %w", name, err)
		}
		change(all)
		data, err := m.sealData(ctx, rec, all)
		if err != nil {
			return fmt.Errorf("session: value %q: %w", name, err)
		}
		switch won, err := m.store.SetSessionData(ctx, rec.Token, rec.Data, data); {
		case errors.Is(err, ErrNoSession):
			return ErrNoSession
		case err != nil:
			return fmt.Errorf("session: value %q: %w", name, err)
		case won:
			return nil
		}
	}
	return fmt.Errorf("session: value %q: other requests changed the session %d times meanwhile", name, setTries)
}

// sealData gives the bytes of values for the session rec.
func (m *Manager) sealData(ctx context.Context, rec Record, all map[string]json.RawMessage) (data []byte, err error) {
	if len(all) == 0 {
		return nil, nil
	}
	if data, err = json.Marshal(all); err != nil {
		return nil, err
	}
	if m.sealer != nil {
		if data, err = m.sealer.Seal(ctx, row(rec), append([]byte(dataLabel), data...)); err != nil {
			return nil, err
		}
	}
	if len(data) > MaxData {
		return nil, ErrTooMuchData
	}
	return data, nil
}

// openData is the inverse of sealData. Its map is never nil.
func (m *Manager) openData(ctx context.Context, rec Record) (all map[string]json.RawMessage, err error) {
	all = map[string]json.RawMessage{}
	if len(rec.Data) == 0 {
		return all, nil
	}
	data := rec.Data
	if m.sealer != nil {
		if data, err = m.sealer.Open(ctx, row(rec), data); err != nil {
			return nil, err
		}
		var ok bool
		if data, ok = bytes.CutPrefix(data, []byte(dataLabel)); !ok {
			return nil, errData
		}
	}
	if err := json.Unmarshal(data, &all); err != nil || all == nil {
		return nil, errData // not the decoder's error, which quotes what it read
	}
	return all, nil
}
