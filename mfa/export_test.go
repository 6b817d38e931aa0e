// SPDX-License-Identifier: Apache-2.0

package mfa

var (
	Matches      = matches
	Normalise    = normalise
	AsRecovery   = asRecovery
	HashRecovery = hashRecovery
	Wait         = wait
)
