// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"
)

// ErrInUse says that another process, or another [Log] of this one, holds the log.
var ErrInUse = errors.New("ledger: another process writes this log")

// ErrNewerFormat says that the log was written by a later version of this package.
var ErrNewerFormat = errors.New("ledger: the log was written by a newer version of this program: upgrade the program")

// ErrClosed says that the log was closed.
var ErrClosed = errors.New("ledger: log is closed")

// BrokenError says where a log stops being what was written. [Open] and the reading functions return it.
type BrokenError struct {
	// Entry is the number of the first bad entry; 0 is the file's first line, which tells the format.
	Entry uint64
	// Problem tells what is wrong there, without quoting the entry.
	Problem string
}

// Error names the entry and the problem.
func (e *BrokenError) Error() string {
	if e.Entry == 0 {
		return "ledger: first line: " + e.Problem
	}
	return fmt.Sprintf("ledger: entry %d: %s", e.Entry, e.Problem)
}
