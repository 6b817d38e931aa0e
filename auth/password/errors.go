// SPDX-License-Identifier: Apache-2.0

package password

import (
	"errors"
	"strings"
)

// ErrBusy says that too many passwords are being hashed. Answer 503 with Retry-After; nothing was checked.
var ErrBusy = errors.New("password: too many passwords are being hashed")

// ErrHash says that a stored hash is none that this package reads, or asks for more memory or time than it
// allows, or is of an algorithm that GODEBUG=fips140=only forbids.
var ErrHash = errors.New("password: stored hash is not understood")

// ErrLength says that a password is empty or longer than [MaxBytes].
var ErrLength = errors.New("password: password is empty or too long")

// Code names a rule of a [Policy].
type Code string

// The rules of a policy.
const (
	// TooShort: fewer characters than [Policy.MinLength].
	TooShort Code = "too-short"
	// TooLong: more bytes than [MaxBytes].
	TooLong Code = "too-long"
	// BadEncoding: not valid UTF-8.
	BadEncoding Code = "bad-encoding"
	// ControlCharacter: contains a control character, such as a line end.
	ControlCharacter Code = "control-character"
	// ContextWord: contains a word that an attacker would try first, such as a name of the person or portal.
	ContextWord Code = "context-word"
	// BlockedPassword: one of [PolicyConfig.Blocked].
	BlockedPassword Code = "blocked"
	// CommonPassword: one of the common passwords that the package knows.
	CommonPassword Code = "common"
	// BreachedPassword: one of [PolicyConfig.Breached].
	BreachedPassword Code = "breached"
	// ReusedPassword: one of the person's latest passwords, see [Policy.Reused].
	ReusedPassword Code = "reused"
	// CompositionRule: fewer characters of a kind than [PolicyConfig.Composition] asks for.
	CompositionRule Code = "composition"
)

// Problem is one rule that a password breaks.
type Problem struct {
	// Code is the rule.
	Code Code `json:"code"`
	// Text tells a visitor what to do, in English. It repeats nothing of the password.
	Text string `json:"text"`
}

// PolicyError lists all that is wrong with a password.
type PolicyError struct {
	// Problems has at least one element.
	Problems []Problem
}

// Error gives the codes of the problems.
func (e *PolicyError) Error() string {
	codes := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		codes[i] = string(p.Code)
	}
	return "password: refused by the policy: " + strings.Join(codes, ", ")
}
