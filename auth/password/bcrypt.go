// SPDX-License-Identifier: Apache-2.0

package password

import (
	"errors"
	"regexp"

	"golang.org/x/crypto/bcrypt"
)

// bcryptForm takes costs from 4 to 15; each more doubles the time, and 15 takes some seconds. The form $2x$ is left out: it is
// that of a library which lost bits of letters with accents.
var bcryptForm = regexp.MustCompile(`^\$2[aby]\$(0[4-9]|1[0-5])\$[./A-Za-z0-9]{53}$`)

// bcrypted is a stored hash of bcrypt in its usual form.
type bcrypted string

func parseBcrypt(s string) (bcrypted, error) {
	if !bcryptForm.MatchString(s) {
		return "", ErrHash
	}
	return bcrypted(s), nil
}

// memory is four KiB for the boxes, which is nothing here.
func (h bcrypted) memory() uint32 { return 4 }

// verify compares as all implementations do: only the first 72 bytes of the password count.
func (h bcrypted) verify(pw string) (bool, error) {
	switch err := bcrypt.CompareHashAndPassword([]byte(h), []byte(pw)); {
	case err == nil:
		return true, nil
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, nil
	}
	return false, ErrHash
}
