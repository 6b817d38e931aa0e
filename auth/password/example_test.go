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

// A hash that another application made is verified once, and replaced.
func ExampleHasher_Verify() {
	ctx := context.Background()
	hasher, err := password.New(password.Config{})
	if err != nil {
		log.Fatal(err)
	}
	stored := "$2y$04$N9qo8uLOickgx2ZMRZoMyeNK8zsWBMaMSVoubqovVQN3ypdVzHwOW"
	res, err := hasher.Verify(ctx, stored, "correct horse battery staple")
	if err != nil {
		log.Fatal(err)
	}
	if res.OK && res.NeedsRehash {
		if stored, err = hasher.Hash(ctx, "correct horse battery staple"); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(res.OK, stored[:len("$argon2id$v=19$m=19456,t=2,p=1$")])
	// Output: true $argon2id$v=19$m=19456,t=2,p=1$
}

func ExamplePolicy_Check() {
	policy, err := password.NewPolicy(password.PolicyConfig{SecondFactor: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(policy.Check(context.Background(), "Superman1"))
	// Output: password: refused by the policy: common
}

func ExamplePolicy_Reused() {
	ctx := context.Background()
	hasher, err := password.New(password.Config{})
	if err != nil {
		log.Fatal(err)
	}
	policy, err := password.NewPolicy(password.PolicyConfig{History: 5})
	if err != nil {
		log.Fatal(err)
	}
	present, err := hasher.Hash(ctx, "correct horse battery staple")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(policy.Reused(ctx, hasher, []string{present}, "correct horse battery staple"))
	// Output: password: refused by the policy: reused
}

func ExampleEstimate() {
	s := password.Estimate("jansen1984", "j.jansen@example.com")
	fmt.Println(s.Score, s.Hint)
	// Output: 0 Leave out your name, your e-mail address and the name of this site.
}

// The file is one that breachedfilter made.
func ExampleOpenFilter() {
	breached, err := password.OpenFilter("common/common.filter")
	if err != nil {
		log.Fatal(err)
	}
	policy, err := password.NewPolicy(password.PolicyConfig{Breached: breached, InsecureAllowCommon: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(breached.Len(), policy.Check(context.Background(), "passwordpassword"))
	// Output: 110000 password: refused by the policy: breached
}
