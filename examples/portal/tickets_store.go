// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/crypto"
	"github.com/portalsec/portalsec/rbac"
)

// ticket is one question of a customer.
type ticket struct {
	ID, Tenant, Customer string
	Subject              string
	Status               string // "open" or "closed"
	Created, Updated     time.Time
	Closed               time.Time // zero while open
	Messages             []message
	Attachments          []attachment

	sealed []byte // the subject as it is stored
}

// Scope is where the ticket belongs, for the role policy.
func (t ticket) Scope() string { return t.Tenant }

// Owner is whose ticket it is, for the role policy.
func (t ticket) Owner() string { return t.Customer }

// row is where a value that belongs to the ticket is stored. The subject is the customer: shredding their key
// takes everything with it that was said about them.
func (t ticket) row(id string) portalsec.Row {
	return portalsec.Row{Tenant: t.Tenant, Subject: t.Customer, ID: id}
}

// message is one turn of the conversation.
type message struct {
	ID, Author, Body string
	Created          time.Time
}

// attachment is a file at a ticket.
type attachment struct {
	ID, Author, Name, MediaType string
	Size                        int64
	Created                     time.Time
}

// upload is a file on its way in.
type upload struct {
	Name, MediaType string
	Content         io.Reader
}

// addTicket stores a ticket with its first message and, when file is not nil, one attachment.
func (s *store) addTicket(ctx context.Context, t ticket, first message, file *upload, record func() error) error {
	subject, err := s.subject.Seal(ctx, t.row(t.ID), []byte(t.Subject))
	if err != nil {
		return err
	}
	return s.write(ctx, t, first, file, record, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO portal_ticket
			(id, tenant, customer_id, subject, status, created_at, updated_at) VALUES (?, ?, ?, ?, 'open', ?, ?)`,
			t.ID, t.Tenant, t.Customer, subject, micros(t.Created), micros(t.Created))
		return err
	})
}

// addMessage stores a reply. It opens the ticket again when it was closed.
func (s *store) addMessage(ctx context.Context, t ticket, m message, file *upload, record func() error) error {
	return s.write(ctx, t, m, file, record, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE portal_ticket SET updated_at = ?, status = 'open', closed_at = NULL
			WHERE id = ? AND tenant = ?`, micros(m.Created), t.ID, t.Tenant)
		return one(res, err)
	})
}

// write stores a message and a file in one transaction with what before does. The file is written first: a
// file without a row is garbage that nobody sees, a row without its file would be a loss.
func (s *store) write(ctx context.Context, t ticket, m message, file *upload, record func() error, before func(*sql.Tx) error) (err error) {
	body, err := s.body.Seal(ctx, t.row(m.ID), []byte(m.Body))
	if err != nil {
		return err
	}
	var a attachment
	var name []byte
	if file != nil {
		a = attachment{ID: newID(), MediaType: file.MediaType}
		if name, err = s.attachmentName.Seal(ctx, t.row(a.ID), []byte(file.Name)); err != nil {
			return err
		}
		if a.Size, err = s.files.Create(ctx, t.row(a.ID), file.Content); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				_ = s.files.Remove(context.WithoutCancel(ctx), t.row(a.ID))
			}
		}()
	}
	return s.change(ctx, record, func(tx *sql.Tx) error {
		if err := before(tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO portal_message (id, ticket_id, author_id, body, created_at) VALUES (?, ?, ?, ?, ?)`,
			m.ID, t.ID, m.Author, body, micros(m.Created)); err != nil || file == nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO portal_attachment (id, ticket_id, author_id, name, media_type, size, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?)`, a.ID, t.ID, m.Author, name, a.MediaType, a.Size, micros(m.Created))
		return err
	})
}

const ticketColumns = `id, tenant, customer_id, subject, status, created_at, updated_at, COALESCE(closed_at, 0)`

// scanTicket reads a ticket whose subject is still sealed.
func scanTicket(scan func(...any) error) (ticket, error) {
	var t ticket
	var created, updated, closed int64
	if err := scan(&t.ID, &t.Tenant, &t.Customer, &t.sealed, &t.Status, &created, &updated, &closed); err != nil {
		return t, err
	}
	t.Created, t.Updated = fromMicros(created), fromMicros(updated)
	if closed != 0 {
		t.Closed = fromMicros(closed)
	}
	return t, nil
}

// openTicket opens the subject of a ticket.
func (s *store) openTicket(ctx context.Context, t *ticket) (err error) {
	t.Subject, err = open(ctx, s.subject, t.row(t.ID), t.sealed)
	return err
}

// ticketsPerPage is the length of one page of the list.
const ticketsPerPage = 50

