// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/portalsec/portalsec/crypto"
)

type keysNew struct {
	File string `arg:"" help:"Key file to write. It must not exist."`
}

// Run writes the key file.
func (c *keysNew) Run(stdout io.Writer) error {
	if err := crypto.GenerateKeyFile(c.File); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "%s: new key, readable by you only. Keep a copy where the database's backups are not:\nwithout it nothing that is sealed under it can be opened.\n", c.File)
	return err
}
