// SPDX-License-Identifier: Apache-2.0

package sessiontest_test

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// faults are mistakes that a store can make, and the subtest that must find each.
var faults = map[string]string{
	"touch writes back what it read":         "touch brings no session back",
	"touch knows no idle end":                "touch finds no session that is over",
	"touch knows no end":                     "touch finds no session that is over",
	"touch sets LastSeen back":               "touch never sets LastSeen back",
	"touch decides on what it read":          "clocks that differ by minutes set LastSeen back at no time",
	"touch always writes":                    "touch writes LastSeen when it is before WriteBefore",
	"rotate leaves the old token":            "rotate kills the old token at once",
	"rotate looks before it writes":          "of concurrent rotations exactly one succeeds",
	"rotate forgets the stamp":               "rotate sets token, stamp, factors, AuthTime and LastSeen and nothing else",
	"rotate writes the whole record":         "rotate sets token, stamp, factors, AuthTime and LastSeen and nothing else",
	"rotate writes back what it read":        "rotate brings no session back",
	"bump lists first and removes later":     "no rotation outlives a bump",
	"rotate removes and adds":                "list gives a session that rotates meanwhile once",
	"create looks at the version first":      "no session created with an old version outlives a bump",
	"create ignores the version":             "create adds nothing when the version has risen",
	"bump removes before it counts":          "no session created with an old version outlives a bump",
	"bump counts what it read":               "concurrent bumps are all counted",
	"bump without sessions counts nothing":   "bump raises the version also without sessions",
	"bump forgets impersonations":            "bump removes the sessions in which the user acts as somebody else",
	"bump ends impersonations everywhere":    "bump removes the sessions in which the user acts as somebody else",
	"bump spares nothing":                    "bump removes all sessions of the user but one",
	"delete does not ask whose it is":        "delete removes the session of that user only",
	"data is set whatever it was":            "data is replaced only when it is the old",
	"data is compared first and set later":   "concurrent changes of data are not lost",
	"data counts as set without session":     "there is no data without a session",
	"data writes back what it read":          "setting data brings no session back",
	"empty data is not nil":                  "data is replaced only when it is the old",
	"tenants are compared by their start":    "delete tenant leaves other tenants alone",
	"names are compared without case":        "names are compared byte by byte",
	"names are compared without their end":   "names are compared byte by byte",
	"tenant and user run into one another":   "names are compared byte by byte",
	"list is by ID":                          "list gives all sessions of the user, oldest first",
	"list leaves out what is over":           "list gives all sessions of the user, oldest first",
	"prune forgets the idle":                 "prune removes the sessions that are over",
	"factors are shared":                     "factors are not shared with the caller",
	"the context is ignored":                 "an act under an ended context does nothing",
	"times are in whole milliseconds":        "a created session is found whole",
	"unknown users get a version each time":  "an unknown user has a version of at least 1, twice the same",
	"the token is compared by its beginning": "touch finds no unknown token",
}

const variable = "PORTALSEC_SESSIONTEST_FAULT"

// TestKitFindsFaults runs the kit on each of them in a process of its own, where it must fail.
func TestKitFindsFaults(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			finder := strings.ReplaceAll(faults[fault], " ", "_")
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFaultyStore$/^"+finder+"$", "-test.count=1", "-test.short")
			cmd.Env = append(os.Environ(), variable+"="+fault)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "the kit passes a store in which %s", fault)
			require.Contains(t, string(out), "--- FAIL: TestFaultyStore/"+finder)
			require.NotContains(t, string(out), "panic:")
		})
	}
}

// TestFaultyStore is what TestKitFindsFaults runs. By itself it shows that the store without a fault passes.
func TestFaultyStore(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(*testing.T) session.Store { return newPlain(os.Getenv(variable)) })
}
