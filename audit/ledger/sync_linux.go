// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"os"
	"syscall"
)

// datasync puts the file's content and length on disk, without its times.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
