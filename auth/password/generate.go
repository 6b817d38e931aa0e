// SPDX-License-Identifier: Apache-2.0

package password

import "crypto/rand"

// alphabet has no letters or digits that look alike (i l 1, o 0) and no vowels, so that no words come about.
const alphabet = "bcdfghjkmnpqrstvwxyz23456789"

const (
	groups    = 4
	groupSize = 6
	// fairBytes is the greatest multiple of the alphabet's length within a byte.
	fairBytes = 256 / len(alphabet) * len(alphabet)
)

// Generate gives a random password of 115 bits, such as for a new account or an invitation: four groups of six
// lower-case letters and digits, joined by hyphens.
func Generate() string {
	out := make([]byte, 0, groups*(groupSize+1))
	var b [32]byte
	for n := 0; n < groups*groupSize; {
		rand.Read(b[:]) // never fails: it ends the process instead
		for _, v := range b {
			if int(v) >= fairBytes || n == groups*groupSize {
				continue
			}
			if n > 0 && n%groupSize == 0 {
				out = append(out, '-')
			}
			out = append(out, alphabet[int(v)%len(alphabet)])
			n++
		}
	}
	return string(out)
}
