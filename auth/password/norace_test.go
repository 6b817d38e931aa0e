// SPDX-License-Identifier: Apache-2.0

//go:build !race

package password_test

const raceEnabled = false
