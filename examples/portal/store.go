// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/crypto"
)

//go:embed schema.sql
var schema1 string

//go:embed schema_2.sql
var schema2 string

// schemas make the portal's own tables, one after the other; how many of them were run is kept in SQLite's
// user_version.
var schemas = []string{schema1, schema2}

// errNotFound says that there is no such record. It looks the same as one in another organisation.
var errNotFound = errors.New("not found")

// errSlotTaken says that somebody else has booked the time.
var errSlotTaken = errors.New("that time was just taken: please choose another")

// store keeps the portal's own records. What says something about a person is sealed before it reaches the
// database, under the key of the customer whom it is about: subjects, messages, file names and contents,
// contact details. IDs, times and states are plain, because lists are sorted by them.
type store struct {
	db                                   *sql.DB
	phone, address                       *crypto.Field
	subject, body, attachmentName, topic *crypto.Field
	files                                *crypto.Files
}

func newStore(ctx context.Context, db *sql.DB, ring *crypto.Keyring, files *crypto.Files) (*store, error) {
	var have int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	switch {
	case have > len(schemas):
		return nil, fmt.Errorf("the database was made by a newer version of the portal (schema %d, this program knows %d): upgrade the program", have, len(schemas))
	case have < len(schemas):
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, strings.Join(schemas[have:], "\n")+fmt.Sprintf("PRAGMA user_version = %d;", len(schemas))); err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
		if err := tx.Commit(); err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
	}
	return &store{
		db:             db,
		phone:          ring.Field("portal_contact", "phone"),
		address:        ring.Field("portal_contact", "address"),
		subject:        ring.Field("portal_ticket", "subject"),
		body:           ring.Field("portal_message", "body"),
		attachmentName: ring.Field("portal_attachment", "name"),
		topic:          ring.Field("portal_appointment", "topic"),
		files:          files,
	}, nil
}

// newID gives the key of a new record: 130 random bits. It is needed before the record is written, because
// sealed values are bound to it.
func newID() string { return rand.Text() }

// organisation is a tenant of the portal.
type organisation struct {
	Tenant, Name string
	Operator     bool // runs the portal
	Open         bool // visitors may register as its customers
}

func (s *store) addOrganisation(ctx context.Context, o organisation) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO portal_organisation (tenant, name, operator, open) VALUES (?, ?, ?, ?)`, o.Tenant, o.Name, o.Operator, o.Open)
	return err
}

func (s *store) organisation(ctx context.Context, tenant string) (organisation, error) {
	o := organisation{Tenant: tenant}
	err := s.db.QueryRowContext(ctx, `SELECT name, operator, open FROM portal_organisation WHERE tenant = ?`, tenant).Scan(&o.Name, &o.Operator, &o.Open)
	return o, notFound(err)
}

func (s *store) organisations(ctx context.Context) ([]organisation, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT tenant, name, operator, open FROM portal_organisation ORDER BY tenant`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []organisation
	for rows.Next() {
		var o organisation
		if err := rows.Scan(&o.Tenant, &o.Name, &o.Operator, &o.Open); err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

// openForRegistration gives the organisations as whose customers visitors may register.
func (s *store) openForRegistration(ctx context.Context) ([]organisation, error) {
	all, err := s.organisations(ctx)
	return slices.DeleteFunc(all, func(o organisation) bool { return !o.Open }), err
}

func (s *store) setOpen(ctx context.Context, tenant string, open bool, record func() error) error {
	return s.change(ctx, record, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE portal_organisation SET open = ? WHERE tenant = ?`, open, tenant)
		return err
	})
}

// demo tells whether the portal is a demonstration; it stays what it was made as. At the first start it becomes what
// is asked for.
func (s *store) demo(ctx context.Context, asked bool) (demo bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT demo FROM portal_setting`).Scan(&demo)
	if errors.Is(err, sql.ErrNoRows) {
		return asked, nil
	}
	return demo, err
}

func (s *store) setDemo(ctx context.Context, demo bool) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO portal_setting (only, demo) VALUES (1, ?)`, demo)
	return err
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errNotFound
	}
	return err
}

// contact is how a customer can be reached.
type contact struct{ Phone, Address string }

func (s *store) contact(ctx context.Context, tenant, account string) (contact, error) {
	row := portalsec.Row{Tenant: tenant, Subject: account, ID: account}
	var c contact
	var phone, address []byte
	err := s.db.QueryRowContext(ctx, `SELECT phone, address FROM portal_contact WHERE account_id = ? AND tenant = ?`,
		account, tenant).Scan(&phone, &address)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if c.Phone, err = open(ctx, s.phone, row, phone); err != nil {
		return c, err
	}
	c.Address, err = open(ctx, s.address, row, address)
	return c, err
}

// change runs f in a transaction and calls record just before the commit: the log never tells of a change that
// was refused, and no change is kept that the log does not have.
func (s *store) change(ctx context.Context, record func() error, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	if err := record(); err != nil {
		return err
	}
	return tx.Commit()
}

func (s *store) setContact(ctx context.Context, tenant, account string, c contact, record func() error) error {
	row := portalsec.Row{Tenant: tenant, Subject: account, ID: account}
	phone, err := s.phone.Seal(ctx, row, []byte(c.Phone))
	if err != nil {
		return err
	}
	address, err := s.address.Seal(ctx, row, []byte(c.Address))
	if err != nil {
		return err
	}
	return s.change(ctx, record, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO portal_contact (account_id, tenant, phone, address) VALUES (?, ?, ?, ?)
			ON CONFLICT (account_id) DO UPDATE SET phone = excluded.phone, address = excluded.address
			WHERE portal_contact.tenant = excluded.tenant`, account, tenant, phone, address)
		return err
	})
}

func (s *store) deleteContact(ctx context.Context, tenant, account string) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM portal_contact WHERE account_id = ? AND tenant = ?`, account, tenant)
	return err
}

// open opens a sealed value that is text.
func open(ctx context.Context, f *crypto.Field, row portalsec.Row, sealed []byte) (string, error) {
	text, err := f.Open(ctx, row, sealed)
	return string(text), err
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }
