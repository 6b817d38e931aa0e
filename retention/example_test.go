// SPDX-License-Identifier: Apache-2.0

package retention_test

import (
	"fmt"
	"time"

	"github.com/portalsec/portalsec/retention"
)

func ExampleParsePolicies() {
	policies, err := retention.ParsePolicies("retention.yaml", []byte(`
policies:
  closed-tickets:
    data_class: support tickets with their messages and files
    purpose: answering customers' questions and complaints
    legal_basis: GDPR article 6(1)(b), contract
    keep: P2Y
    floor: P3Y
    action: delete
    target: tickets
`))
	fmt.Println(len(policies), err)
	// Output:
	// 0 retention.yaml:8:12: policy "closed-tickets": floor: P3Y is longer than keep P2Y, reckoned from 2000-03-01
}

func ExamplePeriod_Before() {
	endOfMarch := time.Date(2026, time.March, 31, 12, 0, 0, 0, time.UTC)
	fmt.Println(retention.MustPeriod("P1M").Before(endOfMarch))
	fmt.Println(retention.MustPeriod("P6Y").Before(endOfMarch))
	fmt.Println(retention.MustPeriod("P2190D").Before(endOfMarch))
	// Output:
	// 2026-02-28 12:00:00 +0000 UTC
	// 2020-03-31 12:00:00 +0000 UTC
	// 2020-04-01 12:00:00 +0000 UTC
}
