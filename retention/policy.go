// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Action is what becomes of data whose time is over.
type Action string

// Delete removes the data for good.
const Delete Action = "delete"

const (
	defaultEvery    = 24 * time.Hour
	shortestEvery   = time.Minute
	defaultMaxShare = 50
)

// Policy says what is kept how long, and why. It holds what the record of processing activities must tell of it
// (GDPR article 30(1)).
type Policy struct {
	// Name identifies the policy: 1 to 64 lower-case letters, digits and hyphens, starting with a letter.
	Name string
	// DataClass is what kind of data it is, in words: "support tickets with messages and files".
	DataClass string
	// Purpose is what the data is kept for (GDPR article 5(1)(b)).
	Purpose string
	// LegalBasis is why it may be kept (GDPR article 6), in words.
	LegalBasis string
	// Recipients are the categories of those who see it. It may be empty.
	Recipients []string
	// Keep is how long data is kept after its anchor. It must be longer than zero.
	Keep Period
	// Floor is how long the law demands that it be kept. Zero when it demands nothing; on no day of the calendar
	// may it be longer than Keep.
	Floor Period
	// Action is what happens then. It must be [Delete].
	Action Action
	// Target is the name of the target in [Config].Targets.
	Target string
	// Every is the time from the end of one run to the start of the next. Zero means 24 hours; the least is a minute.
	Every time.Duration
	// MaxShare is the percentage of the target's rows that one run may delete, 1 to 100. Zero means 50. A target
	// of fewer than 20 rows is exempt.
	MaxShare int
}

// Validate checks the policy by itself and gives all that is wrong with it, joined, or nil. [ParsePolicies] and
// [New] do the same checks.
func (p Policy) Validate() error {
	var errs []error
	for _, f := range p.faults() {
		errs = append(errs, fmt.Errorf("retention: policy %q: %s: %s", p.Name, f.key, f.text))
	}
	return errors.Join(errs...)
}

// fault is one thing that is wrong with a policy, under the key that the field has in YAML.
type fault struct {
	key, text string
}

var policyName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

func (p Policy) faults() []fault {
	var fs []fault
	add := func(key, format string, args ...any) { fs = append(fs, fault{key, fmt.Sprintf(format, args...)}) }
	if !policyName.MatchString(p.Name) {
		add("name", "want 1 to 64 lower-case letters, digits and hyphens, starting with a letter")
	}
	for _, f := range []struct{ key, value string }{
		{"data_class", p.DataClass}, {"purpose", p.Purpose}, {"legal_basis", p.LegalBasis}, {"target", p.Target},
	} {
		if strings.TrimSpace(f.value) == "" {
			add(f.key, "is required")
		}
	}
	for _, r := range p.Recipients {
		if strings.TrimSpace(r) == "" {
			add("recipients", "has an empty entry")
		}
	}
	if p.Keep.IsZero() {
		add("keep", "is required and longer than zero")
	} else if day, longer := p.Floor.exceeds(p.Keep); longer {
		add("floor", "%v is longer than keep %v, reckoned from %s", p.Floor, p.Keep, day.Format(time.DateOnly))
	}
	switch p.Action {
	case Delete:
	case "":
		add("action", "is required; the only action is %q", Delete)
	default:
		add("action", "%q is not supported; the only action is %q", p.Action, Delete)
	}
	if p.Every != 0 && p.Every < shortestEvery {
		add("every", "%v is shorter than %v", p.Every, shortestEvery)
	}
	if p.MaxShare < 0 || p.MaxShare > 100 {
		add("max_share", "%d is not between 1 and 100 percent", p.MaxShare)
	}
	return fs
}

// withDefaults gives the policy with its zero fields filled, so that writing a default out changes no hash.
func (p Policy) withDefaults() Policy {
	if p.Every == 0 {
		p.Every = defaultEvery
	}
	if p.MaxShare == 0 {
		p.MaxShare = defaultMaxShare
	}
	return p
}
