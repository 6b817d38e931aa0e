// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/rbac"
)

// maxUpload is the largest file in bytes. It stays well under the 32 MiB up to which net/http keeps a form in
// memory, because beyond it would write the file to the disk in the clear.
const maxUpload = 10 << 20

// Kinds of the portal's own events.
const (
	ticketOpened     audit.Kind = "app.ticket_opened"
	ticketSeen       audit.Kind = "app.ticket_read"
	ticketReplied    audit.Kind = "app.ticket_replied"
	ticketClosed     audit.Kind = "app.ticket_closed"
	ticketDeleted    audit.Kind = "app.ticket_deleted"
	attachmentLoaded audit.Kind = "app.attachment_downloaded"
)

// ticketFor gives a ticket that the principal may use in the way of perm.
func (a *app) ticketFor(ctx context.Context, perm *rbac.Perm, id string) (ticket, error) {
	t, err := a.store.ticket(ctx, id)
	if err != nil {
		return t, err
	}
	if err := a.roles.Check(ctx, perm, t); err != nil {
		return t, err
	}
	return t, a.store.openTicket(ctx, &t)
}

// recording gives a function that writes down that something of a customer's was acted upon. Nothing of the
// content goes into the log.
func (a *app) recording(ctx context.Context, kind audit.Kind, targetType, id, customer string) func() error {
	return func() error {
		return a.audit.Record(ctx, audit.Event{
			Kind: kind, Outcome: audit.Success,
			Target:   &audit.Target{Type: targetType, ID: id},
			Subjects: []audit.Pseudonym{audit.Pseudonym(customer)},
		})
	}
}

func (a *app) recordTicket(ctx context.Context, kind audit.Kind, t ticket) func() error {
	return a.recording(ctx, kind, "ticket", t.ID, t.Customer)
}

type ticketRow struct {
	ticket
	CustomerName string
}

type ticketList struct {
	Tickets  []ticketRow
	Older    string // the ID to go on from
	MayOpen  bool
	ShowName bool
}

func (a *app) ticketListFor(r *http.Request) ([]ticket, error) {
	ctx := r.Context()
	visible, err := a.roles.Filter(ctx, ticketRead)
	if err != nil {
		return nil, err
	}
	var before ticket
	if id := r.URL.Query().Get("before"); id != "" {
		if before, err = a.ticketFor(ctx, ticketRead, id); err != nil {
			return nil, err
		}
	}
	return a.store.tickets(ctx, visible, before)
}

func (a *app) ticketsPage(w http.ResponseWriter, r *http.Request) error {
	tickets, err := a.ticketListFor(r)
	if err != nil {
		return err
	}
	ctx, name := r.Context(), a.names(r.Context())
	list := ticketList{MayOpen: a.may(ctx, ticketOpen), ShowName: a.mayAll(ctx, customerRead)}
	for _, t := range tickets {
		list.Tickets = append(list.Tickets, ticketRow{t, name(t.Customer)})
	}
	if len(tickets) == ticketsPerPage {
		list.Older = tickets[len(tickets)-1].ID
	}
	return a.render(w, r, http.StatusOK, "tickets", page{Title: "Tickets", Data: list})
}

type newTicketView struct {
	Subject, Body string
	Customers     []auth.Account // for staff who open it for somebody
}

func (a *app) newTicketPage(w http.ResponseWriter, r *http.Request) error {
	return a.showNewTicket(w, r, http.StatusOK, "")
}

func (a *app) showNewTicket(w http.ResponseWriter, r *http.Request, status int, mistake string) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	if err := a.roles.Check(ctx, ticketOpen, place{p.Tenant, p.ID}); err != nil {
		return err
	}
	v := newTicketView{Subject: r.PostFormValue("subject"), Body: r.PostFormValue("body")}
	if a.mayAll(ctx, ticketOpen) {
		var err error
		if v.Customers, err = a.customers(ctx, p.Tenant); err != nil {
			return err
		}
	}
	return a.render(w, r, status, "ticket_new", page{Title: "New ticket", Error: mistake, Data: v})
}

// forCustomer gives whom a new record is about: the customer that was chosen, for those who may make one for all,
// and else oneself.
func (a *app) forCustomer(r *http.Request, perm *rbac.Perm) (string, error) {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	if !a.mayAll(ctx, perm) {
		return p.ID, nil
	}
	acc, err := a.auth.Account(ctx, r.PostFormValue("customer"))
	if errors.Is(err, auth.ErrNoAccount) || err == nil && acc.Tenant != p.Tenant {
		return "", invalid("Please choose a customer.")
	}
	if err != nil {
		return "", err
	}
	roles, err := a.roles.Roles(ctx, acc.Tenant, acc.ID)
	if err == nil && !slices.Contains(roles, "customer") {
		err = invalid("Please choose a customer.")
	}
	return acc.ID, err
}

func (a *app) openTicket(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	customer, err := a.forCustomer(r, ticketOpen)
	if err != nil {
		return mistake(err, func(status int, text string) error { return a.showNewTicket(w, r, status, text) })
	}
	t := ticket{ID: newID(), Tenant: p.Tenant, Customer: customer, Created: a.now()}
	if err := a.roles.Check(ctx, ticketOpen, t); err != nil {
		return err
	}
	body, err := field(r, "body", 20_000, true)
	if err == nil {
		t.Subject, err = line(r, "subject", 200, true)
	}
	var file *upload
	if err == nil {
		file, err = a.uploaded(r, t)
	}
	if err != nil {
		return mistake(err, func(status int, text string) error { return a.showNewTicket(w, r, status, text) })
	}
	first := message{ID: newID(), Author: p.ID, Body: body, Created: t.Created}
	if err := a.store.addTicket(ctx, t, first, file, a.recordTicket(ctx, ticketOpened, t)); err != nil {
		return err
	}
	return done(w, r, "/tickets/"+t.ID, "opened")
}

