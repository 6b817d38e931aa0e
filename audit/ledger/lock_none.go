// SPDX-License-Identifier: Apache-2.0

//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package ledger

import (
	"errors"
	"os"
)

// lock fails: two processes that write one log would break its links.
func lock(*os.File) error {
	return errors.New("ledger: this system has no flock, so a log cannot be written here")
}

func unlock(*os.File) {}
