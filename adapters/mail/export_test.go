// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"bytes"

	"github.com/portalsec/portalsec"
)

// Wire gives a mail as it is sent.
func (s *Sender) Wire(m portalsec.Mail) ([]byte, error) {
	msg, err := s.message(m)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = msg.WriteTo(&b)
	return b.Bytes(), err
}
