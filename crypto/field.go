// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/portalsec/portalsec"
)

// Row is [portalsec.Row]: the place of a value, which the value is bound to.
type Row = portalsec.Row

const (
	// suiteXAES is the first byte of values and wrapped keys: XAES-256-GCM.
	suiteXAES = 0x01

	keyIDSize    = len(KeyID{})
	valueHeader  = 1 + keyIDSize
	minValueSize = valueHeader + selectorSize + nonceSize + tagSize
	indexSize    = 1 + 16
)

// Field seals the values of one column. It is safe for use by several goroutines.
type Field struct {
	ring      *Keyring
	table     string
	column    string
	indexed   bool
	normalise func(string) string
}

// FieldOption is a property of a [Field].
type FieldOption func(*Field)

// WithIndex gives the field a blind index, so that rows can be found by the exact value. The index is made of
// what normalise gives for the value; nil leaves it as it is. Values that a guesser can list, such as
// postcodes or yes and no, must not be indexed: rows with equal values have equal indexes.
func WithIndex(normalise func(string) string) FieldOption {
	return func(f *Field) {
		f.indexed = true
		f.normalise = normalise
	}
}

// NormaliseEmail removes white space around an e-mail address and maps it to lower case, so that what people
// type finds what they typed before. RFC 5321 section 2.4 would let the part before the @ be case-sensitive;
// no provider of note makes use of it, and treating two spellings as two accounts is the greater danger.
func NormaliseEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// Field gives the field of a column. Table and column are names that stay when the database's change: the
// values are bound to them. Neither may be empty. Two calls with the same names give equal fields.
func (k *Keyring) Field(table, column string, opts ...FieldOption) *Field {
	f := &Field{ring: k, table: table, column: column}
	for _, o := range opts {
		o(f)
	}
	return f
}

// Format prints the name of the field.
func (f *Field) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "crypto.Field(%s.%s)", f.table, f.column) }

// Seal encrypts a value, 49 bytes longer than the plaintext, under the key of row.Subject, or of row.Tenant
// when nobody is the subject; the key is made at its first use. The value opens only at the same row, column
// and table. It returns [ErrShredded] when the subject was shredded. The caller owns the result.
func (f *Field) Seal(ctx context.Context, row Row, plaintext []byte) ([]byte, error) {
	if err := f.check(row); err != nil {
		return nil, err
	}
	d, err := f.ring.active(ctx, scopeOf(row))
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, minValueSize+len(plaintext))
	out = append(out, suiteXAES)
	out = append(out, d.id[:]...)
	aad := f.aad(d.id, row)
	out = d.forValues().appendSealed(out, plaintext, *aad)
	buffers.Put(aad)
	return out, nil
}

// Open gives the plaintext of a value that Seal made for the same row. It returns [ErrOpen] for every value
// that is not one, having recorded crypto.open_refused, and [ErrShredded] when the subject was shredded. The
// caller owns the result.
func (f *Field) Open(ctx context.Context, row Row, sealed []byte) ([]byte, error) {
	if err := f.check(row); err != nil {
		return nil, err
	}
	id, body, ok := parseValue(sealed)
	if !ok {
		return nil, f.ring.refuse(ctx, f.table+"."+f.column, row, "malformed")
	}
	d, err := f.ring.find(ctx, scopeOf(row), id)
	if err != nil {
		return nil, f.ring.refuseKey(ctx, f.table+"."+f.column, row, err)
	}
	aad := f.aad(id, row)
	plaintext, err := d.forValues().appendOpened(nil, body, *aad)
	buffers.Put(aad)
	if err != nil {
		return nil, f.ring.refuse(ctx, f.table+"."+f.column, row, "not-authentic")
	}
	return plaintext, nil
}

// Index gives the blind index of a value: 17 bytes to store beside the sealed value and to look for. Equal
// normalised values of one tenant and column have equal indexes, which tell nothing else to who lacks the
// key. The tenant "" has a key of its own, for what must be unique over the whole portal. The field must be
// made with [WithIndex].
func (f *Field) Index(ctx context.Context, tenant, value string) ([]byte, error) {
	if !f.indexed {
		return nil, fmt.Errorf("crypto: field %s.%s has no index: make it with WithIndex", f.table, f.column)
	}
	d, err := f.ring.active(ctx, Scope{Kind: KindIndex, Tenant: tenant})
	if err != nil {
		return nil, err
	}
	if f.normalise != nil {
		value = f.normalise(value)
	}
	mac := hmac.New(sha256.New, derive(d.secret[:], labelIndex, f.table, f.column)[:])
	mac.Write([]byte(value))
	return mac.Sum([]byte{d.version})[:indexSize], nil
}

// Candidates gives the indexes under which a value may be stored, one for each version of the index key that
// is in use: look for any of them. There is at least one.
func (f *Field) Candidates(ctx context.Context, tenant, value string) ([][]byte, error) {
	index, err := f.Index(ctx, tenant, value)
	if err != nil {
		return nil, err
	}
	return [][]byte{index}, nil
}

func (f *Field) check(row Row) error {
	switch {
	case f.table == "" || f.column == "":
		return errors.New("crypto: a field needs a table and a column")
	case row.ID == "":
		return fmt.Errorf("crypto: field %s.%s: Row.ID is required", f.table, f.column)
	}
	return nil
}

// buffers holds space for associated data, which escapes to the heap through the cipher's interface.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// aad gives the associated data of a value. The caller puts it back into buffers.
func (f *Field) aad(id KeyID, row Row) *[]byte {
	b := buffers.Get().(*[]byte)
	*b = appendPlace((*b)[:0], labelValue, suiteXAES, id, row, f.table, f.column, purposeValue)
	return b
}

// parseValue splits a sealed value into the ID of its key and what the cipher made.
func parseValue(sealed []byte) (id KeyID, body []byte, ok bool) {
	if len(sealed) < minValueSize || sealed[0] != suiteXAES {
		return KeyID{}, nil, false
	}
	return KeyID(sealed[1:valueHeader]), sealed[valueHeader:], true
}
