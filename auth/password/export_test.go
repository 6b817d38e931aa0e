// SPDX-License-Identifier: Apache-2.0

package password

// ParsePHC reads a stored hash and gives its canonical form.
func ParsePHC(s string) (string, error) {
	h, err := parsePHC(s)
	if err != nil {
		return "", err
	}
	return h.String(), nil
}

// FillSlots takes all slots of h until release is called.
func FillSlots(h *Hasher) (release func()) {
	n := cap(h.slots)
	for range n {
		h.admitted <- struct{}{}
		h.slots <- struct{}{}
	}
	return func() {
		for range n {
			<-h.slots
			<-h.admitted
		}
	}
}

// Slots gives the number of hashes that h computes at once.
func Slots(h *Hasher) int { return cap(h.slots) }

// Waiting gives the number of callers in a slot or in the queue.
func Waiting(h *Hasher) int { return len(h.admitted) }
