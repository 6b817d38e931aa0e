// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"github.com/portalsec/portalsec"
)

func mailServer(config) (portalsec.Sender, error) { return nil, errors.New("being written") }
