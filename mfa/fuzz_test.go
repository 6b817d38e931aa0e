// SPDX-License-Identifier: Apache-2.0

package mfa_test

import (
	"strings"
	"testing"

	"github.com/portalsec/portalsec/mfa"
)

// What is normalised stays as it is, and holds nothing that a code may be typed with.
func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"123456", "１２３　４５６", "abcd-efgh-jkmn-pqrs", "O0Il", "\xff", "\u200b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code := mfa.Normalise(typed)
		if again := mfa.Normalise(code); again != code && len(code) <= 128 {
			t.Errorf("Normalise(%q) = %q, and once more %q", typed, code, again)
		}
		if strings.ContainsAny(code, " \t\n-abcdefghijklmnopqrstuvwxyz") {
			t.Errorf("Normalise(%q) = %q", typed, code)
		}
		if recovery, ok := mfa.AsRecovery(code); ok {
			if len(recovery) != 16 || strings.Trim(recovery, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" {
				t.Errorf("AsRecovery(%q) = %q", code, recovery)
			}
		}
	})
}
