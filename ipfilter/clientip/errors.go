// SPDX-License-Identifier: Apache-2.0

package clientip

// UnresolvedError says why the client of a request is not known. It holds nothing that the client sent.
type UnresolvedError struct {
	// Cause is a stable word for the audit log, one of the Cause constants.
	Cause string
}

// The causes of an [UnresolvedError].
const (
	// CausePeer: RemoteAddr holds no address.
	CausePeer = "bad-peer"
	// CauseEntry: an entry of the header that had to be read is malformed.
	CauseEntry = "bad-entry"
	// CauseLong: the client was not found within the entries that are read at most.
	CauseLong = "too-many-entries"
	// CauseShort: there are fewer entries than [Config.Hops].
	CauseShort = "too-few-entries"
	// CauseSingle: the single header is missing or there is more than one.
	CauseSingle = "not-one-header"
)

// Error gives the cause as text.
func (e *UnresolvedError) Error() string { return "clientip: client address unknown: " + e.Cause }

// One of each, so that refusing a flood of bad requests allocates nothing.
var (
	errPeer   = &UnresolvedError{CausePeer}
	errEntry  = &UnresolvedError{CauseEntry}
	errLong   = &UnresolvedError{CauseLong}
	errShort  = &UnresolvedError{CauseShort}
	errSingle = &UnresolvedError{CauseSingle}
)
