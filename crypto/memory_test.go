// SPDX-License-Identifier: Apache-2.0

package crypto_test

import (
	"testing"

	"github.com/portalsec/portalsec/crypto"
	"github.com/portalsec/portalsec/crypto/cryptotest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	cryptotest.Run(t, func(*testing.T) crypto.KeyStore { return crypto.NewMemory() })
}
