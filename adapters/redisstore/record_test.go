// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/adapters/redisstore"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/stretchr/testify/require"
)

// now is a time of whole microseconds.
var now = time.Date(2026, 3, 29, 0, 59, 59, 999_999_000, time.UTC)

func record(user, id string) session.Record {
	return session.Record{
		Token: session.Hash{0: 1, 31: 2}, ID: id, Tenant: "acme", User: user, Impersonator: "staff", Stamp: "stamp",
		Factors: []portalsec.FactorProof{{Kind: portalsec.FactorPassword, At: now}, {Kind: portalsec.FactorTOTP, At: now}},
		Client:  []byte{0, 0xff}, Data: []byte("data"),
		Created: now, AuthTime: now, LastSeen: now, Expires: now.Add(time.Hour),
	}
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	bare := session.Record{Client: []byte{}}
	for name, r := range map[string]session.Record{"whole": record("ann", "a"), "bare": bare} {
		got, err := redisstore.DecodeRecord(r.Token, string(redisstore.EncodeRecord(r)))
		require.NoError(t, err, name)
		require.Equal(t, r, got, name)
	}
}

// A part of a record is none.
func TestRecordTruncated(t *testing.T) {
	t.Parallel()
	r := record("ann", "a")
	r.Data = nil // it fills the rest, whatever that is
	whole := string(redisstore.EncodeRecord(r))
	for n := range len(whole) {
		_, err := redisstore.DecodeRecord(r.Token, whole[:n])
		require.ErrorIs(t, err, redisstore.ErrDamaged, n)
	}
	_, err := redisstore.DecodeRecord(r.Token, "\x02"+whole[1:])
	require.ErrorIs(t, err, redisstore.ErrVersion)
}

func TestCounterRoundTrip(t *testing.T) {
	t.Parallel()
	lane := throttle.Lane{Kind: throttle.KindAccount, Account: throttle.Key{1}}
	for _, c := range []throttle.Counter{{}, {Failures: 1<<32 - 1, Since: now, Last: now.Add(time.Microsecond)}} {
		got, err := redisstore.DecodeCounter(string(redisstore.EncodeCounter(lane, c)))
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	whole := string(redisstore.EncodeCounter(throttle.Lane{}, throttle.Counter{}))
	for n := 1; n < len(whole); n++ {
		_, err := redisstore.DecodeCounter(whole[:n])
		require.ErrorIs(t, err, redisstore.ErrDamaged, n)
	}
	_, err := redisstore.DecodeCounter("\x02" + whole[1:])
	require.ErrorIs(t, err, redisstore.ErrVersion)
}

// Whatever is read is written again byte for byte: there is one form of each record.
func FuzzRecord(f *testing.F) {
	f.Add(string(redisstore.EncodeRecord(record("ann", "a"))))
	f.Add(string(redisstore.EncodeRecord(session.Record{})))
	f.Add("")
	f.Add("\x02")
	f.Fuzz(func(t *testing.T, text string) {
		token := session.Hash{1}
		r, err := redisstore.DecodeRecord(token, text)
		if err != nil {
			require.Zero(t, r)
			return
		}
		require.Equal(t, token, r.Token)
		require.NotNil(t, r.Client)
		require.Equal(t, text, string(redisstore.EncodeRecord(r)))
	})
}

func FuzzCounter(f *testing.F) {
	lane := throttle.Lane{Kind: throttle.KindAddress, Account: throttle.Key{7}}
	f.Add(string(redisstore.EncodeCounter(lane, throttle.Counter{Failures: 3, Since: now, Last: now})))
	f.Add("\x02")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := redisstore.DecodeCounter(text)
		if err != nil || text == "" {
			require.Zero(t, c)
			return
		}
		// The account and the kind stand at the end and are not read.
		const counter = 1 + 4 + 8 + 8
		lane := throttle.Lane{Account: throttle.Key([]byte(text[counter : counter+32])), Kind: throttle.Kind(text[counter+32:])}
		require.Equal(t, text, string(redisstore.EncodeCounter(lane, c)))
	})
}
