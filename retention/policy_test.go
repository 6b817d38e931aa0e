// SPDX-License-Identifier: Apache-2.0

package retention_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/retention"
	"github.com/stretchr/testify/require"
)

const ticketsYAML = `policies:
  closed-tickets:
    data_class: support tickets
    purpose: answering questions
    legal_basis: GDPR article 6(1)(b)
    recipients: [support staff, hosting provider]
    keep: P2Y
    floor: P1Y
    action: delete
    target: tickets
    every: 12h
    max_share: 40%
  appointments:
    data_class: appointments
    purpose: planning
    legal_basis: GDPR article 6(1)(b)
    keep: P6M
    action: delete
    target: appointments
`

func tickets() retention.Policy {
	return retention.Policy{Name: "closed-tickets", DataClass: "support tickets", Purpose: "answering questions",
		LegalBasis: "GDPR article 6(1)(b)", Recipients: []string{"support staff", "hosting provider"},
		Keep: retention.MustPeriod("P2Y"), Floor: retention.MustPeriod("P1Y"), Action: retention.Delete, Target: "tickets",
		Every: 12 * time.Hour, MaxShare: 40}
}

func TestParsePolicies(t *testing.T) {
	t.Parallel()
	ps, err := retention.ParsePolicies("retention.yaml", []byte(ticketsYAML))
	require.NoError(t, err)
	require.Len(t, ps, 2)
	require.Equal(t, tickets(), ps[0])
	require.Equal(t, "appointments", ps[1].Name)
	require.Zero(t, ps[1].Floor)
}

