// SPDX-License-Identifier: Apache-2.0

// Package ranges finds the longest of many prefixes that an address is in.
package ranges

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ParsePrefix reads a prefix or a single address. Bits past the length are cleared. An IPv4-mapped prefix of /96
// or longer becomes the IPv4 prefix that it stands for; zones are refused, because a prefix has none.
func ParsePrefix(text string) (netip.Prefix, error) {
	var p netip.Prefix
	if strings.Contains(text, "/") {
		var err error
		if p, err = netip.ParsePrefix(text); err != nil {
			return netip.Prefix{}, fmt.Errorf("%q is not an address or prefix", text)
		}
	} else {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is not an address or prefix", text)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	return Fold(p), nil
}

// Fold clears the bits past the length. An IPv4-mapped prefix of /96 or longer becomes the IPv4 prefix that it stands
// for.
func Fold(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// None is the value of addresses that are in no prefix.
const None int32 = -1

// Entry is a prefix with the value that its addresses have.
type Entry struct {
	Prefix netip.Prefix
	Value  int32
}

// Table maps addresses to the value of the longest prefix that they are in. It is read only, so any number of
// goroutines may use it. The zero Table is empty.
type Table struct {
	v4 []range4
	v6 []range6
}

// A range goes from its start to the start of the next one.
type range4 struct {
	start uint32
	value int32
}

type range6 struct {
	start u128
	value int32
}

type u128 struct{ hi, lo uint64 }

func toU128(a netip.Addr) u128 {
	b := a.As16()
	return u128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func toU32(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// New builds a table. Of entries with the same prefix the first counts. Prefixes must be masked, as those of
// [ParsePrefix] are. It reorders entries.
func New(entries []Entry) Table {
	slices.SortStableFunc(entries, func(a, b Entry) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	entries = slices.CompactFunc(entries, func(a, b Entry) bool { return a.Prefix == b.Prefix })

	// Two prefixes are apart or one holds the other. So a walk in the order of their starts needs only a stack
	// of those that are open: a new one begins its own range, and one that ends gives way to the one around it.
	var t Table
	var open []Entry
	closeUntil := func(next netip.Prefix) {
		for len(open) > 0 {
			top := open[len(open)-1]
			if next.IsValid() && top.Prefix.Contains(next.Addr()) {
				return
			}
			open = open[:len(open)-1]
			after := lastAddr(top.Prefix).Next()
			if !after.IsValid() || after.Is4() != top.Prefix.Addr().Is4() {
				continue // it reaches to the end of its family
			}
			value := None
			if len(open) > 0 {
				value = open[len(open)-1].Value
			}
			t.add(after, value)
		}
	}
	for _, e := range entries {
		closeUntil(e.Prefix)
		t.add(e.Prefix.Addr(), e.Value)
		open = append(open, e)
	}
	closeUntil(netip.Prefix{})
	t.v4, t.v6 = slices.Clip(t.v4), slices.Clip(t.v6)
	return t
}

// add begins a range at a. A range that begins at the same address is replaced: it was empty.
func (t *Table) add(a netip.Addr, value int32) {
	if a.Is4() {
		start := toU32(a)
		if n := len(t.v4); n > 0 && t.v4[n-1].start == start {
			t.v4 = t.v4[:n-1]
		}
		if n := len(t.v4); n > 0 && t.v4[n-1].value == value {
			return
		}
		t.v4 = append(t.v4, range4{start, value})
		return
	}
	start := toU128(a)
	if n := len(t.v6); n > 0 && t.v6[n-1].start == start {
		t.v6 = t.v6[:n-1]
	}
	if n := len(t.v6); n > 0 && t.v6[n-1].value == value {
		return
	}
	t.v6 = append(t.v6, range6{start, value})
}

// Find gives the value of a, or [None]. An IPv4-mapped address is looked up as IPv4, a zone is ignored, and
// the invalid address is in no prefix.
func (t *Table) Find(a netip.Addr) int32 {
	switch {
	case a.Is4() || a.Is4In6():
		key := toU32(a.Unmap())
		lo, hi := 0, len(t.v4)
		for lo < hi {
			if mid := int(uint(lo+hi) >> 1); t.v4[mid].start <= key {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		if lo == 0 {
			return None
		}
		return t.v4[lo-1].value
	case a.Is6():
		key := toU128(a)
		lo, hi := 0, len(t.v6)
		for lo < hi {
			mid := int(uint(lo+hi) >> 1)
			if s := t.v6[mid].start; s.hi < key.hi || s.hi == key.hi && s.lo <= key.lo {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		if lo == 0 {
			return None
		}
		return t.v6[lo-1].value
	}
	return None
}

func lastAddr(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], toU32(p.Addr())|uint32(uint64(1)<<(32-p.Bits())-1))
		return netip.AddrFrom4(b)
	}
	b := p.Addr().As16()
	for i := p.Bits(); i < 128; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom16(b)
}
