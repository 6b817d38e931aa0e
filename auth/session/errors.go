// SPDX-License-Identifier: Apache-2.0

package session

import "errors"

var (
	// ErrNoSession says that there is no such session: it never was, has ended, or has got another token. A store
	// gives it too, where its contract says so.
	ErrNoSession = errors.New("session: no session")

	// ErrTooMuchData says that the values of a session would take more than [MaxData] bytes.
	ErrTooMuchData = errors.New("session: too much data")
)

// errData says that the stored data of a session is none.
var errData = errors.New("session: stored data is malformed")
