// SPDX-License-Identifier: Apache-2.0

// Package uuid makes UUIDs of version 7 (RFC 9562 section 5.7), which sort by the time of their making.
package uuid

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// NewV7 makes a UUID with 48 bits of now in milliseconds and 74 random bits.
func NewV7(now time.Time) string {
	var u [16]byte
	rand.Read(u[6:]) // never fails: it ends the process instead
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint16(u[:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(u[2:6], uint32(ms))
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80

	var s [36]byte
	hex.Encode(s[:8], u[:4])
	hex.Encode(s[9:13], u[4:6])
	hex.Encode(s[14:18], u[6:8])
	hex.Encode(s[19:23], u[8:10])
	hex.Encode(s[24:], u[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
