// SPDX-License-Identifier: Apache-2.0

package crypto_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/crypto"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	// Once, by hand: portalsec keys new root.key
	path := filepath.Join(dir, "root.key")
	if err := crypto.GenerateKeyFile(path); err != nil {
		log.Fatal(err)
	}

	root, err := crypto.OpenKeyFile(path)
	if err != nil {
		log.Fatal(err)
	}
	ring, err := crypto.New(ctx, crypto.Config{
		Root:  root,
		Store: crypto.NewMemory(), // a portal takes sqlstore's Keys()
		Audit: audit.Discard,
	})
	if err != nil {
		log.Fatal(err)
	}
	email := ring.Field("customers", "email", crypto.WithIndex(crypto.NormaliseEmail))

	row := crypto.Row{Tenant: "acme", Subject: "customer-7", ID: "7"}
	sealed, err := email.Seal(ctx, row, []byte("ann@example.org"))
	if err != nil {
		log.Fatal(err)
	}
	plain, err := email.Open(ctx, row, sealed)
	fmt.Println(string(plain), err)

	_, err = email.Open(ctx, crypto.Row{Tenant: "acme", Subject: "customer-7", ID: "8"}, sealed)
	fmt.Println("in another row:", errors.Is(err, crypto.ErrOpen))

	err = ring.Shred(ctx, "acme", "customer-7")
	fmt.Println("shred:", err)
	_, err = email.Open(ctx, row, sealed)
	fmt.Println("afterwards:", errors.Is(err, crypto.ErrShredded))
	// Output:
	// ann@example.org <nil>
	// in another row: true
	// shred: <nil>
	// afterwards: true
}
