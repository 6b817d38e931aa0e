// SPDX-License-Identifier: Apache-2.0

package ipfilter

import "errors"

var (
	// ErrLockout says that the new rules would refuse the address that sets them. Nothing was changed.
	ErrLockout = errors.New("ipfilter: these rules would refuse the address that you come from")
	// ErrConflict says that the rules were changed since those that were edited were read. Nothing was changed by this
	// call, and [Filter.Rules] now gives the newer ones.
	ErrConflict = errors.New("ipfilter: the rules were changed meanwhile")
	// ErrNotLoaded says that the rules were not read from the store yet, see [Filter.Load].
	ErrNotLoaded = errors.New("ipfilter: the rules are not loaded")
)

// RuleError says what is wrong with rules: the entry, by its list and index, and why. It may be shown to who edits
// them.
type RuleError struct {
	err error
}

// Error names the entry.
func (e *RuleError) Error() string { return "ipfilter: " + e.err.Error() }

// Problem is the text of the error without the package's name.
func (e *RuleError) Problem() string { return e.err.Error() }

// Reason is a stable word for why a request was refused. It goes to the audit log, not to the visitor.
type Reason string

// The reasons.
const (
	// PrefixDenied: a Deny rule holds the address.
	PrefixDenied Reason = "prefix-denied"
	// NotInAllowlist: there are Allow rules and none holds the address.
	NotInAllowlist Reason = "not-in-allowlist"
	// CountryDenied: the country is denied or not among the allowed ones.
	CountryDenied Reason = "country-denied"
	// CountryUnknown: the country is not known and there are country rules.
	CountryUnknown Reason = "country-unknown"
	// ClientUnknown: the request's origin has no address.
	ClientUnknown Reason = "client-unknown"
	// NotLoaded: the rules were not read from the store yet. [Filter.Check] says it with [ErrNotLoaded].
	NotLoaded Reason = "rules-not-loaded"
)

// RefusedError says that a request was refused.
type RefusedError struct {
	// Reason is why.
	Reason Reason
}

// Error gives the reason as text.
func (e *RefusedError) Error() string { return "ipfilter: refused: " + string(e.Reason) }

// One of each, so that refusing a flood of requests allocates nothing.
var refusals = map[Reason]*RefusedError{
	PrefixDenied: {PrefixDenied}, NotInAllowlist: {NotInAllowlist}, CountryDenied: {CountryDenied},
	CountryUnknown: {CountryUnknown}, ClientUnknown: {ClientUnknown},
}
