// SPDX-License-Identifier: Apache-2.0

package letter

import (
	"iter"
	"slices"
	"strings"
)

const (
	// maxHeader bounds how much of a header is read: no browser sends as many languages.
	maxHeader = 1000
	maxRanges = 20
)

// Language picks from supported the language that an Accept-Language header asks for (RFC 9110 section
// 12.5.4), by look-up as in RFC 4647 section 3.4: "nl-BE" finds "nl". The header may hold anything; what is malformed in it is
// passed over, and so is what comes after its first 1000 bytes or 20 ranges. The answer is spelled as in
// supported, or empty when nothing fits.
func Language(acceptLanguage string, supported ...string) string {
	cut := len(acceptLanguage) > maxHeader
	if cut {
		acceptLanguage = acceptLanguage[:maxHeader]
	}
	type wanted struct {
		tag    string
		weight int
	}
	var ranges []wanted
	parts := strings.SplitN(acceptLanguage, ",", maxRanges+1)
	if len(parts) > maxRanges || cut {
		parts = parts[:len(parts)-1] // the rest, or half of a range
	}
	for _, part := range parts {
		tag, params, _ := strings.Cut(part, ";")
		tag = strings.ToLower(strings.Trim(tag, " \t"))
		if weight := weigh(params); weight > 0 && tag != "" {
			ranges = append(ranges, wanted{tag, weight})
		}
	}
	slices.SortStableFunc(ranges, func(a, b wanted) int { return b.weight - a.weight })
	for _, r := range ranges {
		for tag := range broader(r.tag) {
			for _, s := range supported {
				if strings.ToLower(s) == tag {
					return s
				}
			}
		}
	}
	return ""
}

// weigh gives the weight of a range in thousandths, 0 when it is malformed.
func weigh(params string) int {
	params = strings.Trim(params, " \t")
	if params == "" {
		return 1000
	}
	q, ok := strings.CutPrefix(strings.ToLower(params), "q=")
	if !ok || len(q) == 0 || len(q) > 5 || q[0] != '0' && q[0] != '1' || len(q) > 1 && q[1] != '.' {
		return 0
	}
	weight, unit := int(q[0]-'0')*1000, 100
	for _, c := range []byte(q[min(2, len(q)):]) {
		if c < '0' || c > '9' {
			return 0
		}
		weight += int(c-'0') * unit
		unit /= 10
	}
	if weight > 1000 {
		return 0
	}
	return weight
}

// broader gives a tag, then the tag without its last subtag, and so on. A single letter goes together with
// the subtag that it announces.
func broader(tag string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for tag != "" {
			if !yield(tag) {
				return
			}
			i := strings.LastIndexByte(tag, '-')
			if i < 0 {
				return
			}
			if i >= 2 && tag[i-2] == '-' {
				i -= 2
			}
			tag = tag[:i]
		}
	}
}
