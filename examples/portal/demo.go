// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/mfa"
	"github.com/portalsec/portalsec/rbac"
)

// demoAccount is one line of demo-accounts.json.
type demoAccount struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Role     string `json:"role"`
	Tenant   string `json:"tenant"`
}

const (
	demoFile  = "demo-accounts.json"
	firstFile = "first-account.json"
)

// seed fills a new portal: with a demonstration, or with one administrator who makes the rest.
func (a *app) seed(ctx context.Context) (accounts []demoAccount, err error) {
	file := firstFile
	if a.demo {
		file = demoFile
		for _, o := range demoOrganisations {
			made, err := a.seedOrganisation(ctx, o)
			if err != nil {
				return nil, fmt.Errorf("organisation %s: %w", o.Tenant, err)
			}
			accounts = append(accounts, made...)
		}
	} else {
		o := organisation{Tenant: "main", Name: "Our organisation", Operator: true}
		if err := a.store.addOrganisation(ctx, o); err != nil {
			return nil, err
		}
		first, _, err := a.seedAccount(ctx, o, "administrator", a.cfg.firstAdmin, "First administrator")
		if err != nil {
			return nil, err
		}
		accounts = []demoAccount{first}
	}
	if err := writeAccounts(filepath.Join(a.cfg.data, file), accounts); err != nil {
		return nil, err
	}
	return accounts, a.store.setDemo(ctx, a.demo)
}

