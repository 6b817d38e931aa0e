// SPDX-License-Identifier: Apache-2.0

package password

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/portalsec/portalsec"
)

// minWordBytes is the least length of a context word. Shorter ones turn up in good passwords by accident.
// Counted in bytes, so that a name of two Chinese characters counts and one of three Latin letters does not.
const minWordBytes = 4

// PolicyConfig is the configuration of a [Policy].
type PolicyConfig struct {
	// Profile sets the least length.
	Profile portalsec.Profile
	// SecondFactor tells that nobody gets in with the password alone, so that a shorter one will do: 8
	// characters in place of 15 (NIST SP 800-63B-4 section 3.1.1.2).
	SecondFactor bool
	// MinLength is the least number of characters. 0 is the profile's; less than that is refused.
	MinLength int
	// Words are further words that no password may contain, such as the names of the portal and of the
	// organisation (ASVS 6.1.2, 6.2.11). Words under four bytes are passed over.
	Words []string
}

// Policy decides about new passwords. It may be used by several goroutines.
type Policy struct {
	minLength int
	words     []string
}

// NewPolicy gives a policy.
func NewPolicy(c PolicyConfig) (*Policy, error) {
	settings := c.Profile.Settings()
	least := settings.PasswordMinSingle
	if c.SecondFactor {
		least = settings.PasswordMinMulti
	}
	p := &Policy{minLength: least}
	if c.MinLength != 0 {
		// Four bytes are the longest character, so that a password of the least length is never too long.
		if c.MinLength < least || c.MinLength > MaxBytes/utf8.UTFMax {
			return nil, fmt.Errorf("password: PolicyConfig.MinLength must be from %d to %d", least, MaxBytes/utf8.UTFMax)
		}
		p.minLength = c.MinLength
	}
	for _, w := range c.Words {
		p.words = appendWords(p.words, w)
	}
	return p, nil
}

// MinLength gives the least number of characters, for the hint beside the form's field.
func (p *Policy) MinLength() int { return p.minLength }

// Check tells whether a password may be taken. The context is what an attacker knows of the person: e-mail
// address, name, login name; none of their words may be part of the password, in whatever case. (NIST SP
// 800-63B-4 section 3.1.1.2 would compare whole passwords with such words only. The words are few and the
// guess is common, so the stricter ASVS 6.2.11 is followed.) The error is a [*PolicyError] with all that is wrong, or that of ctx.
//
// A character is a Unicode code point. Spaces and all printing characters are welcome, and no mixture of
// kinds is asked for (ASVS 6.2.5).
func (p *Policy) Check(ctx context.Context, pw string, context ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var problems []Problem
	add := func(c Code, format string, args ...any) {
		problems = append(problems, Problem{c, fmt.Sprintf(format, args...)})
	}
	if len(pw) > MaxBytes {
		// Said alone: what else is wrong with it is not worth reading a megabyte.
		add(TooLong, "Use at most %d characters.", MaxBytes/utf8.UTFMax)
		return &PolicyError{problems}
	}
	if utf8.RuneCountInString(pw) < p.minLength {
		add(TooShort, "Use at least %d characters. Several words make a good password.", p.minLength)
	}
	if !utf8.ValidString(pw) {
		add(BadEncoding, "Use only characters that a keyboard can type.")
	}
	if strings.ContainsFunc(pw, unicode.IsControl) {
		add(ControlCharacter, "Leave out line ends, tabs and other control characters.")
	}
	words := p.words[:len(p.words):len(p.words)]
	for _, c := range context {
		words = appendWords(words, c)
	}
	folded := fold(pw)
	for _, w := range words {
		if strings.Contains(folded, w) {
			add(ContextWord, "Leave out your name, your e-mail address and the name of this site.")
			break
		}
	}
	if problems != nil {
		return &PolicyError{problems}
	}
	return nil
}

// appendWords appends the words of a text: runs of letters and digits, folded. Of an e-mail address the last
// label of the domain is left out, because "info" or "shop" names nobody.
func appendWords(words []string, text string) []string {
	if _, domain, ok := strings.Cut(text, "@"); ok {
		if i := strings.LastIndexByte(domain, '.'); i >= 0 {
			text = text[:len(text)-len(domain)+i]
		}
	}
	for w := range strings.FieldsFuncSeq(fold(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r)
	}) {
		if len(w) >= minWordBytes {
			words = append(words, w)
		}
	}
	return words
}

// fold makes case alike. By way of upper case, because letters such as the final sigma share only that.
func fold(s string) string { return strings.ToLower(strings.ToUpper(s)) }
