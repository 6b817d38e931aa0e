// SPDX-License-Identifier: Apache-2.0

package password

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/portalsec/portalsec/auth/internal/breached"
)

// commonFile holds 110,000 common passwords: common/README.md tells which, whose, and how to make it again.
//
//go:embed common/common.filter
var commonFile []byte

// common is read when it is first needed, and not by programs that only verify.
var common = sync.OnceValue(func() *Filter {
	f, err := breached.Parse(commonFile)
	if err != nil {
		panic("password: the embedded list of common passwords: " + err.Error()) // a test reads it
	}
	return &Filter{f}
})

// Filter is a set of passwords that nobody should use. It may be used by several goroutines.
type Filter struct{ f *breached.Filter }

// OpenFilter reads into memory a file that was made by
//
//	go run github.com/portalsec/portalsec/auth/password/breachedfilter -o FILE LIST...
//
// from lists of passwords or of their SHA-1, such as those of Have I Been Pwned. The file has about 2.3 bytes for each
// password. An error says what is wrong with a file that is damaged, and where.
func OpenFilter(path string) (*Filter, error) {
	f, err := breached.Open(path)
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	return &Filter{f}, nil
}

// Len gives the number of passwords that the filter was made from.
func (f *Filter) Len() int { return f.f.Len() }

// Contains tells whether the password or its lower-case form was among those that the filter was made from. For these the
// answer is always true. It is true also for about one in 65,536 of all other passwords, or one in 32,768
// of those with upper-case letters, which are looked up twice.
func (f *Filter) Contains(pw string) bool {
	if f.f.Contains(breached.Key(pw)) {
		return true
	}
	lower := breached.Fold(pw)
	return lower != pw && f.f.Contains(breached.Key(lower))
}
