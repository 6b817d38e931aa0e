// SPDX-License-Identifier: Apache-2.0

// Package breached holds sets of passwords that nobody should use, in little more than two bytes each. [Build]
// makes a [Filter], [Parse] and [Open] read one, [Filter.Contains] asks it and [ReadList] reads the lists that it is made from.
//
// A filter is a binary fuse filter (Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters",
// ACM JEA 27, 2022) with fingerprints of 16 bits. It finds every password that it was made from, and one in
// 65,536 of all others. It is written by hand because it is short and what reads it must not change: a
// dependency of the root module would be inherited by everybody.
//
// Passwords are known by the first 64 bits of their SHA-1, because that is what lists of breached passwords are
// published as. SHA-1 is a name here and protects nothing: a collision makes two passwords share a place in the list.
//
// # Stored format
//
// Version 1, numbers little-endian:
//
//	magic            8 bytes   "PSFILTER"
//	version          uint32    1
//	entries          uint32    number of passwords
//	seed             uint64
//	segment length   uint32    a power of two
//	segments         uint32    number of segments less two
//	fingerprints     uint16    (segments + 2) * segment length times
//	checksum         32 bytes  SHA-256 of all before
package breached