func writeAccounts(path string, accounts []demoAccount) error {
	b, err := json.MarshalIndent(accounts, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // never over another file
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

// printAccounts tells the passwords once.
func printAccounts(w io.Writer, dir string, demo bool, accounts []demoAccount) {
	name := firstFile
	if demo {
		name = demoFile
	}
	fmt.Fprintf(w, "New accounts, also in %s:\n", filepath.Join(dir, name))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, a := range accounts {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", a.Email, a.Password, a.Role)
	}
	_ = t.Flush()
}

type demoTicket struct {
	subject, body, reply string
	file, fileText       string
	closedYearsAgo       int
}

type demoOrganisation struct {
	organisation
	names        map[string]string // by role
	phone, home  string
	tickets      []demoTicket
	appointments []string
}

var demoRoles = []string{"customer", "agent", "supervisor", "privacy-officer", "security-officer", "administrator"}

var demoOrganisations = []demoOrganisation{
	{
		organisation: organisation{Tenant: "noordzee", Name: "Noordzee Clinic", Operator: true, Open: true},
		names: map[string]string{"customer": "Sanne de Vries", "agent": "Joris Bakker", "supervisor": "Mila Jansen",
			"privacy-officer": "Ruben Visser", "security-officer": "Fenna Smit", "administrator": "Daan Meijer"},
		phone: "+31 6 1234 5678", home: "Duinweg 14\n2585 AB Den Haag",
		tickets: []demoTicket{
			{subject: "Referral letter for the dermatologist", body: "My general practitioner asks whether you received the referral of last week. The letter is attached.", reply: "Thank you, it has arrived. You can book an appointment under Appointments.", file: "referral.txt", fileText: "Referral of S. de Vries, born 4 May 1987, to dermatology.\nSuspected eczema on both hands.\n"},
			{subject: "Change of insurer", body: "From the first of January I am insured with another company. What do you need from me?"},
			{subject: "Invoice of the blood test", body: "The invoice names two tests, I had one.", reply: "You are right, a corrected invoice is on its way.", closedYearsAgo: 3},
		},
		appointments: []string{"Check-up of both hands", "Talk about the blood test"},
	},
	{
		organisation: organisation{Tenant: "vondel", Name: "Vondel Housing"},
		names: map[string]string{"customer": "Noor van Dijk", "agent": "Bram Mulder", "supervisor": "Eva de Groot",
			"privacy-officer": "Lotte Bos", "security-officer": "Thijs Vos", "administrator": "Sem Peters"},
		phone: "+31 6 8765 4321", home: "Vondelstraat 88-2\n1054 GP Amsterdam",
		tickets: []demoTicket{
			{subject: "Leaking tap in the kitchen", body: "The tap has dripped since Monday. A photo of the part number is attached.", reply: "A plumber can come this week. Please book a time.", file: "part.txt", fileText: "Mixer tap, part number 4471-B\nN. van Dijk, Vondelstraat 88-2\n"},
			{subject: "Rent statement of last year", body: "I need the statement for my tax return.", reply: "It is in your mail box.", closedYearsAgo: 4},
		},
		appointments: []string{"Plumber for the kitchen"},
	},
}

func (a *app) seedOrganisation(ctx context.Context, o demoOrganisation) ([]demoAccount, error) {
	if err := a.store.addOrganisation(ctx, o.organisation); err != nil {
		return nil, err
	}
	// The switch is off, so that a visitor can see what it does. Without a policy the profile would demand two
	// factors of everyone.
	if err := a.mfa.SetPolicy(ctx, o.Tenant, mfa.Policy{}); err != nil {
		return nil, err
	}
	var accounts []demoAccount
	ids := map[string]string{}
	for _, role := range demoRoles {
		email := role + "@" + o.Tenant + ".example"
		made, account, err := a.seedAccount(ctx, o.organisation, role, email, o.names[role])
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, made)
		ids[role] = account.ID
	}
	// What the customer did is recorded as the customer's.
	ctx = portalsec.WithPrincipal(ctx, portalsec.Principal{ID: ids["customer"], Tenant: o.Tenant})
	customer := ids["customer"]
	if err := a.store.setContact(ctx, o.Tenant, customer, contact{o.phone, o.home},
		a.recording(ctx, contactChanged, "account", customer, customer)); err != nil {
		return nil, err
	}
	now := a.now()
	for i, d := range o.tickets {
		if err := a.seedTicket(ctx, o.Tenant, customer, ids["agent"], d, now.AddDate(-d.closedYearsAgo, 0, -i-1)); err != nil {
			return nil, err
		}
	}
	free, err := a.freeSlots(ctx, o.Tenant)
	if err != nil {
		return nil, err
	}
	for i, topic := range o.appointments {
		ap := appointment{ID: newID(), Tenant: o.Tenant, Customer: customer, Topic: topic, Starts: free[len(free)/3+i*9], Created: now}
		if err := a.store.addAppointment(ctx, ap, a.recording(ctx, appointmentBooked, "appointment", ap.ID, customer)); err != nil {
			return nil, err
		}
	}
	return accounts, nil
}

// seedAccount makes an account with a random password and a role.
func (a *app) seedAccount(ctx context.Context, o organisation, role, email, name string) (demoAccount, auth.Account, error) {
	secret := password.Generate()
	acc, err := a.auth.CreateAccount(ctx, auth.NewAccount{Tenant: o.Tenant, Email: email, Name: name, Password: secret})
	if err == nil {
		err = a.roles.AssignWithoutGrantor(ctx, rbac.Assignment{Tenant: o.Tenant, Subject: acc.ID, Role: role, Scope: o.Tenant, Reason: "first start"})
	}
	return demoAccount{email, secret, role, o.Tenant}, acc, err
}

func (a *app) seedTicket(ctx context.Context, tenant, customer, agent string, d demoTicket, at time.Time) error {
	t := ticket{ID: newID(), Tenant: tenant, Customer: customer, Subject: d.subject, Created: at}
	var file *upload
	if d.file != "" {
		file = &upload{Name: d.file, MediaType: "text/plain", Content: strings.NewReader(d.fileText)}
	}
	record := func(kind audit.Kind) func() error { return a.recordTicket(ctx, kind, t) }
	first := message{ID: newID(), Author: customer, Body: d.body, Created: at}
	if err := a.store.addTicket(ctx, t, first, file, record(ticketOpened)); err != nil {
		return err
	}
	if d.reply != "" {
		reply := message{ID: newID(), Author: agent, Body: d.reply, Created: at.Add(3 * time.Hour)}
		if err := a.store.addMessage(ctx, t, reply, nil, record(ticketReplied)); err != nil {
			return err
		}
	}
	if d.closedYearsAgo > 0 {
		return a.store.closeTicket(ctx, t, at.Add(5*time.Hour), record(ticketClosed))
	}
	return nil
}
