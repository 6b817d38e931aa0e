// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/ipfilter"
	"github.com/portalsec/portalsec/rbac"
)

type networkView struct {
	Allow, Deny                   string // one rule a line
	AllowCountries, DenyCountries string
	Version                       int64
	MayEdit                       bool
	Country                       string // the country database, in words
	You                           portalsec.Origin
	Explain, Explained            string
}

func (a *app) networkPage(w http.ResponseWriter, r *http.Request) error {
	rules := a.network.Rules()
	return a.showNetwork(w, r, http.StatusOK, "", networkForm(rules))
}

func networkForm(rules ipfilter.Rules) networkView {
	return networkView{
		Version: rules.Version,
		Allow:   prefixLines(rules.Allow), Deny: prefixLines(rules.Deny),
		AllowCountries: strings.Join(rules.AllowCountries, " "), DenyCountries: strings.Join(rules.DenyCountries, " "),
	}
}

// prefixLines writes prefix rules as the form has them: the prefix, then the label.
func prefixLines(rules []ipfilter.PrefixRule) string {
	var b strings.Builder
	for _, r := range rules {
		b.WriteString(strings.TrimSpace(r.Prefix + " " + r.Label))
		b.WriteByte('\n')
	}
	return b.String()
}

// demandOperator checks a permission that only the people of the operator have: network rules and outgoing mail are
// those of all organisations, so none of the others may touch them.
func (a *app) demandOperator(r *http.Request, perm *rbac.Perm) (portalsec.Principal, error) {
	p, err := a.demand(r, perm)
	if err != nil {
		return p, err
	}
	o, err := a.store.organisation(r.Context(), p.Tenant)
	if err == nil && !o.Operator {
		err = rbac.ErrDenied
	}
	return p, err
}

// parsePrefixes reads what prefixLines writes. A rule that was there stays as it was, with who answers for it; owner
// answers for the others.
func parsePrefixes(text string, present []ipfilter.PrefixRule, owner string) []ipfilter.PrefixRule {
	var rules []ipfilter.PrefixRule
	for line := range strings.Lines(text) {
		words := strings.Fields(strings.Map(visible, line))
		if len(words) == 0 {
			continue
		}
		label := []rune(strings.Join(words[1:], " "))
		rule := ipfilter.PrefixRule{Prefix: words[0], Label: string(label[:min(len(label), 100)]), Owner: owner}
		if i := slices.IndexFunc(present, func(p ipfilter.PrefixRule) bool { return p.Prefix == rule.Prefix && p.Label == rule.Label }); i >= 0 {
			rule = present[i]
		}
		rules = append(rules, rule)
	}
	return rules
}

func (a *app) showNetwork(w http.ResponseWriter, r *http.Request, status int, mistake string, v networkView) error {
	if _, err := a.demandOperator(r, networkRead); err != nil {
		return err
	}
	v.MayEdit = a.may(r.Context(), networkEdit)
	v.You, _ = portalsec.OriginFrom(r.Context())
	v.Country = "none: every country is unknown. Start the portal with -country-db FILE."
	if a.countries != nil {
		v.Country = "built on " + a.countries.BuildTime().Format("2 January 2006")
	}
	if text := strings.TrimSpace(r.URL.Query().Get("explain")); text != "" {
		v.Explain = text
		if addr, err := netip.ParseAddr(text); err != nil {
			v.Explained = "That is not an IP address."
		} else {
			v.Explained = a.network.Explain(addr).String()
		}
	}
	return a.render(w, r, status, "network", page{Title: "Network rules", Error: mistake, Data: v})
}

func (a *app) saveNetwork(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := a.demandOperator(r, networkEdit)
	if err != nil {
		return err
	}
	rules := a.network.Rules()
	if rules.Version, err = strconv.ParseInt(r.PostFormValue("version"), 10, 64); err != nil {
		return invalid("The form lacks the version of the rules that it changes: open the page again.")
	}
	for _, name := range []string{"allow", "deny", "allow_countries", "deny_countries"} {
		if !r.PostForm.Has(name) { // what is not there must not be taken for empty
			return invalid("The form did not arrive whole. Please send it again.")
		}
	}
	rules.Allow = parsePrefixes(r.PostFormValue("allow"), rules.Allow, p.ID)
	rules.Deny = parsePrefixes(r.PostFormValue("deny"), rules.Deny, p.ID)
	rules.AllowCountries = strings.Fields(strings.ToUpper(strings.ReplaceAll(r.PostFormValue("allow_countries"), ",", " ")))
	rules.DenyCountries = strings.Fields(strings.ToUpper(strings.ReplaceAll(r.PostFormValue("deny_countries"), ",", " ")))
	origin, _ := portalsec.OriginFrom(ctx)
	err = a.network.SetRules(ctx, rules, origin.Addr)
	var wrong *ipfilter.RuleError
	switch {
	case errors.Is(err, ipfilter.ErrLockout):
		return a.showNetwork(w, r, http.StatusConflict, "These rules would lock out the address that you are at: "+origin.Addr.String()+". They were not saved.", networkForm(rules))
	case errors.Is(err, ipfilter.ErrConflict):
		return a.showNetwork(w, r, http.StatusConflict, "Somebody else has changed the rules meanwhile. Look at them and try again.", networkForm(a.network.Rules()))
	case errors.As(err, &wrong):
		return a.showNetwork(w, r, http.StatusUnprocessableEntity, inFormWords(wrong.Problem()), networkForm(rules))
	case err != nil:
		return err
	}
	return done(w, r, "/admin/network", "saved")
}

// inFormWords turns the names of rules into those of the form.
func inFormWords(problem string) string {
	problem = ruleEntry.ReplaceAllStringFunc(problem, func(s string) string {
		m := ruleEntry.FindStringSubmatch(s)
		n, _ := strconv.Atoi(m[2])
		return fmt.Sprintf("%s, entry %d", formNames[m[1]], n+1)
	})
	return strings.ReplaceAll(problem, "Config.Country is required by the country rules", "Country rules need a country database: start the portal with -country-db FILE.")
}

var (
	ruleEntry = regexp.MustCompile(`Rules\.(\w+)\[(\d+)\]`)
	formNames = map[string]string{"Allow": "Only these networks", "Deny": "Never these networks",
		"AllowCountries": "Only these countries", "DenyCountries": "Never these countries"}
)
