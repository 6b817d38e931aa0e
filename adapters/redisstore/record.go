// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
)

// The package's comment tells the format of both; the scripts read the same places.
const (
	recordVersion  = 1
	counterVersion = 1

	recordHead  = 1 + 8 + 8 + 4 + 4
	counterHead = 1 + 4 + 8 + 8 + len(throttle.Key{})
)

var (
	errVersion = errors.New("it has a version that this package does not know")
	errDamaged = errors.New("it is damaged")
)

func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixMicro()))
}

func appendSized[T string | []byte](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// encodeTime gives a time as it stands in records.
func encodeTime(t time.Time) []byte { return appendTime(nil, t) }

// encodeRecord gives a session without its token, under which it is kept.
func encodeRecord(r session.Record) []byte {
	var fixed []byte
	for _, s := range []string{r.Tenant, r.User, r.Impersonator, r.ID} {
		fixed = appendSized(fixed, s)
	}
	fixed = appendTime(appendSized(fixed, r.Client), r.Created)
	proofs := encodeProofs(r)

	b := make([]byte, 0, recordHead+len(fixed)+len(proofs)+len(r.Data))
	b = append(b, recordVersion)
	b = appendTime(appendTime(b, r.LastSeen), r.Expires)
	b = binary.BigEndian.AppendUint32(b, uint32(len(fixed)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(proofs)))
	return append(append(append(b, fixed...), proofs...), r.Data...)
}

// encodeProofs gives what a rotation replaces.
func encodeProofs(r session.Record) []byte {
	b := appendTime(appendSized(nil, r.Stamp), r.AuthTime)
	for _, f := range r.Factors {
		b = appendTime(appendSized(b, f.Kind), f.At)
	}
	return b
}

// decodeRecord is the inverse of encodeRecord. It returns errVersion or errDamaged.
func decodeRecord(token session.Hash, text string) (session.Record, error) {
	if text != "" && text[0] != recordVersion {
		return session.Record{}, errVersion
	}
	head := reader{rest: text}
	head.take(1)
	r := session.Record{Token: token, LastSeen: head.time(), Expires: head.time()}
	fixedLen, proofsLen := head.uint32(), head.uint32()
	fixed, proofs := reader{rest: head.take(fixedLen)}, reader{rest: head.take(proofsLen)}
	if head.rest != "" {
		r.Data = []byte(head.rest)
	}
	r.Tenant, r.User, r.Impersonator, r.ID = fixed.sized(), fixed.sized(), fixed.sized(), fixed.sized()
	r.Client, r.Created = []byte(fixed.sized()), fixed.time()
	r.Stamp, r.AuthTime = proofs.sized(), proofs.time()
	for proofs.rest != "" && !proofs.failed {
		r.Factors = append(r.Factors, portalsec.FactorProof{Kind: proofs.sized(), At: proofs.time()})
	}
	if head.failed || fixed.failed || proofs.failed || fixed.rest != "" {
		return session.Record{}, errDamaged
	}
	return r, nil
}

// encodeCounter gives a counter with what is stored beside it.
func encodeCounter(l throttle.Lane, c throttle.Counter) []byte {
	b := append(make([]byte, 0, counterHead+len(l.Kind)), counterVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(min(c.Failures, 1<<32-1)))
	b = appendTime(appendTime(b, c.Since), c.Last)
	b = append(b, l.Account[:]...)
	return append(b, l.Kind...)
}

// decodeCounter gives the counter of an encodeCounter, the zero Counter for no text. It returns errVersion or errDamaged.
func decodeCounter(text string) (throttle.Counter, error) {
	switch {
	case text == "":
		return throttle.Counter{}, nil
	case text[0] != counterVersion:
		return throttle.Counter{}, errVersion
	case len(text) < counterHead:
		return throttle.Counter{}, errDamaged
	}
	r := reader{rest: text[1:]}
	return throttle.Counter{Failures: int(r.uint32()), Since: r.time(), Last: r.time()}, nil
}

// reader takes parts from the front of a text. Once one is not there, all that follow are empty.
type reader struct {
	rest   string
	failed bool
}

func (r *reader) take(n uint32) string {
	if r.failed || uint64(n) > uint64(len(r.rest)) {
		r.failed = true
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) uint32() uint32 {
	s := r.take(4)
	if r.failed {
		return 0
	}
	return binary.BigEndian.Uint32([]byte(s))
}

func (r *reader) time() time.Time {
	s := r.take(8)
	if r.failed {
		return time.Time{}
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64([]byte(s)))).UTC()
}

func (r *reader) sized() string { return r.take(r.uint32()) }
