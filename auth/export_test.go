// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

var (
	IsEmail = isEmail
	IsName  = isName
)

// Dump writes down all that is stored.
func (m *Memory) Dump() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(m.accounts)) {
		fmt.Fprintf(&b, "%+v %q\n", *m.accounts[id], m.history[id])
	}
	fmt.Fprintf(&b, "%+v\n", m.oneTime) // sorted by key
	return b.String()
}

// OneTimes gives all one-time tokens.
func (m *Memory) OneTimes() []OneTimeRecord {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.oneTime))
}

// RoundTripProfile parses a profile and writes it down again.
func RoundTripProfile(b []byte) ([]byte, error) {
	p, err := parseProfile(b)
	if err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

// RoundTripLink parses the data of a link and writes them down again.
func RoundTripLink(b []byte) ([]byte, error) {
	d, err := parseLinkData(b)
	if err != nil {
		return nil, err
	}
	return json.Marshal(d)
}
