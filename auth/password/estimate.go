// SPDX-License-Identifier: Apache-2.0

package password

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Strength is a guess at how hard a password is to guess.
type Strength struct {
	// Bits is the base-2 logarithm of the number of guesses.
	Bits float64
	// Score is 0 for what falls at once, 1 below 33 bits, 2 below 47, 3 below 64 and 4 from there: for a bar
	// beside the form's field. A stolen Argon2id hash costs an attacker's machine roughly a hundred microseconds a guess, so that
	// 33 bits are ten days of it and 47 bits are centuries.
	Score int
	// Hint tells a visitor in English what would help most. It is empty at score 4, and repeats nothing of the
	// password.
	Hint string
}

const (
	// estimatedRunes is how much of a password is looked at. More could only raise what is high already.
	estimatedRunes = 128
	// longestCommon is the greatest length of a common password, in characters.
	longestCommon = 40
	leastCommon   = 8
	wordBits      = 2.6 // a letter of a word: a word of a Diceware list has 12.9 bits and about five letters
)

// rows are the keyboard's, and the columns that people type down.
var rows = [...]string{
	"qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm", "!@#$%^&*()_+", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю",
}

// Estimate guesses how hard a password is to guess; context is as in [Policy.Check]. It is a hint for the
// person who chooses one and decides nothing: [Policy.Check] does. It knows the common passwords, repetition, sequences of
// letters, digits and keys, years, and what looks like a word; it has no dictionary, so that a famous
// quotation looks better to it than it is. It takes the cheapest way of putting the password together from such parts,
// and looks at its first 128 characters.
func Estimate(pw string, context ...string) Strength {
	e := estimator{text: make([]rune, 0, estimatedRunes)}
	for _, r := range pw {
		if len(e.text) == estimatedRunes {
			break
		}
		e.text = append(e.text, r)
	}
	for _, c := range context {
		e.words = appendWords(e.words, c)
	}
	if unit := period(e.text); unit > 0 {
		times := float64(len(e.text)) / float64(unit)
		e.text = e.text[:unit]
		bits, _ := e.cheapest()
		return strength(bits+math.Log2(times), "Do not repeat the same characters.")
	}
	return strength(e.cheapest())
}

func strength(bits float64, hint string) Strength {
	s := Strength{Bits: bits, Hint: hint}
	for _, least := range [...]float64{20, 33, 47, 64} {
		if bits >= least {
			s.Score++
		}
	}
	if s.Score == 4 {
		s.Hint = ""
	}
	return s
}

// period gives the length of what the whole text repeats, the last time perhaps not to its end, or 0 if it
// repeats nothing. It is the failure function of Knuth, Morris and Pratt.
func period(text []rune) int {
	border := make([]int, len(text))
	for i, k := 1, 0; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = border[k-1]
		}
		if text[i] == text[k] {
			k++
		}
		border[i] = k
	}
	if n := len(text); n > 0 && 2*(n-border[n-1]) <= n {
		return n - border[n-1]
	}
	return 0
}

// estimator looks for the parts of a password.
type estimator struct {
	text  []rune
	lower []rune
	words []string // folded context words
}

// part is a way to guess the characters up to some place: those from the place before, and all before them.
type part struct {
	from int
	bits float64
	hint string
}

const (
	hintLonger   = "Add a word or two that have nothing to do with the others."
	hintCommon   = "Leave out what many people use as their password."
	hintContext  = "Leave out your name, your e-mail address and the name of this site."
	hintSequence = "Leave out sequences such as abc, 123 or qwerty."
	hintRepeat   = "Do not repeat the same characters."
	hintYear     = "Leave out years and dates."
)

