// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portalsec/portalsec"
)

// mail is a message to a user.
type mail struct {
	To, Subject, Text string
	Sent              time.Time
}

// outbox takes the portal's mail. A demonstration keeps the last hundred in memory for /dev/outbox; otherwise
// mail is dropped with a line in the log, because no mail server can be configured yet.
type outbox struct {
	log  *slog.Logger
	keep bool

	mu    sync.Mutex
	mails []mail
}

func (o *outbox) send(m mail) {
	if !o.keep {
		o.log.Warn("mail not sent: this portal has no mail server", "subject", m.Subject)
		return
	}
	m.Sent = time.Now().UTC()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mails = append(o.mails, m)
	if len(o.mails) > 100 {
		o.mails = o.mails[1:]
	}
}

func (o *outbox) all() []mail {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := slices.Clone(o.mails)
	slices.Reverse(list)
	return list
}

// fromThisMachine tells whether a browser on this machine asks, directly and by a name of this machine. A proxy on
// the same machine would speak for everybody, and a page elsewhere can make its own host name mean this machine.
func (a *app) fromThisMachine(r *http.Request) bool {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded") || slices.Contains([]string{"Forwarded", "X-Real-Ip", "Via", "Cf-Connecting-Ip", "True-Client-Ip"}, name) {
			return false
		}
	}
	asked := url.URL{Host: r.Host}
	o, _ := portalsec.OriginFrom(r.Context())
	return o.Addr.IsLoopback() && isLoopback(asked.Hostname()) && isLoopback(a.cfg.publicURL.Hostname())
}

// outboxPage shows the mail of a demonstration to who sits at this machine.
func (a *app) outboxPage(w http.ResponseWriter, r *http.Request) error {
	if !a.demo || !a.fromThisMachine(r) {
		return errNotFound
	}
	return a.render(w, r, http.StatusOK, "outbox", page{Title: "Outgoing mail", Data: a.outbox.all()})
}
