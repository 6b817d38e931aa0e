// SPDX-License-Identifier: Apache-2.0

package ipfilter

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/portalsec/portalsec/audit"
)

// These bound an event's list of changes: a list of a hundred thousand prefixes has no place in one, and package
// ledger takes no event of more than 64 KiB.
const (
	maxChanges     = 200
	maxChangeBytes = 32 << 10 // as JSON
)

// changes tells in which entries two rule sets differ, the settings first, so that no list crowds them out.
func changes(before, after Rules) []audit.Change {
	var out []audit.Change
	single := func(field string, before, after any) {
		if before != after {
			out = append(out, audit.Change{Field: field, Old: audit.Personal(fmt.Sprint(before)), New: audit.Personal(fmt.Sprint(after))})
		}
	}
	single("unknown_country", before.UnknownCountry, after.UnknownCountry)
	single("private_is_local", before.PrivateIsLocal, after.PrivateIsLocal)
	single("report_only", before.ReportOnly, after.ReportOnly)
	diff := func(field string, before, after []string) {
		count := map[string]int{}
		for _, s := range before {
			count[s]++
		}
		for _, s := range after {
			if count[s]--; count[s] < 0 {
				out = append(out, audit.Change{Field: field, New: audit.Personal(s)})
			}
		}
		for _, s := range before {
			if count[s] > 0 {
				count[s]--
				out = append(out, audit.Change{Field: field, Old: audit.Personal(s)})
			}
		}
	}
	texts := func(list []PrefixRule) []string {
		var out []string
		for _, r := range list {
			text := fmt.Sprintf("%s label=%q owner=%q reason=%q", r.Prefix, r.Label, r.Owner, r.Reason)
			if !r.Expires.IsZero() {
				text += " expires=" + r.Expires.Format(time.RFC3339)
			}
			out = append(out, text)
		}
		return out
	}
	diff("allow", texts(before.Allow), texts(after.Allow))
	diff("deny", texts(before.Deny), texts(after.Deny))
	diff("allow_countries", before.AllowCountries, after.AllowCountries)
	diff("deny_countries", before.DenyCountries, after.DenyCountries)
	return bounded(out)
}

// bounded gives the changes that have room, and how many more there are.
func bounded(all []audit.Change) []audit.Change {
	var out []audit.Change
	size := 0
	for _, c := range all {
		if len(out) == maxChanges {
			break
		}
		// One that is too long is passed over, so that it does not hide those after it.
		if b, err := json.Marshal(c); err == nil && size+len(b) < maxChangeBytes {
			out = append(out, c)
			size += len(b) + 1 // with the comma
		}
	}
	if more := len(all) - len(out); more > 0 {
		out = append(out, audit.Change{Field: fmt.Sprintf("%d more", more)})
	}
	return out
}
