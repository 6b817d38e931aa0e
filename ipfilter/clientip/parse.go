// SPDX-License-Identifier: Apache-2.0

package clientip

import (
	"net/netip"
	"strings"
)

// parseAddr reads one address. Zones are cut off before netip sees them: it would keep each in a table.
func parseAddr(s string) (netip.Addr, bool) {
	if i := strings.IndexByte(s, '%'); i >= 0 {
		if i == len(s)-1 || strings.IndexByte(s[:i], ':') < 0 {
			return netip.Addr{}, false // an empty zone, or one on an IPv4 address
		}
		s = s[:i]
	}
	if !plausible(s) {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil
}

// plausible spares netip, whose errors are allocated, what is obviously no address.
func plausible(s string) bool {
	if len(s) < len("::") || len(s) > len("0000:0000:0000:0000:0000:0000:255.255.255.255") {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}

// parsePeer reads what net/http puts into RemoteAddr: "IPv4:port", "[IPv6]:port" or a bare address.
func parsePeer(s string) (netip.Addr, bool) {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return netip.Addr{}, false
	}
	return parseEntry(s)
}

// parseEntry reads an entry of a list: "IPv4", "IPv4:port", "IPv6", "[IPv6]" or "[IPv6]:port".
func parseEntry(s string) (netip.Addr, bool) {
	if strings.HasPrefix(s, "[") {
		return parseBracketed(s, isPort)
	}
	if i := strings.IndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i+1:], ':') < 0 { // exactly one colon
		if !isPort(s[i+1:]) {
			return netip.Addr{}, false
		}
		s = s[:i]
	}
	return parseAddr(s)
}

// parseBracketed reads "[IPv6]" or "[IPv6]:port".
func parseBracketed(s string, port func(string) bool) (netip.Addr, bool) {
	inner, rest, ok := strings.Cut(s[1:], "]")
	if !ok || strings.IndexByte(inner, ':') < 0 || rest != "" && (rest[0] != ':' || !port(rest[1:])) {
		return netip.Addr{}, false
	}
	return parseAddr(inner)
}

func isPort(s string) bool {
	if len(s) == 0 || len(s) > 5 {
		return false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n <= 65535
}

// trim takes the optional white space of RFC 9110 section 5.6.3 from both ends: spaces and tabs, no more.
func trim(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// list gives the elements of a header from the right. Lines are one list in their order (RFC 9110 section
// 5.3), but none can open a quotation that another closes.
type list struct {
	lines  []string // the lines not begun yet
	line   string   // what is left of the line that is being read
	begun  bool
	quoted bool // commas within quoted strings do not divide
}

// last takes the last element off the list. It tells false when there is none.
func (l *list) last() (string, bool) {
	if !l.begun {
		if len(l.lines) == 0 {
			return "", false
		}
		n := len(l.lines) - 1
		l.lines, l.line, l.begun = l.lines[:n], l.lines[n], true
	}
	comma := strings.LastIndexByte(l.line, ',')
	if l.quoted {
		comma = lastComma(l.line)
	}
	element := l.line[comma+1:]
	if comma < 0 {
		l.begun = false
	} else {
		l.line = l.line[:comma]
	}
	return trim(element), true
}

// lastComma finds the last comma that is not in a quoted string, or gives -1.
//
// Quotations are found from the right. In a well-formed line they are the same as from the left, and in any
// other those that the nearest proxies appended, whatever a client wrote before them.
func lastComma(line string) int {
	inQuotes := false
	for i := len(line) - 1; i >= 0; i-- {
		switch {
		case line[i] == ',' && !inQuotes:
			return i
		case line[i] == '"':
			slashes := 0
			for i > slashes && line[i-1-slashes] == '\\' {
				slashes++
			}
			if slashes%2 == 0 { // else it is a quoted pair, not a mark
				inQuotes = !inQuotes
			}
			i -= slashes
		}
	}
	return -1
}
