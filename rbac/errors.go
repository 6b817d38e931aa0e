// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"errors"
	"fmt"
	"time"
)

// Errors that callers branch on. [Engine.Deny] gives each its public answer.
var (
	// ErrNoPrincipal says that nobody is signed in.
	ErrNoPrincipal = errors.New("rbac: nobody is signed in")
	// ErrDenied says that no role of the principal allows it, or that one denies it.
	ErrDenied = errors.New("rbac: denied")
	// ErrNotFound says that the resource is another tenant's. The public answer is that of a resource that does
	// not exist.
	ErrNotFound = errors.New("rbac: not found")
	// ErrScope says that a scope is missing or not a path, or that the principal has no tenant. It is a mistake
	// of the program.
	ErrScope = errors.New("rbac: no valid scope")

	// ErrInvalid says that an assignment cannot be meant, as when it ends before it begins.
	ErrInvalid = errors.New("rbac: not a valid assignment")
	// ErrUnknownRole says that the policy has no role of that name.
	ErrUnknownRole = errors.New("rbac: the policy has no such role")
	// ErrNotGrantable says that no role of the principal lets them give or take that role there, for so long or
	// to that subject.
	ErrNotGrantable = errors.New("rbac: not allowed to give or take this role")
	// ErrExclusive says that the subject holds a role that excludes the one to be assigned.
	ErrExclusive = errors.New("rbac: excluded by another role of the subject")
	// ErrAssigned says that the subject holds the role in that scope already.
	ErrAssigned = errors.New("rbac: already assigned")
	// ErrNotAssigned says that the subject does not hold the role in that scope.
	ErrNotAssigned = errors.New("rbac: not assigned")
)

// Challenge says that the principal holds the permission but must first meet a requirement of it. It is an
// error; find it with errors.As.
type Challenge struct {
	// Permission is the name of the permission.
	Permission string
	// SecondFactor tells that a second factor must be proven in this session.
	SecondFactor bool
	// Fresh is how old the last proof of identity may be, when it is too old. It is 0 otherwise.
	Fresh time.Duration
}

// The public codes of a [Challenge].
const (
	// CodeSecondFactor asks for a second factor.
	CodeSecondFactor = "second-factor-required"
	// CodeReauthenticate asks for a new proof of identity.
	CodeReauthenticate = "reauthentication-required"
)

// Code gives [CodeSecondFactor] or [CodeReauthenticate]. Where both are asked for it is the second factor,
// because proving that is a new proof of identity too.
func (c *Challenge) Code() string {
	if c.SecondFactor {
		return CodeSecondFactor
	}
	return CodeReauthenticate
}

// Error tells the permission and what is asked for.
func (c *Challenge) Error() string { return "rbac: " + c.Permission + ": " + c.Code() }

// PolicyError is one mistake in a policy file.
type PolicyError struct {
	// File is the name of the file.
	File string
	// Line and Column count from 1.
	Line, Column int
	// Problem is what is wrong, with a suggestion where there is a likely one.
	Problem string
}

// Error gives file:line:column and the problem.
func (e *PolicyError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Problem)
}
