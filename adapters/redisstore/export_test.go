// SPDX-License-Identifier: Apache-2.0

package redisstore

// For the tests of the formats.
var (
	EncodeRecord  = encodeRecord
	DecodeRecord  = decodeRecord
	EncodeCounter = encodeCounter
	DecodeCounter = decodeCounter
	ErrVersion    = errVersion
	ErrDamaged    = errDamaged
)
