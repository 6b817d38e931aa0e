// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/portalsec/portalsec/auth/password"
)

func Example() {
	ctx := context.Background()
	hasher, err := password.New(password.Config{})
	if err != nil {
		log.Fatal(err)
	}
	policy, err := password.NewPolicy(password.PolicyConfig{Words: []string{"Acme", "Acme Helpdesk"}})
	if err != nil {
		log.Fatal(err)
	}

	var refused *password.PolicyError
	if err := policy.Check(ctx, "jansen@acme", "jansen@example.com", "Jan Jansen"); errors.As(err, &refused) {
		for _, p := range refused.Problems {
			fmt.Println(p.Text)
		}
	}

	stored, err := hasher.Hash(ctx, "correct horse battery staple")
	if err != nil {
		log.Fatal(err)
	}
	res, err := hasher.Verify(ctx, stored, "correct horse battery staple")
	fmt.Println(res.OK, res.NeedsRehash, err)
	// Output:
	// Use at least 15 characters. Several words make a good password.
	// Leave out your name, your e-mail address and the name of this site.
	// true false <nil>
}
