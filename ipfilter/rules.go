// SPDX-License-Identifier: Apache-2.0

package ipfilter

import (
	"fmt"
	"slices"
	"time"

	"github.com/portalsec/portalsec/ipfilter/internal/ranges"
)

// Rules say which addresses may come in. The zero Rules let in every client whose address is known. Their JSON
// form is what stores keep.
type Rules struct {
	// Version counts the changes. [Filter.SetRules] compares it with the version in force and raises it by one: pass
	// the version of the rules that the change was made to.
	Version int64 `json:"version,omitempty"`
	// Allow are the prefixes that may come in. Where there is any, all other addresses are refused.
	Allow []PrefixRule `json:"allow,omitempty"`
	// Deny are the prefixes that may not.
	Deny []PrefixRule `json:"deny,omitempty"`
	// AllowCountries are the only countries that may come in, as ISO 3166-1 alpha-2 codes; all when empty.
	AllowCountries []string `json:"allow_countries,omitempty"`
	// DenyCountries are countries that may not. A country in both lists is denied.
	DenyCountries []string `json:"deny_countries,omitempty"`
	// UnknownCountry is what becomes of addresses whose country is not known, where there are country rules.
	UnknownCountry Policy `json:"unknown_country,omitempty"`
	// PrivateIsLocal lets private addresses (RFC 1918, RFC 4193, link-local) pass the country rules. Set it only where
	// visitors come from the local network and package clientip knows every proxy; the package comment says why.
	PrivateIsLocal bool `json:"private_is_local,omitempty"`
	// ReportOnly records what would be refused and refuses nothing.
	ReportOnly bool `json:"report_only,omitempty"`
}

// PrefixRule is a rule for the addresses in a prefix.
type PrefixRule struct {
	// Prefix is a prefix such as "192.0.2.0/24" or "2001:db8::/32", or one address. Of rules of the same list with the
	// same prefix the first that has not expired counts.
	Prefix string `json:"prefix"`
	// Label names the network, such as "office". Requests from it have it as [portalsec.Origin]'s Network.
	Label string `json:"label,omitempty"`
	// Owner is who answers for the rule.
	Owner string `json:"owner,omitempty"`
	// Reason is why the rule is there.
	Reason string `json:"reason,omitempty"`
	// Expires is when the rule ends. The zero time is never.
	Expires time.Time `json:"expires,omitzero"`
}

// Policy is what becomes of an address that a rule cannot judge.
type Policy string

// The policies.
const (
	// Refuse refuses it. It is the default.
	Refuse Policy = ""
	// Pass lets it through the rule.
	Pass Policy = "pass"
)

func (r Rules) clone() Rules {
	r.Allow, r.Deny = slices.Clone(r.Allow), slices.Clone(r.Deny)
	r.AllowCountries, r.DenyCountries = slices.Clone(r.AllowCountries), slices.Clone(r.DenyCountries)
	return r
}

func (r Rules) hasCountryRules() bool { return len(r.AllowCountries)+len(r.DenyCountries) > 0 }

// normalise checks the rules and gives them in canonical form. The error names the entry by its list and index.
func (r Rules) normalise() (Rules, error) {
	r = r.clone()
	prefixes := func(name string, list []PrefixRule) error {
		for i := range list {
			p, err := ranges.ParsePrefix(list[i].Prefix)
			if err != nil {
				return fmt.Errorf("%s[%d]: %w", name, i, err)
			}
			list[i].Prefix = p.String()
			list[i].Expires = list[i].Expires.UTC()
		}
		return nil
	}
	countries := func(name string, list []string) error {
		for i := range list {
			code, ok := parseCountry(list[i])
			if !ok {
				return fmt.Errorf("%s[%d]: %q is not a country code of ISO 3166-1 alpha-2", name, i, list[i])
			}
			list[i] = code.String()
		}
		return nil
	}
	if err := prefixes("Rules.Allow", r.Allow); err != nil {
		return Rules{}, err
	}
	if err := prefixes("Rules.Deny", r.Deny); err != nil {
		return Rules{}, err
	}
	if err := countries("Rules.AllowCountries", r.AllowCountries); err != nil {
		return Rules{}, err
	}
	if err := countries("Rules.DenyCountries", r.DenyCountries); err != nil {
		return Rules{}, err
	}
	if r.UnknownCountry != Refuse && r.UnknownCountry != Pass {
		return Rules{}, fmt.Errorf("Rules.UnknownCountry: %q is neither %q nor %q", r.UnknownCountry, Refuse, Pass)
	}
	return r, nil
}
