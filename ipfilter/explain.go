// SPDX-License-Identifier: Apache-2.0

package ipfilter

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/portalsec/portalsec/ipfilter/internal/ranges"
)

// Explanation is a decision about one address with all that it rests on.
type Explanation struct {
	// Addr is the address, IPv4-mapped ones folded and without zone.
	Addr netip.Addr
	// Allowed tells whether it may come in. It does not tell of [Rules.ReportOnly], under which everyone may.
	Allowed bool
	// Reason is why it may not.
	Reason Reason
	// Class is the kind of address: "public", "loopback", "private", "carries an IPv4 address" or "reserved".
	Class string
	// Country is the ISO 3166-1 alpha-2 code, empty when unknown.
	Country string
	// CountryBuilt is when the country file was made; zero when there is none.
	CountryBuilt time.Time
	// Rule is the prefix rule that holds the address, such as `allow[2] 192.0.2.0/24 "office"`. Empty when there is none.
	Rule string
	// Version is that of the rules.
	Version int64
	// ReportOnly tells that a refusal is recorded only.
	ReportOnly bool

	countryRules string
}

// Explain decides about an address as [Filter.Check] does and tells how.
func (f *Filter) Explain(a netip.Addr) Explanation {
	a = a.Unmap().WithZone("")
	c := f.rulesNow()
	if c == nil {
		return Explanation{Addr: a, Reason: NotLoaded}
	}
	v := c.judge(a, f.c.Country)
	e := Explanation{
		Addr: a, Allowed: v.reason == "", Reason: v.reason, Class: classNames[v.class], Country: v.country.String(),
		Version: c.rules.Version, ReportOnly: c.rules.ReportOnly, countryRules: c.countryRules(v),
	}
	if f.c.Country != nil {
		e.CountryBuilt = f.c.Country.built
	}
	if v.entry != ranges.None {
		e.Rule = c.name(c.entries[v.entry])
	}
	return e
}

// name tells a prefix rule's place, prefix and label.
func (c *compiled) name(e entry) string {
	list := "allow"
	if e.deny {
		list = "deny"
	}
	name := fmt.Sprintf("%s[%d] %s", list, e.index, e.prefix)
	if label := c.rule(e).Label; label != "" {
		name += fmt.Sprintf(" %q", label)
	}
	return name
}

func (c *compiled) countryRules(v verdict) string {
	switch {
	case !c.country:
		return "none"
	case v.class == loopback:
		return "do not apply to loopback addresses"
	case v.class == private && c.rules.PrivateIsLocal:
		return "do not apply to private addresses"
	case v.country == 0 && c.rules.UnknownCountry == Pass:
		return "let unknown countries pass"
	case v.country == 0:
		return "refuse unknown countries"
	case c.deny[v.country]:
		return "deny " + v.country.String()
	case len(c.rules.AllowCountries) == 0:
		return "do not deny " + v.country.String()
	case c.allow[v.country]:
		return "allow " + v.country.String()
	}
	return "do not allow " + v.country.String()
}

// String gives the explanation as lines of text, for an administrator.
func (e Explanation) String() string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-14s %s\n", name+":", value) }
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	result := "allowed"
	if !e.Allowed {
		result = "refused, " + string(e.Reason)
		if e.ReportOnly {
			result += " (recorded only)"
		}
	}
	address := e.Addr.String()
	if e.Class != "" && e.Addr.IsValid() {
		address += " (" + e.Class + ")"
	}
	line("address", address)
	line("result", result)
	line("prefix rule", or(e.Rule, "none holds it"))
	country := or(e.Country, "unknown")
	if !e.CountryBuilt.IsZero() {
		country += ", by the file of " + e.CountryBuilt.Format(time.DateOnly)
	} else {
		country += ", no country file"
	}
	line("country", country)
	line("country rules", or(e.countryRules, "not reached"))
	line("rules version", fmt.Sprint(e.Version))
	return b.String()
}
