// SPDX-License-Identifier: Apache-2.0

package portalsec

import (
	"context"
	"errors"
)

// Letter asks for a mail to somebody: what about, to whom, in which language. It holds no secret. Links and
// codes are made when the mail is composed, so that none rests in a queue, and so that the request which asks
// for a letter does the same work whether the address belongs to anybody or not.
type Letter struct {
	// Kind names what it is about, as area.what: "auth.reset", in lower case. The package of the area composes it.
	Kind string
	// To is the e-mail address. Empty means that the composer knows it by Account.
	To string
	// Tenant and Account tell whom it is about, where that is known.
	Tenant, Account string
	// Lang is the wanted language, a BCP 47 tag such as "nl". Empty leaves it to the composer.
	Lang string
	// Data is what the composer needs beside. Whoever keeps letters seals it together with To.
	Data map[string]string
}

// Mail is a mail as it goes out.
type Mail struct {
	// To is the e-mail address of the one recipient.
	To string
	// Subject is one line of plain text.
	Subject string
	// Text and HTML say the same. HTML may be empty.
	Text, HTML string
}

// Mailer takes letters and sees to it that they are sent. Queue returns once the letter is kept, and never
// waits for a mail server. Package outbox has one.
type Mailer interface {
	Queue(ctx context.Context, l Letter) error
}

// Sender sends one mail and returns when the mail server has taken it. An error that is [ErrMailRefused] is final;
// after any other the mail may be sent again. Errors are logged: they hold no address, no password and nothing of the
// mail. Send returns when ctx ends, also while a server keeps silent. It is safe for several goroutines.
type Sender interface {
	Send(ctx context.Context, m Mail) error
}

// ErrMailRefused says that a mail server has refused a mail for good, as for an address that does not exist.
var ErrMailRefused = errors.New("portalsec: the mail server refused the mail")

// ErrNoMail says that a letter has become pointless since it was queued: whoever keeps it drops it.
var ErrNoMail = errors.New("portalsec: nothing to send")