func TestParsePoliciesRefuses(t *testing.T) {
	t.Parallel()
	edit := func(old, new string) string {
		require.Contains(t, ticketsYAML, old)
		return strings.Replace(ticketsYAML, old, new, 1)
	}
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"unknown key", edit("keep: P2Y", "kep: P2Y"), []string{
			`r.yaml:7:5: unknown key "kep", want one of action, data_class, every, floor, keep,`,
			`r.yaml:2:3: policy "closed-tickets": keep: is required`}},
		{"unknown top key", "rules: {}\n", []string{`r.yaml:1:1: unknown key "rules"`}},
		{"repeated key", edit("keep: P2Y", "keep: P2Y\n    keep: P9Y"), []string{`r.yaml:8:5: key "keep" is given twice`}},
		{"repeated policy", edit("appointments:", "closed-tickets:"), []string{`r.yaml:13:3: key "closed-tickets" is given twice`}},
		{"floor above keep", edit("floor: P1Y", "floor: P3Y"), []string{
			`r.yaml:8:12: policy "closed-tickets": floor: P3Y is longer than keep P2Y`}},
		{"floor longer than keep on some days only", edit("keep: P6M", "keep: P1M\n    floor: P30D"), []string{
			`r.yaml:18:12: policy "appointments": floor: P30D is longer than keep P1M, reckoned from 2000-03-`}},
		{"bad period", edit("keep: P2Y", "keep: 2 years"), []string{`r.yaml:7:11: keep: want an ISO 8601 period`}},
		{"zero period", edit("keep: P2Y", "keep: P0D"), []string{`r.yaml:7:11: policy "closed-tickets": keep: is required and longer than zero`}},
		{"unknown action", edit("action: delete", "action: forget"), []string{`r.yaml:9:13: policy "closed-tickets": action: "forget" is not supported; the only action is "delete"`}},
		{"bad interval", edit("every: 12h", "every: P1D"), []string{`r.yaml:11:12: every: "P1D" is no duration`}},
		{"short interval", edit("every: 12h", "every: 1s"), []string{`r.yaml:11:12: policy "closed-tickets": every: 1s is shorter than 1m0s`}},
		{"bad share", edit("max_share: 40%", "max_share: 40"), []string{`r.yaml:12:16: max_share: "40" is no percentage such as "50%"`}},
		{"large share", edit("max_share: 40%", "max_share: 101%"), []string{`r.yaml:12:16: policy "closed-tickets": max_share: 101 is not between`}},
		{"list for a text", edit("purpose: planning", "purpose: [planning]"), []string{`r.yaml:15:14: want plain text`}},
		{"text for a list", edit("[support staff, hosting provider]", "staff"), []string{`r.yaml:6:17: want a list of texts`}},
		{"empty value", edit("purpose: planning", "purpose:"), []string{`r.yaml:15:13: want plain text`}},
		{"blank value", edit("purpose: planning", `purpose: " "`), []string{`r.yaml:15:14: policy "appointments": purpose: is required`}},
		{"bad name", edit("appointments:", "Old Appointments:"), []string{`r.yaml:13:3: policy "Old Appointments": name: want 1 to 64`}},
		{"alias", "policies:\n  a: &x {}\n  b: *x\n", []string{`r.yaml:3:6: policy "b" must be a mapping`}},
		{"policies as a list", "policies: [a]\n", []string{`r.yaml:1:11: policies must be a mapping`}},
		{"no policies", "policies: {}\n", []string{`r.yaml:1:11: there are no policies`}},
		{"a list", "- a\n", []string{`r.yaml:1:1: the document must be a mapping`}},
		{"missing", "{}\n", []string{`r.yaml:1:1: the key "policies" is missing`}},
		{"broken YAML", "policies:\n  a: [\n", []string{`r.yaml:`}},
		{"empty", "", []string{`r.yaml:1:1: `}},
		{"two documents", ticketsYAML + "---\n" + ticketsYAML, []string{`r.yaml:`}},
		{"several at once", edit("keep: P2Y", "keep: x") + "    colour: red\n", []string{`r.yaml:7:11: `, `r.yaml:20:5: unknown key "colour"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ps, err := retention.ParsePolicies("r.yaml", []byte(c.text))
			require.Error(t, err)
			require.Nil(t, ps)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestPolicyValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, tickets().Validate())
	for key, spoil := range map[string]func(*retention.Policy){
		"name":        func(p *retention.Policy) { p.Name = "../x" },
		"data_class":  func(p *retention.Policy) { p.DataClass = "" },
		"purpose":     func(p *retention.Policy) { p.Purpose = "\t" },
		"legal_basis": func(p *retention.Policy) { p.LegalBasis = "" },
		"recipients":  func(p *retention.Policy) { p.Recipients = []string{""} },
		"keep":        func(p *retention.Policy) { p.Keep = retention.Period{} },
		"floor":       func(p *retention.Policy) { p.Floor = retention.MustPeriod("P731D") },
		"action":      func(p *retention.Policy) { p.Action = "" },
		"target":      func(p *retention.Policy) { p.Target = "" },
		"every":       func(p *retention.Policy) { p.Every = -time.Hour },
		"max_share":   func(p *retention.Policy) { p.MaxShare = -1 },
	} {
		p := tickets()
		spoil(&p)
		require.ErrorContains(t, p.Validate(), ": "+key+": ", key)
	}
}

// The floor may be as long as the period kept, in whatever units it is written.
func TestFloorWithinKeep(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		keep, floor string
		ok          bool
	}{
		{"P2Y", "P2Y", true}, {"P2Y", "P24M", true}, {"P2Y", "P730D", true}, {"P2Y", "P731D", false}, {"P4Y", "P1460D", true},
		{"P4Y", "P1461D", false}, {"P1M", "P28D", true}, {"P1M", "P29D", false}, {"P31D", "P1M", true}, {"P30D", "P1M", false},
		{"P366D", "P1Y", true}, {"P365D", "P1Y", false}, {"P1M5D", "P1M6D", false}, {"P2M", "P1M30D", false}, {"P2M", "P1M28D", true},
	} {
		p := tickets()
		p.Keep, p.Floor = retention.MustPeriod(c.keep), retention.MustPeriod(c.floor)
		require.Equal(t, c.ok, p.Validate() == nil, "keep %s, floor %s: %v", c.keep, c.floor, p.Validate())
	}
}

func FuzzParsePolicies(f *testing.F) {
	f.Add(ticketsYAML)
	f.Add("policies: {a: {keep: P1Y, recipients: [x]}}")
	f.Add("policies:\n  a: &x {}\n  b: *x\n")
	f.Fuzz(func(t *testing.T, text string) {
		ps, err := retention.ParsePolicies("r.yaml", []byte(text))
		if (err == nil) != (len(ps) > 0) {
			t.Fatalf("%d policies and error %v", len(ps), err)
		}
		for _, p := range ps {
			if err := p.Validate(); err != nil {
				t.Fatalf("a parsed policy is not valid: %v", err)
			}
		}
		if err != nil && !strings.HasPrefix(err.Error(), "r.yaml:") {
			t.Fatalf("error without a place: %v", err)
		}
	})
}