// cheapest gives the bits of the cheapest way to put the text together, and the hint of its longest weak part.
func (e *estimator) cheapest() (bits float64, hint string) {
	n := len(e.text)
	e.lower = make([]rune, n)
	for i, r := range e.text {
		e.lower[i] = unicode.ToLower(r)
	}
	best := make([]part, n+1)
	for i := 1; i <= n; i++ {
		best[i].bits = math.Inf(1)
	}
	for from := range n {
		offer := func(to int, bits float64, hint string) {
			if bits += best[from].bits; bits < best[to].bits {
				best[to] = part{from, bits, hint}
			}
		}
		offer(from+1, characterBits(e.text[from]), "")
		e.runs(from, offer)
		e.wordlike(from, offer)
		e.known(from, offer)
	}
	longest := 0
	hint = hintLonger
	for to := n; to > 0; to = best[to].from {
		if p := best[to]; p.hint != "" && to-p.from > longest {
			longest, hint = to-p.from, p.hint
		}
	}
	return best[n].bits, hint
}

// characterBits is what a character costs that belongs to nothing.
func characterBits(r rune) float64 {
	switch {
	case '0' <= r && r <= '9':
		return math.Log2(10)
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
		return math.Log2(26)
	case r < utf8.RuneSelf:
		return math.Log2(33)
	}
	return 7 // a script's common characters
}

// capitals is what it costs to guess which letters of a part are upper-case.
func (e *estimator) capitals(from, to int) float64 {
	n := 0
	for _, r := range e.text[from:to] {
		if unicode.IsUpper(r) {
			n++
		}
	}
	switch n {
	case 0:
		return 0
	case 1, to - from:
		return 1
	}
	return float64(n) * 1.5
}

// runs offers repetitions, sequences and keyboard rows that begin at from.
func (e *estimator) runs(from int, offer func(int, float64, string)) {
	const least = 3
	start := characterBits(e.text[from])
	for _, step := range [...]rune{0, 1, -1} {
		to := from + 1
		for to < len(e.lower) && e.lower[to]-e.lower[to-1] == step {
			to++
		}
		hint := hintSequence
		if step == 0 {
			hint = hintRepeat
		}
		for end := from + least; end <= to; end++ {
			offer(end, start+2+math.Log2(float64(end-from))+e.capitals(from, end), hint)
		}
	}
	for _, row := range rows {
		to := from + least
		if to > len(e.lower) {
			break
		}
		for to <= len(e.lower) && strings.Contains(row, string(e.lower[from:to])) {
			offer(to, start+4+math.Log2(float64(to-from))+e.capitals(from, to), hintSequence)
			to++
		}
	}
}

// wordlike offers letters that could be a word: no more than three vowels or consonants follow each other.
func (e *estimator) wordlike(from int, offer func(int, float64, string)) {
	const least, most = 3, 3
	vowels, consonants := 0, 0
	for to := from; to < len(e.lower) && 'a' <= e.lower[to] && e.lower[to] <= 'z'; to++ {
		if strings.ContainsRune("aeiouy", e.lower[to]) {
			vowels, consonants = vowels+1, 0
		} else {
			vowels, consonants = 0, consonants+1
		}
		if vowels > most || consonants > most {
			return
		}
		if n := to + 1 - from; n >= least {
			offer(to+1, wordBits*float64(n)+e.capitals(from, to+1), "")
		}
	}
}

// known offers years, context words and common passwords that begin at from.
func (e *estimator) known(from int, offer func(int, float64, string)) {
	rest := e.lower[from:]
	if len(rest) >= 4 {
		year := 0
		for _, r := range rest[:4] {
			if r < '0' || r > '9' {
				year = 0
				break
			}
			year = 10*year + int(r-'0')
		}
		if year >= 1900 && year < 2060 {
			offer(from+4, math.Log2(160), hintYear)
		}
	}
	text := string(rest)
	for _, w := range e.words {
		if strings.HasPrefix(fold(text), w) {
			to := from + utf8.RuneCountInString(w)
			if to <= len(e.lower) { // folding may change the number of characters
				offer(to, 3+e.capitals(from, to), hintContext)
			}
		}
	}
	// Common passwords at the beginning and at the end only: each look-up may err, and more would find too often what is
	// not there.
	listed := math.Log2(float64(common().Len()))
	for n := leastCommon; n <= min(longestCommon, len(rest)); n++ {
		if (from == 0 || n == len(rest)) && common().Contains(string(rest[:n])) {
			offer(from+n, listed+e.capitals(from, from+n), hintCommon)
		}
	}
}
