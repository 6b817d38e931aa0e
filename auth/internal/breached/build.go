// SPDX-License-Identifier: Apache-2.0

package breached

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// MaxEntries is the greatest number of passwords in a filter.
const MaxEntries = 1_800_000_000

// maxTries bounds the search for a seed. One try in a few fails, and much less often when there are many keys.
const maxTries = 100

// Build makes a filter of keys, which it sorts and rids of doubles in place. The same set of keys gives the same filter, byte
// for byte, in whatever order they come. Beside the keys it needs about 22 bytes of memory for each.
func Build(keys []uint64) (*Filter, error) {
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) == 0 {
		return nil, errors.New("breached: no passwords")
	}
	if len(keys) > MaxEntries {
		return nil, fmt.Errorf("breached: %d passwords, and a filter holds at most %d", len(keys), MaxEntries)
	}
	segment, segments := layout(len(keys))
	f := &Filter{entries: uint32(len(keys)), segment: segment, segments: segments}
	p := newPeeler(len(keys), int((segments+2)*segment))
	for try := range uint64(maxTries) {
		f.seed = mix(try + 1)
		if p.peel(f, keys) {
			f.prints = p.assign(f)
			return f, nil
		}
	}
	return nil, errors.New("breached: no seed fits these passwords")
}

// layout gives the length of a segment and the number of segments less two, by the formulas of the paper's section 4
// for three places to a key.
func layout(n int) (segment, segments uint32) {
	size := float64(max(n, 2))
	length := min(math.Exp2(math.Floor(math.Log(size)/math.Log(3.33)+2.25)), maxSegment)
	factor := max(1.125, 0.875+0.25*math.Log(1e6)/math.Log(size))
	count := math.Ceil(math.Round(size*factor) / length)
	return uint32(length), uint32(max(count-2, 1))
}

// peeler finds an order in which each key has a slot that no later one shares.
type peeler struct {
	count []uint8  // for each slot: four times its number of keys, and the exclusive or of which of their places it is
	mixed []uint64 // for each slot: the exclusive or of its keys' hashes
	alone []uint32 // slots with one key, to be looked at
	order []uint64 // hashes in the order of peeling
	place []uint8  // which of the three places was the key's own
}

func newPeeler(keys, slots int) *peeler {
	return &peeler{
		count: make([]uint8, slots), mixed: make([]uint64, slots), alone: make([]uint32, 0, slots),
		order: make([]uint64, 0, keys), place: make([]uint8, 0, keys),
	}
}

func (p *peeler) peel(f *Filter, keys []uint64) bool {
	clear(p.count)
	clear(p.mixed)
	p.alone, p.order, p.place = p.alone[:0], p.order[:0], p.place[:0]
	for _, key := range keys {
		h := mix(key + f.seed)
		a, b, c := places(h, f.segment, f.segments)
		for i, slot := range [3]uint32{a, b, c} {
			if p.count[slot] >= 63<<2 {
				return false // more would overflow
			}
			p.count[slot] = (p.count[slot] + 4) ^ uint8(i)
			p.mixed[slot] ^= h
		}
	}
	for slot, n := range p.count {
		if n>>2 == 1 {
			p.alone = append(p.alone, uint32(slot))
		}
	}
	for len(p.alone) > 0 {
		last := len(p.alone) - 1
		slot := p.alone[last]
		p.alone = p.alone[:last]
		if p.count[slot]>>2 != 1 {
			continue // its key was peeled by way of another slot
		}
		h, own := p.mixed[slot], p.count[slot]&3
		p.order, p.place = append(p.order, h), append(p.place, own)
		a, b, c := places(h, f.segment, f.segments)
		for i, other := range [3]uint32{a, b, c} {
			p.count[other] = (p.count[other] - 4) ^ uint8(i)
			p.mixed[other] ^= h
			if p.count[other]>>2 == 1 {
				p.alone = append(p.alone, other)
			}
		}
	}
	return len(p.order) == len(keys)
}

// assign gives the fingerprints: each key's own slot makes the three add up, and no key after it touches them.
func (p *peeler) assign(f *Filter) []byte {
	f.prints = make([]byte, 2*len(p.count))
	for i := len(p.order) - 1; i >= 0; i-- {
		h := p.order[i]
		a, b, c := places(h, f.segment, f.segments)
		own := [3]uint32{a, b, c}[p.place[i]]
		// The own slot is still zero.
		binary.LittleEndian.PutUint16(f.prints[2*int(own):], fingerprint(h)^f.print(a)^f.print(b)^f.print(c))
	}
	return f.prints
}
