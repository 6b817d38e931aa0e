// SPDX-License-Identifier: Apache-2.0

package throttle_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth/throttle"
)

func Example() {
	key := make([]byte, 32)
	rand.Read(key) // a portal keeps its key: a new one forgets all counters and known browsers
	th, err := throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: key})
	if err != nil {
		log.Fatal(err)
	}

	login := func(origin portalsec.Origin, name, pw, browser string) string {
		ctx := context.Background()
		attempt := throttle.Attempt{Account: name, Addr: origin.Prefix(), Browser: browser}
		d, err := th.Take(ctx, attempt)
		if err != nil {
			return "503"
		}
		if !d.Allowed {
			return fmt.Sprint("429, retry after ", d.RetryAfter.Round(time.Second))
		}
		if pw != "correct horse" { // here the hash is verified
			return "401"
		}
		if err := th.Success(ctx, attempt); err != nil {
			return "503"
		}
		return "200"
	}

	home := portalsec.Origin{Addr: netip.MustParseAddr("203.0.113.7")}
	away := portalsec.Origin{Addr: netip.MustParseAddr("2001:db8::1")}
	fmt.Println("owner:", login(home, "jan@example.com", "correct horse", ""))
	browser := th.BrowserToken("jan@example.com") // goes into a long-lived cookie
	for range 5 {
		fmt.Println("attacker:", login(away, "jan@example.com", "guess", ""))
	}
	fmt.Println("attacker:", login(away, "jan@example.com", "guess", ""))
	fmt.Println("owner, same browser:", login(home, "jan@example.com", "correct horse", browser))
	// Output:
	// owner: 200
	// attacker: 401
	// attacker: 401
	// attacker: 401
	// attacker: 401
	// attacker: 401
	// attacker: 429, retry after 30s
	// owner, same browser: 200
}

func ExampleThrottle_TakeMail() {
	key := make([]byte, 32)
	rand.Read(key)
	th, err := throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: key})
	if err != nil {
		log.Fatal(err)
	}
	origin := portalsec.Origin{Addr: netip.MustParseAddr("203.0.113.7")}
	for range 4 {
		d, err := th.TakeMail(context.Background(), throttle.Attempt{Account: "jan@example.com", Addr: origin.Prefix()})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(d.Allowed, d.RetryAfter.Round(time.Second))
	}
	// Output:
	// true 0s
	// true 0s
	// true 0s
	// false 1m0s
}
