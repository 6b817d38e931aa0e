// SPDX-License-Identifier: Apache-2.0

package password

import "fmt"

// Parse reads a stored hash and gives its canonical form, or what was given where the form is another's.
func Parse(s string) (string, error) {
	h, err := parse(s)
	if err != nil {
		return "", err
	}
	if text, ok := h.(fmt.Stringer); ok {
		return text.String(), nil
	}
	return s, nil
}

// Memory gives the KiB that verifying a stored hash uses.
func Memory(s string) uint32 {
	h, err := parse(s)
	if err != nil {
		return 0
	}
	return h.memory()
}

// Sum derives with the parameters of a stored hash.
func Sum(s, pw string) (bool, error) {
	h, err := parse(s)
	if err != nil {
		return false, err
	}
	return h.verify(pw)
}

// FillSlots takes all slots of h until release is called.
func FillSlots(h *Hasher) (release func()) {
	n := cap(h.slots.free)
	for range n {
		h.slots.admitted <- struct{}{}
		h.slots.free <- struct{}{}
	}
	return func() {
		for range n {
			<-h.slots.free
			<-h.slots.admitted
		}
	}
}

// TakeSlot takes one slot of h until release is called.
func TakeSlot(h *Hasher) (release func()) {
	h.slots.free <- struct{}{}
	return func() { <-h.slots.free }
}

// Slots gives the number of hashes that h computes at once.
func Slots(h *Hasher) int { return cap(h.slots.free) }

// Waiting gives the number of callers in a slot or in the queue.
func Waiting(h *Hasher) int { return len(h.slots.admitted) }

// Taken gives the number of slots that are taken.
func Taken(h *Hasher) int { return len(h.slots.free) }
