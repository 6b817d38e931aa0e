// SPDX-License-Identifier: Apache-2.0

package outbox

import "errors"

// ErrNoLetter says that no letter has this ID, or that it is being sent just now.
var ErrNoLetter = errors.New("outbox: no such letter")
