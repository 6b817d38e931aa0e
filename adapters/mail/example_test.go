// SPDX-License-Identifier: Apache-2.0

package mail_test

import (
	"context"
	"log"
	"net/url"
	"os"

	"github.com/portalsec/portalsec/adapters/mail"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/crypto"
	"github.com/portalsec/portalsec/outbox"
)

func Example() {
	var (
		ctx    = context.Background()             // ends when the portal stops
		store  = outbox.Store(outbox.NewMemory()) // db.Outbox() of adapters/sqlstore
		keys   *crypto.Keyring                    // see package crypto
		config auth.Config                        // see package auth
		public = &url.URL{Scheme: "https", Host: "portal.example"}
	)

	smtp, err := mail.New(mail.Config{
		Host: "smtp.acme.example", Username: "portal", Password: os.Getenv("SMTP_PASSWORD"),
		From: "Acme Portal <portal@acme.example>",
	})
	if err != nil {
		log.Fatal(err)
	}
	letters, err := outbox.New(outbox.Config{Store: store, Sealer: keys.Field("outbox", "letter")})
	if err != nil {
		log.Fatal(err)
	}
	config.Mail, config.PublicURL = letters, public
	accounts, err := auth.New(config)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		compose := map[string]outbox.Composer{"auth": accounts.Compose}
		if err := letters.Run(ctx, outbox.Delivery{Sender: smtp, Compose: compose}); err != nil {
			log.Fatal(err)
		}
	}()
}
