// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/mfa"
)

const registrationSwitched audit.Kind = "app.registration_switched"

type securityView struct {
	Policy   mfa.Policy
	Open     bool
	MayEdit  bool
	MayEnd   bool
	With     int
	Without  int
	Settings []setting
}

type setting struct{ Name, Value string }

func (a *app) securityPage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := a.demand(r, securityRead)
	if err != nil {
		return err
	}
	v := securityView{MayEdit: a.may(ctx, securityEdit)}
	if v.Policy, err = a.mfa.Policy(ctx, p.Tenant); err != nil {
		return err
	}
	org, err := a.store.organisation(ctx, p.Tenant)
	if err != nil {
		return err
	}
	v.Open, v.MayEnd = org.Open, a.may(ctx, userReset)
	accounts, err := a.auth.Accounts(ctx, p.Tenant)
	if err != nil {
		return err
	}
	for _, acc := range accounts {
		factors, err := a.mfa.Factors(ctx, p.Tenant, acc.ID)
		switch {
		case err != nil:
			return err
		case len(factors) > 0:
			v.With++
		case !acc.Disabled:
			v.Without++
		}
	}
	s := profile.Settings()
	v.Settings = []setting{
		{"Profile", profile.String() + " of OWASP ASVS 5.0"},
		{"A session ends when it is not used for", inWords(s.IdleTimeout)},
		{"A session ends in any case after", inWords(s.AbsoluteTimeout)},
		{"Sessions of one user", atMost(s.MaxSessions)},
		{"Shortest password", fmt.Sprintf("%d characters, and none of the 110,000 that are tried first", s.PasswordMinSingle)},
		{"A link to set a new password is good for", inWords(s.ResetLifetime)},
		{"An invitation is good for", inWords(s.InvitationLifetime)},
		{"A proof for something sensitive is fresh for", inWords(s.FreshFor)},
	}
	return a.render(w, r, http.StatusOK, "security", page{Title: "Security preferences", Data: v})
}

func (a *app) saveSecurity(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := a.demand(r, securityEdit)
	if err != nil {
		return err
	}
	if r.PostFormValue("form") != "security" {
		return invalid("The form did not arrive whole. Please send it again.") // no box may mean no form
	}
	policy, err := a.mfa.Policy(ctx, p.Tenant)
	if err != nil {
		return err
	}
	policy.Everyone = r.PostFormValue("everyone") == "on"
	if err := a.mfa.SetPolicy(ctx, p.Tenant, policy); err != nil {
		return err
	}
	org, err := a.store.organisation(ctx, p.Tenant)
	if err != nil {
		return err
	}
	if open := r.PostFormValue("open") == "on"; open != org.Open {
		err = a.store.setOpen(ctx, p.Tenant, open, func() error {
			return a.audit.Record(ctx, audit.Event{
				Kind: registrationSwitched, Outcome: audit.Success,
				Target:  &audit.Target{Type: "organisation", ID: p.Tenant},
				Details: []audit.Detail{{Name: "open", Value: strconv.FormatBool(open)}},
			})
		})
		if err != nil {
			return err
		}
	}
	return done(w, r, "/admin/security", "saved")
}

func atMost(n int) string {
	if n == 0 {
		return "any number"
	}
	return fmt.Sprintf("at most %d at once", n)
}

// inWords writes a time span of whole minutes or hours.
func inWords(d time.Duration) string {
	n, unit := d/time.Minute, "minute"
	if d%time.Hour == 0 {
		n, unit = d/time.Hour, "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
