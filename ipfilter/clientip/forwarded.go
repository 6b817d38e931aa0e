// SPDX-License-Identifier: Apache-2.0

package clientip

import (
	"net/netip"
	"strings"
)

// parseForwarded reads the address of the one "for" parameter of an element of Forwarded (RFC 7239 section
// 4). White space around the semicolons, which some proxies write, is let pass though the grammar has none.
func parseForwarded(element string) (netip.Addr, bool) {
	var addr netip.Addr
	found := false
	for {
		var name, value string
		var quoted, ok bool
		element = trim(element)
		if element != "" && element[0] != ';' { // pairs may be empty
			if name, element, ok = strings.Cut(element, "="); !ok || !isToken(name) {
				return netip.Addr{}, false
			}
			if value, quoted, element, ok = parseValue(element); !ok {
				return netip.Addr{}, false
			}
			if strings.EqualFold(name, "for") {
				if found {
					return netip.Addr{}, false
				}
				found = true
				if addr, ok = parseNode(value, quoted); !ok {
					return netip.Addr{}, false
				}
			}
			element = trim(element)
		}
		if element == "" {
			return addr, found
		}
		if element[0] != ';' {
			return netip.Addr{}, false
		}
		element = element[1:]
	}
}

// parseValue takes a token or a quoted string off the front of s. The value of a quoted string is without
// its marks and quoted pairs.
func parseValue(s string) (value string, quoted bool, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		end := 0
		for end < len(s) && isTokenByte(s[end]) {
			end++
		}
		return s[:end], false, s[end:], end > 0
	}
	s = s[1:]
	var unescaped []byte // nil while the value is a part of s
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			if unescaped != nil {
				return string(unescaped), true, s[i+1:], true
			}
			return s[:i], true, s[i+1:], true
		case c == '\\':
			if unescaped == nil {
				unescaped = append(make([]byte, 0, 64), s[:i]...)
			}
			if i++; i == len(s) {
				return "", true, "", false
			}
			c = s[i]
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", true, "", false
		}
		if unescaped != nil {
			unescaped = append(unescaped, c)
		}
	}
	return "", true, "", false
}

// parseNode reads a node that names an address (RFC 7239 section 6): "unknown" and obfuscated names do not.
// The grammar of a token has no colons or brackets, so a port and an IPv6 address stand in quotes only.
func parseNode(s string, quoted bool) (netip.Addr, bool) {
	if strings.HasPrefix(s, "[") {
		if !quoted {
			return netip.Addr{}, false
		}
		return parseBracketed(s, isNodePort)
	}
	host, port, hasPort := strings.Cut(s, ":")
	if hasPort && (!quoted || !isNodePort(port)) {
		return netip.Addr{}, false
	}
	return parseAddr(host)
}

// isNodePort knows a port, and an obfuscated one such as "_p1".
func isNodePort(s string) bool {
	if !strings.HasPrefix(s, "_") {
		return isPort(s)
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return len(s) > 1
}

// isToken tells whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
