// SPDX-License-Identifier: Apache-2.0

package letter_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
	"unicode/utf8"

	"github.com/portalsec/portalsec/internal/letter"
)

// shape is the HTML without what stands between tags and in the title.
func shape(html string) (tags []string) {
	for part := range strings.SplitSeq(html, "<") {
		tag, _, _ := strings.Cut(part, ">")
		tags = append(tags, tag)
	}
	return tags
}

// FuzzData: whatever a name is, the letter has the lines, the paragraphs and the tags of its text.
func FuzzData(f *testing.F) {
	s, err := letter.Parse(fstest.MapFS{"k.en.txt": {Data: []byte("To {{.}}\n\nHello {{.}},\nand {{.}}: {{.}}\n\nPress:\nhttps://x.example/\n\nBye {{.}}.\n")}})
	if err != nil {
		f.Fatal(err)
	}
	_, _, want, err := s.Render("k", "en", "Ada")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"", "Ada", "a\r\nBcc: b", "\n\nhttps://evil.example/", "<b>", `"`, "\u2028", "\u202e", "\xff", "{{.}}", "a:", "--", "</title>", strings.Repeat("x", 600)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		subject, text, html, err := s.Render("k", "en", name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(subject, unicode.IsControl) || !utf8.ValidString(subject) || utf8.RuneCountInString(subject) > 200 {
			t.Errorf("subject %q", subject)
		}
		if n := strings.Count(text, "\n"); n != 7 || !utf8.ValidString(text) {
			t.Errorf("%d lines: %q", n, text)
		}
		if strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), unicode.IsControl) {
			t.Errorf("controls: %q", text)
		}
		if strings.Count(text, "://") != 1 {
			t.Errorf("another address: %q", text)
		}
		if !slices.Equal(shape(html), shape(want)) {
			t.Errorf("other tags: %s", html)
		}
	})
}

// FuzzLanguage: the answer is one of the supported languages or none, and the header names it.
func FuzzLanguage(f *testing.F) {
	for _, header := range []string{"", "nl", "fr, nl;q=0.5, en;q=0.8", "zh-Hant-TW;q=0.001", "*;q=0", ",;=", "nl-x-", "-"} {
		f.Add(header)
	}
	supported := []string{"en", "nl", "pt-BR", "zh"}
	f.Fuzz(func(t *testing.T, header string) {
		got := letter.Language(header, supported...)
		if got == "" {
			return
		}
		if !slices.Contains(supported, got) {
			t.Fatalf("Language(%q) = %q", header, got)
		}
		if !strings.Contains(strings.ToLower(header), strings.ToLower(got)) {
			t.Fatalf("Language(%q) = %q", header, got)
		}
		if again := letter.Language(got, supported...); again != got {
			t.Fatalf("Language(%q) = %q", got, again)
		}
	})
}
