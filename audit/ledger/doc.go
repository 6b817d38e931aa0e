// SPDX-License-Identifier: Apache-2.0

// Package ledger keeps audit events in an append-only file whose lines are linked by hashes.
//
// Start with [Open]: the [Log] that it gives is an audit.Recorder whose Record returns when the event is on
// disk. [Log.Read] pages through the events, newest first. [Verify] and [Read] work on the file alone, offline
// and also while a portal writes to it.
//
// # What it does not protect against
//
// The links show that a line was changed, removed from the middle, put in or moved. They hold no secret: whoever
// may write the file can compute all of them anew, or cut lines off its end. Keep the head that [Verify] tells
// (entry number and hash) outside the machine, and compare. Names, e-mail addresses and contents must not be put
// into events; what is personal in an event, above all the client's address, is written as it is, readable to
// whoever may read the file.
//
// # Stored format
//
// The directory (mode 0700 where Open makes it) holds one file, audit.log (mode 0600). Its first line is
//
//	{"format":"portalsec-audit-log","version":1}
//
// and each line after it is one entry, numbered from 1:
//
//	{"i":1,"prev":"<64 hex digits>","hash":"<64 hex digits>","event":{...}}
//
// These are the exact bytes, with no other spacing, ended by one line feed; hex digits are lower case. prev is
// the hash of the entry before, for entry 1 the SHA-256 of the first line with its line feed. hash is the SHA-256
// of, one after the other: the 8 bytes 0, 0, 0, 0, 0, 0, 0, 24 (the length of what follows), the 24 bytes
// "portalsec audit entry v1", the entry's number in 8 bytes, the 32 bytes of prev, the length of the event in 8
// bytes, and the bytes of the event as they stand in the line. Numbers are big-endian. An event is an audit.Event
// as JSON, at most 65,536 bytes. A program that finds a higher version refuses the file.
package ledger
