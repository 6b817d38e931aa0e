// SPDX-License-Identifier: Apache-2.0

package password

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
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
	// Blocked are whole passwords that are refused, in whatever case, such as those that the organisation once
	// handed out (ASVS 6.1.2).
	Blocked []string
	// Breached is a further list of passwords that are refused (ASVS 6.2.12), see [OpenFilter]. It may be nil.
	Breached *Filter
	// InsecureAllowCommon lets the 110,000 common passwords through that are refused otherwise (ASVS 6.2.4, NIST SP
	// 800-63B-4 section 3.1.1.2).
	InsecureAllowCommon bool
	// History is how many of a person's latest passwords must not be used again, at most 24; see [Policy.Reused]. 0 means
	// any may be.
	History int
	// MaxAge makes passwords expire so long after they were set; see [Policy.Expired]. 0 means never, and should stay: ASVS
	// 6.2.10 and NIST SP 800-63B-4 section 3.1.1.2 forbid it, because people then choose weaker passwords. It is for portals
	// whose owner is bound by older rules.
	MaxAge time.Duration
	// Composition asks for a mixture of characters. The zero value asks for none, and should stay: ASVS 6.2.5 and NIST SP
	// 800-63B-4 section 3.1.1.2 forbid it, because people then choose passwords like "Password1!". It is for portals
	// whose owner is bound by older rules.
	Composition Composition
}

// Composition is the least number of characters of each kind. Letters of scripts without case are no symbols and
// count for no kind.
type Composition struct {
	// Lower and Upper count letters of that case in any script.
	Lower, Upper int
	// Digits counts decimal digits of any script.
	Digits int
	// Symbols counts punctuation, symbols and spaces.
	Symbols int
}

// Policy decides about new passwords. It may be used by several goroutines.
type Policy struct {
	minLength   int
	words       []string
	blocked     map[string]bool // folded
	common      bool
	breached    *Filter
	history     int
	maxAge      time.Duration
	composition Composition
}

// maxHistory bounds how many hashes a change of password may cost.
const maxHistory = 24

// NewPolicy gives a policy.
func NewPolicy(c PolicyConfig) (*Policy, error) {
	settings := c.Profile.Settings()
	least := settings.PasswordMinSingle
	if c.SecondFactor {
		least = settings.PasswordMinMulti
	}
	if c.History < 0 || c.History > maxHistory {
		return nil, fmt.Errorf("password: PolicyConfig.History must be from 0 to %d", maxHistory)
	}
	if c.MaxAge < 0 {
		return nil, errors.New("password: PolicyConfig.MaxAge must not be negative")
	}
	p := &Policy{
		minLength: least, blocked: map[string]bool{}, common: !c.InsecureAllowCommon, breached: c.Breached,
		history: c.History, maxAge: c.MaxAge, composition: c.Composition,
	}
	if c.MinLength != 0 {
		// Four bytes are the longest character, so that a password of the least length is never too long.
		if c.MinLength < least || c.MinLength > MaxBytes/utf8.UTFMax {
			return nil, fmt.Errorf("password: PolicyConfig.MinLength must be from %d to %d", least, MaxBytes/utf8.UTFMax)
		}
		p.minLength = c.MinLength
	}
	sum := 0
	for _, k := range p.composition.kinds() {
		// Each is bounded first, so that the sum cannot overflow.
		if sum += min(k.least, MaxBytes); k.least < 0 || sum > p.minLength {
			return nil, fmt.Errorf("password: PolicyConfig.Composition must not be negative nor ask for more than %d characters together", p.minLength)
		}
	}
	for _, w := range c.Words {
		p.words = appendWords(p.words, w)
	}
	for _, b := range c.Blocked {
		p.blocked[fold(b)] = true
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
// kinds is asked for (ASVS 6.2.5) unless [PolicyConfig.Composition] does.
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
	for _, k := range p.composition.kinds() {
		if k.least > 0 && count(pw, k.is) < k.least {
			add(CompositionRule, "Use at least %d %s.", k.least, k.name)
		}
	}
	folded := fold(pw)
	switch {
	case p.blocked[folded]:
		add(BlockedPassword, "This password is not allowed here. Choose another one.")
	case p.common && common().Contains(pw):
		add(CommonPassword, "Many people use this password, so attackers try it first. Choose another one.")
	case p.breached != nil && p.breached.Contains(pw):
		add(BreachedPassword, "This password is on a list of stolen passwords. Choose another one, and change it wherever you use it.")
	}
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

// kind is one kind of characters of a [Composition].
type kind struct {
	least int
	name  string
	is    func(rune) bool
}

func (c Composition) kinds() [4]kind {
	return [4]kind{
		{c.Lower, "lower-case letters", unicode.IsLower},
		{c.Upper, "upper-case letters", unicode.IsUpper},
		{c.Digits, "digits", unicode.IsDigit},
		{c.Symbols, "punctuation marks, symbols or spaces", func(r rune) bool {
			return unicode.IsPunct(r) || unicode.IsSymbol(r) || unicode.IsSpace(r)
		}},
	}
}

func count(s string, is func(rune) bool) (n int) {
	for _, r := range s {
		if is(r) {
			n++
		}
	}
	return n
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
