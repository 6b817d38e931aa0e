// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"context"
	"log"

	"github.com/portalsec/portalsec/adapters/redisstore"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/redis/go-redis/v9"
)

// It needs a Redis, so it is only compiled.
func Example() {
	options, err := redisstore.Options("rediss://portal:password@redis.example:6379/0")
	if err != nil {
		log.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	db, err := redisstore.New(context.Background(), client, redisstore.Config{Prefix: "portal"})
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(session.Config{Store: db.Sessions()})
	if err != nil {
		log.Fatal(err)
	}
	attempts, err := throttle.New(throttle.Config{Store: db.Attempts(), Key: []byte("32 random bytes from your secrets")})
	if err != nil {
		log.Fatal(err)
	}
	_, _ = sessions, attempts // for auth.Config
}
