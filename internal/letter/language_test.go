// SPDX-License-Identifier: Apache-2.0

package letter_test

import (
	"strings"
	"testing"

	"github.com/portalsec/portalsec/internal/letter"
)

func TestLanguage(t *testing.T) {
	t.Parallel()
	supported := []string{"en", "nl", "pt-BR", "zh"}
	for header, want := range map[string]string{
		"":                                "",
		"nl":                              "nl",
		"NL-be":                           "nl",
		"fr, nl;q=0.5, en;q=0.8":          "en",
		"fr;q=1,nl ; q=0.5 , en;q=0.4":    "nl",
		"nl, en":                          "nl",
		"nl;q=0, en;q=0.1":                "en",
		"nl;q=0.000":                      "",
		"nl;q=0.001":                      "nl",
		"pt":                              "",
		"pt-br;q=0.3":                     "pt-BR",
		"zh-Hant-TW":                      "zh",
		"zh-x-a, en;q=0.2":                "zh",
		"*":                               "",
		"nl;q=1.001":                      "",
		"nl;q=2":                          "",
		"nl;q=.5":                         "",
		"nl;q=":                           "",
		"nl;q=0.1234":                     "",
		"nl;q=0a5":                        "",
		"nl;q=0.x":                        "",
		"nl;v=1":                          "",
		"nl;Q=0.5":                        "nl",
		",,;;,q=1,nl":                     "nl",
		"en\r\nnl":                        "",
		strings.Repeat("fr,", 19) + "nl":  "nl",
		strings.Repeat("fr,", 20) + "nl":  "",
		strings.Repeat("-", 999) + ",nl":  "",
		strings.Repeat("f", 997) + ",nl":  "nl",
		strings.Repeat("f", 997) + ",nlx": "",
	} {
		if got := letter.Language(header, supported...); got != want {
			t.Errorf("Language(%.40q) = %q, want %q", header, got, want)
		}
	}
}
