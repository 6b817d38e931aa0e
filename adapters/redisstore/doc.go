// SPDX-License-Identifier: Apache-2.0

// Package redisstore keeps sessions and counters of attempts in Redis 7 or later.
//
// Make a client from [Options], start with [New], and take the stores of packages auth/session and auth/throttle from
// the [DB] that it gives. There is no cache: what one process ends is over for the next request of every other one.
//
// Every act is one script, which Redis runs alone. The scripts are marked as writing, so a replica refuses them, and so
// does a primary that knows that it must not be written to: no answer comes from a server that was deposed. Redis
// Cluster is refused, because a script's keys may part while a slot moves.
//
// Redis must keep what it was told. [New] refuses a server that evicts keys, and one whose only persistence is
// snapshots, since an old snapshot holds sessions that were ended since. With the append-only file sessions survive a
// restart; with no persistence everybody is signed out by one. Counters of attempts are forgotten where data is
// lost, and the guesses begin anew: keep them in SQL when that must not be. Replication is asynchronous: what a primary
// confirmed in its last moments, the end of a session too, its successor may not know.
//
// # Keys
//
// All keys begin with [Config.Prefix] and a colon. A name with a tenant in it is the tenant's length in bytes, a colon,
// the tenant, a colon, and the user's ID.
//
//	session:<32 bytes>      the record of the session with this hash of a token, see below
//	id:<ID>                 the hash of the token of the session with this ID
//	user:<tenant, user>     sorted set of a user's session IDs, by the server's time in milliseconds at which they go
//	staff:<tenant, user>    the same of the sessions in which the user acts as somebody else
//	tenant:<tenant>         the same of a tenant
//	gone:<random text>      the index of a tenant whose sessions were all ended, until they are removed
//	ends, seen              sorted sets of all session IDs, by Expires and by LastSeen in microseconds
//	versions                hash of the versions of users; its empty field is the version of those not in it
//	attempt:<32 bytes>      a counter of attempts, see below
//	account:<32 bytes>      set of the keys of the counters of an account
//	kind:<kind>             sorted set of the keys of the counters of a kind, by Last in microseconds
//
// A session is over unless every index that an act would find it by has its ID: an index that was lost ends sessions
// and hides none. The version of a user who is not in versions is the server's time, in microseconds, at which that hash
// was made. So a server that lost its data begins above every version that it gave before.
//
// # Records
//
// Numbers are big-endian, times are microseconds since 1970 in 8 bytes, and (s) is 4 bytes of length before the bytes.
//
//	session: version 1 in 1 byte, LastSeen, Expires, 4 bytes length of the next line, 4 bytes length of the line after it
//	         tenant (s), user (s), impersonator (s), ID (s), client (s), Created
//	         stamp (s), AuthTime, and for each factor: kind (s), time
//	         data
//	counter: version 1 in 1 byte, failures in 4 bytes, Since, Last, account in 32 bytes, kind
//
// A session of another version is over for this package, and is removed when its user, its tenant or its ID is asked to
// be. A counter of another version denies the attempt. Keys live as long as their session plus a day by the server's
// clock; what is over is decided by the times that the caller passes.
package redisstore
