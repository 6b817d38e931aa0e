// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package ledger

import "os"

// datasync puts the file on disk.
func datasync(f *os.File) error { return f.Sync() }
