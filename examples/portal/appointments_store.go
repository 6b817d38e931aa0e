// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/rbac"
)

// appointment is a time that a customer has booked. Each takes half an hour.
type appointment struct {
	ID, Tenant, Customer string
	Topic                string
	Starts               time.Time
	Status               string // "booked" or "cancelled"
	Created              time.Time

	sealed []byte // the topic as it is stored
}

// Scope is where the appointment belongs, for the role policy.
func (a appointment) Scope() string { return a.Tenant }

// Owner is whose appointment it is, for the role policy.
func (a appointment) Owner() string { return a.Customer }

func (a appointment) row() portalsec.Row {
	return portalsec.Row{Tenant: a.Tenant, Subject: a.Customer, ID: a.ID}
}

// addAppointment books a time, or gives errSlotTaken.
func (s *store) addAppointment(ctx context.Context, a appointment, record func() error) error {
	topic, err := s.topic.Seal(ctx, a.row(), []byte(a.Topic))
	if err != nil {
		return err
	}
	return s.change(ctx, record, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO portal_appointment (id, tenant, customer_id, topic, starts_at, status, created_at)
			VALUES (?, ?, ?, ?, ?, 'booked', ?)`, a.ID, a.Tenant, a.Customer, topic, micros(a.Starts), micros(a.Created))
		return slotTaken(err)
	})
}

// moveAppointment gives a booked appointment another time, or errSlotTaken.
func (s *store) moveAppointment(ctx context.Context, a appointment, starts time.Time, record func() error) error {
	return s.change(ctx, record, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE portal_appointment SET starts_at = ?
			WHERE id = ? AND tenant = ? AND status = 'booked'`, micros(starts), a.ID, a.Tenant)
		return slotTaken(one(res, err))
	})
}

// cancelAppointment frees the time of a booked appointment.
func (s *store) cancelAppointment(ctx context.Context, a appointment, record func() error) error {
	return s.change(ctx, record, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE portal_appointment SET status = 'cancelled'
			WHERE id = ? AND tenant = ? AND status = 'booked'`, a.ID, a.Tenant)
		return one(res, err)
	})
}

// slotTaken recognises the refusal of the unique index on times.
func slotTaken(err error) error {
	if err != nil && strings.Contains(err.Error(), "UNIQUE constraint failed: portal_appointment") {
		return errSlotTaken
	}
	return err
}

const appointmentColumns = `id, tenant, customer_id, topic, starts_at, status, created_at`

// scanAppointment reads an appointment whose topic is still sealed.
func scanAppointment(scan func(...any) error) (appointment, error) {
	var a appointment
	var starts, created int64
	err := scan(&a.ID, &a.Tenant, &a.Customer, &a.sealed, &starts, &a.Status, &created)
	a.Starts, a.Created = fromMicros(starts), fromMicros(created)
	return a, err
}

// openAppointment opens the topic of an appointment.
func (s *store) openAppointment(ctx context.Context, a *appointment) (err error) {
	a.Topic, err = open(ctx, s.topic, a.row(), a.sealed)
	return err
}

// appointments lists what is visible from a time on, soonest first, with or without what was cancelled.
func (s *store) appointments(ctx context.Context, visible rbac.Filter, from time.Time, bookedOnly bool, limit int) ([]appointment, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+appointmentColumns+` FROM portal_appointment WHERE `+visible.SQL+
		` AND starts_at >= ? AND (status = 'booked' OR NOT ?) ORDER BY starts_at, id LIMIT ?`,
		append(slices.Clone(visible.Args), micros(from), bookedOnly, limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []appointment
	for rows.Next() {
		a, err := scanAppointment(rows.Scan)
		if err == nil {
			err = s.openAppointment(ctx, &a)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

// appointment gives one with its topic still sealed. The caller decides whether it may be seen.
func (s *store) appointment(ctx context.Context, id string) (appointment, error) {
	a, err := scanAppointment(s.db.QueryRowContext(ctx, `SELECT `+appointmentColumns+
		` FROM portal_appointment WHERE id = ?`, id).Scan)
	return a, notFound(err)
}

// taken gives the booked times of an organisation between two times.
func (s *store) taken(ctx context.Context, tenant string, from, until time.Time) (map[time.Time]bool, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT starts_at FROM portal_appointment
		WHERE tenant = ? AND status = 'booked' AND starts_at >= ? AND starts_at < ?`, tenant, micros(from), micros(until))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	busy := map[time.Time]bool{}
	for rows.Next() {
		var us int64
		if err := rows.Scan(&us); err != nil {
			return nil, err
		}
		busy[fromMicros(us)] = true
	}
	return busy, rows.Err()
}
