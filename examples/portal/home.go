// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"

	"github.com/portalsec/portalsec"
)

type homeView struct {
	Tickets, Appointments bool
	Open                  int
	Next                  []appointmentRow
	SecondFactor          bool
	Admin                 bool
}

func (a *app) home(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, ok := portalsec.PrincipalFrom(ctx)
	if !ok {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return nil
	}
	v := homeView{
		Tickets: a.may(ctx, ticketRead), Appointments: a.may(ctx, appointmentRead),
		Admin: a.may(ctx, securityRead),
	}
	if v.Tickets {
		mine, err := a.roles.Filter(ctx, ticketRead)
		if err != nil {
			return err
		}
		if v.Open, err = a.store.countTickets(ctx, mine, "open"); err != nil {
			return err
		}
	}
	if v.Appointments {
		mine, err := a.roles.Filter(ctx, appointmentRead)
		if err != nil {
			return err
		}
		list, err := a.store.appointments(ctx, mine, a.now().Add(-slotLength), true, 3)
		if err != nil {
			return err
		}
		name := a.names(ctx)
		for _, ap := range list {
			v.Next = append(v.Next, appointmentRow{appointment: ap, CustomerName: name(ap.Customer)})
		}
	}
	factors, err := a.mfa.Factors(ctx, p.Tenant, p.ID)
	if err != nil {
		return err
	}
	v.SecondFactor = len(factors) > 0
	return a.render(w, r, http.StatusOK, "home", page{Title: "Welcome", Data: v})
}
