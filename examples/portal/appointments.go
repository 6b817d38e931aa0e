// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/rbac"
)

// Kinds of the portal's own events.
const (
	appointmentBooked    audit.Kind = "app.appointment_booked"
	appointmentMoved     audit.Kind = "app.appointment_moved"
	appointmentCancelled audit.Kind = "app.appointment_cancelled"
)

// slotForm is how a time is written in a form.
const slotForm = "2006-01-02T15:04"

// The desk is open on working days from nine to five, in half hours, and books three weeks ahead.
const (
	opens, closes = 9, 17
	slotLength    = 30 * time.Minute
	daysAhead     = 21
)

// freeSlots gives the times that can still be booked.
func (a *app) freeSlots(ctx context.Context, tenant string) ([]time.Time, error) {
	now := a.now().In(zone)
	busy, err := a.store.taken(ctx, tenant, now, now.AddDate(0, 0, daysAhead+1))
	if err != nil {
		return nil, err
	}
	var free []time.Time
	for day := range daysAhead {
		d := time.Date(now.Year(), now.Month(), now.Day()+day, opens, 0, 0, 0, zone)
		if wd := d.Weekday(); wd == time.Saturday || wd == time.Sunday {
			continue
		}
		for s := d; s.Hour() < closes; s = s.Add(slotLength) {
			if s.After(now) && !busy[s.UTC()] {
				free = append(free, s)
			}
		}
	}
	return free, nil
}

// chosenSlot reads a time from the form; it must be one that can be booked.
func (a *app) chosenSlot(r *http.Request, tenant string) (time.Time, error) {
	s, err := time.ParseInLocation(slotForm, r.PostFormValue("slot"), zone)
	if err != nil {
		return s, invalid("Please choose a time.")
	}
	free, err := a.freeSlots(r.Context(), tenant)
	if err != nil {
		return s, err
	}
	if !slices.ContainsFunc(free, s.Equal) {
		return s, problem{http.StatusConflict, "That time cannot be booked, or not any more: please choose another."}
	}
	return s, nil
}

func (a *app) appointmentFor(r *http.Request, perm *rbac.Perm) (appointment, error) {
	ap, err := a.store.appointment(r.Context(), r.PathValue("id"))
	if err != nil {
		return ap, err
	}
	if err := a.roles.Check(r.Context(), perm, ap); err != nil {
		return ap, err
	}
	return ap, a.store.openAppointment(r.Context(), &ap)
}

type appointmentRow struct {
	appointment
	CustomerName       string
	MayMove, MayCancel bool
}

type day struct {
	Date  time.Time
	Slots []slot
}

type slot struct {
	Value string
	Time  time.Time
}

type appointmentList struct {
	Appointments []appointmentRow
	Days         []day
	MayBook      bool
	ShowName     bool
	Topic        string         // typed and not booked yet
	Customers    []auth.Account // for staff who book for somebody else
}

func (a *app) appointmentsPage(w http.ResponseWriter, r *http.Request) error {
	return a.showAppointments(w, r, http.StatusOK, "")
}

func (a *app) showAppointments(w http.ResponseWriter, r *http.Request, status int, mistake string) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	visible, err := a.roles.Filter(ctx, appointmentRead)
	if err != nil {
		return err
	}
	appointments, err := a.store.appointments(ctx, visible, a.now().Add(-slotLength), false, 200)
	if err != nil {
		return err
	}
	name := a.names(ctx)
	list := appointmentList{Topic: r.PostFormValue("topic"), MayBook: a.may(ctx, appointmentBook), ShowName: a.mayAll(ctx, customerRead)}
	for _, ap := range appointments {
		booked := ap.Status == "booked"
		list.Appointments = append(list.Appointments, appointmentRow{ap, name(ap.Customer),
			booked && a.roles.Can(ctx, appointmentMove, ap), booked && a.roles.Can(ctx, appointmentCancel, ap)})
	}
	free, err := a.freeSlots(ctx, p.Tenant)
	if err != nil {
		return err
	}
	for _, s := range free {
		if n := len(list.Days); n == 0 || list.Days[n-1].Date.YearDay() != s.YearDay() {
			list.Days = append(list.Days, day{Date: s})
		}
		d := &list.Days[len(list.Days)-1]
		d.Slots = append(d.Slots, slot{s.Format(slotForm), s})
	}
	if a.mayAll(ctx, appointmentBook) {
		if list.Customers, err = a.customers(ctx, p.Tenant); err != nil {
			return err
		}
	}
	return a.render(w, r, status, "appointments", page{Title: "Appointments", Error: mistake, Data: list})
}

// customers gives the accounts of an organisation that have the role of customer.
func (a *app) customers(ctx context.Context, tenant string) ([]auth.Account, error) {
	accounts, err := a.auth.Accounts(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var customers []auth.Account
	for _, acc := range accounts {
		roles, err := a.roles.Roles(ctx, tenant, acc.ID)
		if err != nil {
			return nil, err
		}
		if slices.Contains(roles, "customer") {
			customers = append(customers, acc)
		}
	}
	return customers, nil
}

func (a *app) bookAppointment(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, _ := portalsec.PrincipalFrom(ctx)
	if err := a.roles.Check(ctx, appointmentBook, place{p.Tenant, p.ID}); err != nil {
		return err
	}
	customer, err := a.forCustomer(r, appointmentBook)
	if err != nil {
		return mistake(err, func(status int, text string) error { return a.showAppointments(w, r, status, text) })
	}
	ap := appointment{ID: newID(), Tenant: p.Tenant, Customer: customer, Created: a.now()}
	if err := a.roles.Check(ctx, appointmentBook, ap); err != nil {
		return err
	}
	topic, err := line(r, "topic", 200, true)
	if err == nil {
		ap.Topic = topic
		ap.Starts, err = a.chosenSlot(r, ap.Tenant)
	}
	if err == nil {
		err = a.store.addAppointment(ctx, ap, a.recording(ctx, appointmentBooked, "appointment", ap.ID, ap.Customer))
	}
	return a.afterChange(w, r, ap, "booked", err)
}

func (a *app) moveAppointment(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	ap, err := a.appointmentFor(r, appointmentMove)
	if err != nil {
		return err
	}
	starts, err := a.chosenSlot(r, ap.Tenant)
	if err == nil {
		err = a.store.moveAppointment(ctx, ap, starts, a.recording(ctx, appointmentMoved, "appointment", ap.ID, ap.Customer))
	}
	return a.afterChange(w, r, ap, "moved", err)
}

func (a *app) cancelAppointment(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	ap, err := a.appointmentFor(r, appointmentCancel)
	if err != nil {
		return err
	}
	err = a.store.cancelAppointment(ctx, ap, a.recording(ctx, appointmentCancelled, "appointment", ap.ID, ap.Customer))
	return a.afterChange(w, r, ap, "cancelled", err)
}

// afterChange answers a change: the list with the visitor's mistake, or a mail to the customer and the
// list anew.
func (a *app) afterChange(w http.ResponseWriter, r *http.Request, ap appointment, notice string, err error) error {
	if errors.Is(err, errSlotTaken) {
		err = problem{http.StatusConflict, errSlotTaken.Error()}
	}
	if err != nil {
		return mistake(err, func(status int, text string) error { return a.showAppointments(w, r, status, text) })
	}
	a.notify(r.Context(), appointmentChanged, ap.Customer, "/appointments")
	return done(w, r, "/appointments", notice)
}
