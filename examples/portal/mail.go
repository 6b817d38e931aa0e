// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/outbox"
)

// sentMail is a mail of a demonstration.
type sentMail struct {
	portalsec.Mail
	Sent time.Time
}

// mailbox is the mail server of a demonstration: it keeps the last hundred mails in memory for /dev/outbox.
type mailbox struct {
	mu    sync.Mutex
	mails []sentMail
}

// Send is that of [portalsec.Sender].
func (b *mailbox) Send(_ context.Context, m portalsec.Mail) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails = append(b.mails, sentMail{m, time.Now().UTC()})
	if len(b.mails) > 100 {
		b.mails = b.mails[1:]
	}
	return nil
}

// all gives the mails, the newest first.
func (b *mailbox) all() []sentMail {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := slices.Clone(b.mails)
	slices.Reverse(list)
	return list
}

// mails tells whether this portal can send mail: a demonstration to itself, others by their mail server.
func (a *app) mails() bool { return a.sender != nil }

// deliver sends what is in the outbox until ctx ends.
func (a *app) deliver(ctx context.Context) error {
	return a.outbox.Run(ctx, outbox.Delivery{
		Sender:  a.sender,
		Compose: map[string]outbox.Composer{"auth": a.auth.Compose, "portal": a.compose},
	})
}

// The portal's own letters.
const (
	factorAdded        = "portal.factor-added"
	factorRemoved      = "portal.factor-removed"
	ticketAnswered     = "portal.ticket-answered"
	appointmentChanged = "portal.appointment-changed"
	// dataPath is the page that a letter names.
	dataPath = "path"
)

// letterText is a letter in one language. A page of the portal is named after the text, where there is one.
type letterText struct{ subject, text string }

var letterTexts = map[string]map[string]letterText{
	factorAdded: {
		"en": {"A second factor was added to your account", "An authenticator app was added to your account.\n\nIf this was not you, choose a new password at once and tell us."},
		"nl": {"Er is een tweede factor aan uw account toegevoegd", "Er is een authenticator-app aan uw account toegevoegd.\n\nWas u dit niet? Kies dan meteen een nieuw wachtwoord en laat het ons weten."},
		"zh": {"您的账号已添加第二重验证", "您的账号已添加一个验证器应用。\n\n如果不是您本人操作，请立即设置新密码并告知我们。"},
	},
	factorRemoved: {
		"en": {"A second factor was removed from your account", "An authenticator app was removed from your account.\n\nIf this was not you, choose a new password at once and tell us."},
		"nl": {"Er is een tweede factor van uw account verwijderd", "Er is een authenticator-app van uw account verwijderd.\n\nWas u dit niet? Kies dan meteen een nieuw wachtwoord en laat het ons weten."},
		"zh": {"您的账号已移除第二重验证", "您的账号已移除一个验证器应用。\n\n如果不是您本人操作，请立即设置新密码并告知我们。"},
	},
	ticketAnswered: {
		"en": {"There is a reply to your ticket", "Sign in to read it:"},
		"nl": {"Er is een antwoord op uw melding", "Log in om het te lezen:"},
		"zh": {"您的工单有新的回复", "请登录查看："},
	},
	appointmentChanged: {
		"en": {"Your appointment has changed", "An appointment of yours was moved or cancelled. See all of them:"},
		"nl": {"Uw afspraak is gewijzigd", "Een afspraak van u is verplaatst of afgezegd. Bekijk al uw afspraken:"},
		"zh": {"您的预约有变更", "您的一项预约已改期或取消。查看全部预约："},
	},
}

// notify has a letter sent to the user of an account about something that was done, and names a page in it unless
// path is empty. What was done stays when the letter cannot be queued: who was told that it failed would do it twice.
func (a *app) notify(ctx context.Context, kind, account, path string) {
	if err := a.queue(ctx, kind, account, path); err != nil {
		a.log.ErrorContext(ctx, "letter not queued", "kind", kind, "error", err)
	}
}

func (a *app) queue(ctx context.Context, kind, account, path string) error {
	acc, err := a.auth.Account(ctx, account)
	if !a.mails() || errors.Is(err, auth.ErrNoAccount) {
		return nil
	}
	if err != nil {
		return err
	}
	return a.outbox.Queue(ctx, portalsec.Letter{Kind: kind, Tenant: acc.Tenant, Account: acc.ID, Data: map[string]string{dataPath: path}})
}

// compose writes the portal's own letters.
func (a *app) compose(ctx context.Context, l portalsec.Letter) (portalsec.Mail, error) {
	acc, err := a.auth.Account(ctx, l.Account)
	switch {
	case errors.Is(err, auth.ErrNoAccount), acc.Disabled:
		return portalsec.Mail{}, portalsec.ErrNoMail
	case err != nil:
		return portalsec.Mail{}, err
	}
	t, ok := letterTexts[l.Kind][acc.Lang]
	if !ok {
		t, ok = letterTexts[l.Kind]["en"]
	}
	if !ok {
		return portalsec.Mail{}, fmt.Errorf("no text for %s", l.Kind)
	}
	m := portalsec.Mail{To: acc.Email, Subject: t.subject, Text: t.text + "\n"}
	if path := l.Data[dataPath]; path != "" {
		m.Text += a.link(path) + "\n"
	}
	return m, nil
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
	if a.mailbox == nil || !a.fromThisMachine(r) {
		return errNotFound
	}
	return a.render(w, r, http.StatusOK, "outbox", page{Title: "Outgoing mail", Data: a.mailbox.all()})
}

type mailView struct {
	Server  string
	Status  outbox.Status
	Failed  []outbox.Failure
	MayEdit bool
}

// mailPage shows the administrator what waits for the mail server, and what it would not take.
func (a *app) mailPage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if _, err := a.demandOperator(r, mailRead); err != nil {
		return err
	}
	v := mailView{MayEdit: a.may(ctx, mailEdit)}
	switch {
	case a.mailbox != nil:
		v.Server = "none: a demonstration keeps its mail in memory"
	case a.mails():
		v.Server = a.cfg.smtp.server.String()
	default:
		v.Server = "none: start the portal with -smtp"
	}
	var err error
	if v.Status, err = a.outbox.Status(ctx); err != nil {
		return err
	}
	if v.Failed, err = a.outbox.Failed(ctx, 200); err != nil {
		return err
	}
	return a.render(w, r, http.StatusOK, "mailqueue", page{Title: "Outgoing mail", Data: v})
}

func (a *app) retryMail(w http.ResponseWriter, r *http.Request) error {
	return a.onLetter(w, r, a.outbox.Retry, "queued")
}

func (a *app) dropMail(w http.ResponseWriter, r *http.Request) error {
	return a.onLetter(w, r, a.outbox.Drop, "dropped")
}

func (a *app) onLetter(w http.ResponseWriter, r *http.Request, act func(context.Context, string) error, notice string) error {
	if _, err := a.demandOperator(r, mailEdit); err != nil {
		return err
	}
	// A letter that is gone was sent or dropped meanwhile, which the page shows.
	if err := act(r.Context(), r.PathValue("id")); err != nil && !errors.Is(err, outbox.ErrNoLetter) {
		return err
	}
	return done(w, r, "/admin/mail", notice)
}