// tickets lists what is visible, latest change first, from the place after before (the zero ticket: from the
// start). No messages come along.
func (s *store) tickets(ctx context.Context, visible rbac.Filter, before ticket) ([]ticket, error) {
	where, args := visible.SQL, slices.Clone(visible.Args)
	if before.ID != "" {
		where += ` AND (updated_at, id) < (?, ?)`
		args = append(args, micros(before.Updated), before.ID)
	}
	rows, err := s.db.QueryContext(ctx, `SELECT `+ticketColumns+` FROM portal_ticket WHERE `+where+
		` ORDER BY updated_at DESC, id DESC LIMIT ?`, append(args, ticketsPerPage)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []ticket{}
	for rows.Next() {
		t, err := scanTicket(rows.Scan)
		if err == nil {
			err = s.openTicket(ctx, &t)
		}
		if err != nil {
			return nil, fmt.Errorf("ticket list: %w", err)
		}
		list = append(list, t)
	}
	return list, rows.Err()
}

// countTickets counts the visible tickets of a status.
func (s *store) countTickets(ctx context.Context, visible rbac.Filter, status string) (n int, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM portal_ticket WHERE `+visible.SQL+` AND status = ?`,
		append(slices.Clone(visible.Args), status)...).Scan(&n)
	return n, err
}

// ticket gives a ticket without its conversation and with its subject still sealed: nothing is opened before the
// caller has decided that it may be seen.
func (s *store) ticket(ctx context.Context, id string) (ticket, error) {
	t, err := scanTicket(s.db.QueryRowContext(ctx, `SELECT `+ticketColumns+` FROM portal_ticket WHERE id = ?`, id).Scan)
	return t, notFound(err)
}

// conversation fills in the messages and attachments of a ticket.
func (s *store) conversation(ctx context.Context, t *ticket) error {
	rows, err := s.db.QueryContext(ctx, `SELECT id, author_id, body, created_at FROM portal_message
		WHERE ticket_id = ? ORDER BY created_at, id`, t.ID)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var m message
		var body []byte
		var created int64
		if err := rows.Scan(&m.ID, &m.Author, &body, &created); err != nil {
			return err
		}
		m.Created = fromMicros(created)
		if m.Body, err = open(ctx, s.body, t.row(m.ID), body); err != nil {
			return err
		}
		t.Messages = append(t.Messages, m)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	files, err := s.db.QueryContext(ctx, `SELECT `+attachmentColumns+` FROM portal_attachment
		WHERE ticket_id = ? ORDER BY created_at, id`, t.ID)
	if err != nil {
		return err
	}
	defer files.Close()
	for files.Next() {
		a, err := s.scanAttachment(ctx, *t, files.Scan)
		if err != nil {
			return err
		}
		t.Attachments = append(t.Attachments, a)
	}
	return files.Err()
}

const attachmentColumns = `id, author_id, name, media_type, size, created_at`

func (s *store) scanAttachment(ctx context.Context, t ticket, scan func(...any) error) (attachment, error) {
	var a attachment
	var name []byte
	var created int64
	if err := scan(&a.ID, &a.Author, &name, &a.MediaType, &a.Size, &created); err != nil {
		return a, err
	}
	a.Created = fromMicros(created)
	var err error
	a.Name, err = open(ctx, s.attachmentName, t.row(a.ID), name)
	return a, err
}

// attachment gives one attachment of a ticket and opens its content.
func (s *store) attachment(ctx context.Context, t ticket, id string) (attachment, *crypto.File, error) {
	a, err := s.scanAttachment(ctx, t, s.db.QueryRowContext(ctx, `SELECT `+attachmentColumns+
		` FROM portal_attachment WHERE id = ? AND ticket_id = ?`, id, t.ID).Scan)
	if err != nil {
		return a, nil, notFound(err)
	}
	f, err := s.files.Open(ctx, t.row(a.ID))
	return a, f, err
}

// closeTicket closes an open ticket.
func (s *store) closeTicket(ctx context.Context, t ticket, now time.Time, record func() error) error {
	return s.change(ctx, record, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE portal_ticket SET status = 'closed', closed_at = ?, updated_at = ?
			WHERE id = ? AND tenant = ? AND status = 'open'`, micros(now), micros(now), t.ID, t.Tenant)
		return one(res, err)
	})
}

// deleteTicket deletes a ticket with its messages and files.
func (s *store) deleteTicket(ctx context.Context, t ticket, record func() error) error {
	var files []portalsec.Row
	err := s.change(ctx, record, func(tx *sql.Tx) (err error) {
		if files, err = s.filesOf(ctx, tx, t.ID); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `DELETE FROM portal_ticket WHERE id = ? AND tenant = ?`, t.ID, t.Tenant)
		return one(res, err)
	})
	if err != nil {
		return err
	}
	return s.removeFiles(context.WithoutCancel(ctx), files)
}

// filesOf gives where the files of some tickets are stored.
func (s *store) filesOf(ctx context.Context, tx *sql.Tx, tickets ...string) ([]portalsec.Row, error) {
	var files []portalsec.Row
	for _, id := range tickets {
		rows, err := tx.QueryContext(ctx, `SELECT t.tenant, t.customer_id, a.id FROM portal_attachment a
			JOIN portal_ticket t ON t.id = a.ticket_id WHERE t.id = ?`, id)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var r portalsec.Row
			if err := rows.Scan(&r.Tenant, &r.Subject, &r.ID); err != nil {
				rows.Close()
				return nil, err
			}
			files = append(files, r)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, err // a file that is not in the list would stay for ever
		}
	}
	return files, nil
}

func (s *store) removeFiles(ctx context.Context, files []portalsec.Row) error {
	for _, f := range files {
		if err := s.files.Remove(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// one makes a statement that changed no row an errNotFound.
func one(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = errNotFound
	}
	return err
}
