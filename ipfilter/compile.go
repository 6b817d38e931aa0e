// SPDX-License-Identifier: Apache-2.0

package ipfilter

import (
	"errors"
	"net/netip"
	"time"

	"github.com/portalsec/portalsec/ipfilter/internal/ranges"
)

// compiled are rules in the form that requests are checked with. It is never changed, only replaced.
type compiled struct {
	rules   Rules // normalised
	entries []entry
	table   ranges.Table // of indices into entries
	allow   countrySet
	deny    countrySet
	country bool      // there are country rules
	until   time.Time // when the next rule expires; zero is never
}

// entry is a prefix rule with its place.
type entry struct {
	prefix netip.Prefix
	deny   bool
	index  int // into its list
}

func (c *compiled) rule(e entry) PrefixRule {
	if e.deny {
		return c.rules.Deny[e.index]
	}
	return c.rules.Allow[e.index]
}

// compile gives normalised rules as they are at a time: what has expired is left out.
func compile(rules Rules, db *CountryDB, now time.Time) (*compiled, error) {
	c := &compiled{
		rules: rules, country: rules.hasCountryRules(),
		allow: newCountrySet(rules.AllowCountries), deny: newCountrySet(rules.DenyCountries),
	}
	if c.country && db == nil {
		return nil, errors.New("Config.Country is required by the country rules")
	}
	var prefixes []ranges.Entry
	add := func(list []PrefixRule, deny bool) error {
		for i, r := range list {
			if !r.Expires.IsZero() {
				if !now.Before(r.Expires) {
					continue
				}
				if c.until.IsZero() || r.Expires.Before(c.until) {
					c.until = r.Expires
				}
			}
			p, err := ranges.ParsePrefix(r.Prefix)
			if err != nil {
				return err
			}
			prefixes = append(prefixes, ranges.Entry{Prefix: p, Value: int32(len(c.entries))})
			c.entries = append(c.entries, entry{p, deny, i})
		}
		return nil
	}
	// The table keeps the first of equal prefixes, so Deny goes first.
	if err := errors.Join(add(rules.Deny, true), add(rules.Allow, false)); err != nil {
		return nil, err
	}
	c.table = ranges.New(prefixes)
	return c, nil
}

// verdict is the answer about one address.
type verdict struct {
	reason  Reason // empty when it may come in
	entry   int32  // the prefix rule that holds it, or ranges.None
	class   class
	country country
}

// judge applies the rules to an address. It allocates nothing.
func (c *compiled) judge(a netip.Addr, db *CountryDB) verdict {
	v := verdict{entry: ranges.None}
	if !a.IsValid() {
		v.reason = ClientUnknown
		return v
	}
	v.class = classify(a)
	if db != nil && v.class == public {
		v.country = db.lookup(a)
	}
	v.entry = c.table.Find(a)
	switch {
	case v.entry != ranges.None && c.entries[v.entry].deny:
		v.reason = PrefixDenied
	case v.entry == ranges.None && len(c.rules.Allow) > 0:
		v.reason = NotInAllowlist
	case !c.country || v.class == loopback || v.class == private && c.rules.PrivateIsLocal:
	case v.country == 0:
		if c.rules.UnknownCountry != Pass {
			v.reason = CountryUnknown
		}
	case c.deny[v.country] || len(c.rules.AllowCountries) > 0 && !c.allow[v.country]:
		v.reason = CountryDenied
	}
	return v
}
