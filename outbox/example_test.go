// SPDX-License-Identifier: Apache-2.0

package outbox_test

import (
	"context"
	"fmt"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/outbox"
)

// printer stands for the sender of adapters/mail.
type printer struct{ sent chan struct{} }

func (p printer) Send(_ context.Context, m portalsec.Mail) error {
	fmt.Printf("to %s: %s\n", m.To, m.Subject)
	close(p.sent)
	return nil
}

func Example() {
	letters, err := outbox.New(outbox.Config{
		Store:  outbox.NewMemory(), // db.Outbox() of adapters/sqlstore in a real portal
		Sealer: newSealer(),        // keyring.Field("outbox", "letter")
		Audit:  audit.Discard,
	})
	if err != nil {
		panic(err)
	}
	// letters is the Mail of auth.Config. What needs the mailer is built here, and composes the letters then.
	compose := func(_ context.Context, l portalsec.Letter) (portalsec.Mail, error) {
		return portalsec.Mail{To: l.To, Subject: "Choose a new password", Text: "https://portal.example/reset"}, nil
	}

	ctx, stop := context.WithCancel(context.Background())
	smtp := printer{make(chan struct{})}
	done := make(chan error)
	go func() {
		done <- letters.Run(ctx, outbox.Delivery{Sender: smtp, Compose: map[string]outbox.Composer{"auth": compose}})
	}()

	// A request asks for a letter and goes on.
	if err := letters.Queue(ctx, portalsec.Letter{Kind: "auth.reset", To: "ada@acme.example"}); err != nil {
		panic(err)
	}
	<-smtp.sent
	stop()
	if err := <-done; err != nil {
		panic(err)
	}
	status, err := letters.Status(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println("waiting:", status.Waiting)
	// Output:
	// to ada@acme.example: Choose a new password
	// waiting: 0
}
