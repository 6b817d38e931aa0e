// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portalsec/portalsec/rbac"
)

// FuzzParsePolicy checks that a policy is either taken, always the same, or refused with places that exist in
// the file.
func FuzzParsePolicy(f *testing.F) {
	names, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(policy)
	c := catalog(f)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := rbac.ParsePolicy(c, files(text))
		again, err2 := rbac.ParsePolicy(c, files(text))
		if (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("read twice: %v and %v", err, err2)
		}
		if err == nil {
			if len(p.Roles()) == 0 || len(again.Roles()) != len(p.Roles()) {
				t.Fatalf("taken with %d and %d roles", len(p.Roles()), len(again.Roles()))
			}
			// What is right for the application is right without it.
			if _, err := rbac.ParsePolicy(nil, files(text)); err != nil {
				t.Fatalf("refused only without a catalog: %v", err)
			}
			return
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u0085") +
			strings.Count(text, "\u2028") + strings.Count(text, "\u2029") + 2
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			t.Fatalf("%v is not a list of mistakes", err)
		}
		for _, err := range joined.Unwrap() {
			var m *rbac.PolicyError
			if !errors.As(err, &m) || m.Line < 1 || m.Line > lines || m.Column < 1 || m.Problem == "" {
				t.Fatalf("%#v in a text of %d lines", err, lines)
			}
		}
	})
}
