// SPDX-License-Identifier: Apache-2.0

package session

import "errors"

// ErrNoSession says that there is no such session: it never was, has ended, or has got another token. A store
// gives it too, where its contract says so.
var ErrNoSession = errors.New("session: no session")