// uploaded gives the file of the form, or nil when there is none.
func (a *app) uploaded(r *http.Request, t ticket) (*upload, error) {
	f, h, err := r.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if h.Size == 0 && h.Filename == "" {
		return nil, nil
	}
	if h.Size > maxUpload {
		return nil, problem{http.StatusRequestEntityTooLarge, "The file is larger than " + formatSize(maxUpload) + "."}
	}
	if err := a.roles.Check(r.Context(), attachmentAdd, t); err != nil {
		return nil, err
	}
	return &upload{Name: fileName(h.Filename), MediaType: mediaType(h.Header.Get("Content-Type")), Content: f}, nil
}

// fileName gives the last part of a file's name as people can read it. It is shown and offered for saving, and
// never used on this machine.
func fileName(s string) string {
	s = strings.Map(visible, strings.ToValidUTF8(filepath.Base(strings.ReplaceAll(s, `\`, "/")), "_"))
	s = strings.Trim(strings.NewReplacer("\n", " ", "\t", " ").Replace(s), " ./")
	if s == "" {
		return "file"
	}
	name := []rune(s)
	return string(name[:min(len(name), 150)])
}

// mediaType keeps a well-formed media type. It is only shown: downloads never run in the browser.
func mediaType(s string) string {
	if m, _, err := mime.ParseMediaType(s); err == nil && len(m) <= 100 {
		return m
	}
	return "application/octet-stream"
}

type ticketView struct {
	Ticket                                   ticket
	Talk                                     []turn
	Files                                    []attachment
	Customer                                 auth.Account
	Contact                                  contact
	ShowCustomer, MayActAs                   bool
	Reply                                    string // typed and not sent yet
	MayReply, MayAttach, MayClose, MayDelete bool
}

type turn struct {
	message
	Name  string
	Staff bool
}

func (a *app) ticketPage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	t, err := a.ticketFor(ctx, ticketRead, r.PathValue("id"))
	if err != nil {
		return err
	}
	return a.showTicket(w, r, http.StatusOK, t, "")
}

func (a *app) showTicket(w http.ResponseWriter, r *http.Request, status int, t ticket, mistake string) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	if err := a.store.conversation(ctx, &t); err != nil {
		return err
	}
	if err := a.recordTicket(ctx, ticketSeen, t)(); err != nil {
		return err
	}
	v := ticketView{
		Ticket: t, Files: t.Attachments, Reply: r.PostFormValue("body"),
		MayReply:  a.roles.Can(ctx, ticketReply, t),
		MayAttach: a.roles.Can(ctx, attachmentAdd, t),
		MayClose:  t.Status == "open" && a.roles.Can(ctx, ticketClose, t),
		MayDelete: a.roles.Can(ctx, ticketDelete, t),
	}
	name := a.names(ctx)
	for _, m := range t.Messages {
		v.Talk = append(v.Talk, turn{m, name(m.Author), m.Author != t.Customer})
	}
	if v.ShowCustomer = p.ID != t.Customer && a.roles.Can(ctx, customerRead, t); v.ShowCustomer {
		var err error
		if v.Customer, err = a.auth.Account(ctx, t.Customer); err != nil && !errors.Is(err, auth.ErrNoAccount) {
			return err
		}
		if v.Contact, err = a.store.contact(ctx, t.Tenant, t.Customer); err != nil {
			return err
		}
		v.MayActAs = v.Customer.ID != "" && a.may(ctx, userActAs)
	}
	return a.render(w, r, status, "ticket", page{Title: t.Subject, Error: mistake, Data: v})
}

func (a *app) replyTicket(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	t, err := a.ticketFor(ctx, ticketReply, r.PathValue("id"))
	if err != nil {
		return err
	}
	p, _ := portalsec.PrincipalFrom(ctx)
	body, err := field(r, "body", 20_000, true)
	var file *upload
	if err == nil {
		file, err = a.uploaded(r, t)
	}
	if err != nil {
		return mistake(err, func(status int, text string) error { return a.showTicket(w, r, status, t, text) })
	}
	reply := message{ID: newID(), Author: p.ID, Body: body, Created: a.now()}
	if err := a.store.addMessage(ctx, t, reply, file, a.recordTicket(ctx, ticketReplied, t)); err != nil {
		return err
	}
	if p.ID != t.Customer {
		a.notify(ctx, ticketAnswered, t.Customer, "/tickets/"+t.ID)
	}
	return done(w, r, "/tickets/"+t.ID, "replied")
}

func (a *app) closeTicket(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	t, err := a.ticketFor(ctx, ticketClose, r.PathValue("id"))
	if err != nil {
		return err
	}
	if t.Status == "open" {
		if err := a.store.closeTicket(ctx, t, a.now(), a.recordTicket(ctx, ticketClosed, t)); err != nil {
			return err
		}
	}
	return done(w, r, "/tickets/"+t.ID, "closed")
}

func (a *app) deleteTicket(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	t, err := a.ticketFor(ctx, ticketDelete, r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := a.store.deleteTicket(ctx, t, a.recordTicket(ctx, ticketDeleted, t)); err != nil {
		return err
	}
	return done(w, r, "/tickets", "deleted")
}

// download sends an attachment. Whatever its type, the browser only saves it.
func (a *app) download(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	t, err := a.ticketFor(ctx, attachmentRead, r.PathValue("id"))
	if err != nil {
		return err
	}
	file, content, err := a.store.attachment(ctx, t, r.PathValue("file"))
	if err != nil {
		return err
	}
	defer content.Close()
	if err := a.recording(ctx, attachmentLoaded, "attachment", file.ID, t.Customer)(); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}
