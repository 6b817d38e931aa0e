// SPDX-License-Identifier: Apache-2.0

package crypto

import "errors"

var (
	// ErrOpen is the one answer to every sealed value or file that does not open: wrong key, changed,
	// truncated, moved from another place, or never sealed by this package. The audit log has the reason.
	ErrOpen = errors.New("crypto: the value does not open")
	// ErrWrongRoot says that the key store was made with another root key than [Config.Root].
	ErrWrongRoot = errors.New("crypto: the root key is not the one that this key store was made with")
	// ErrShredded says that the subject's key was destroyed by [Keyring.Shred]: what was sealed under it is
	// lost for good, and nothing more can be sealed for that subject.
	ErrShredded = errors.New("crypto: the subject's key was shredded")
	// ErrNotFound is what a [KeyStore] answers when it has no such key.
	ErrNotFound = errors.New("crypto: no such key")
)
