// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/portalsec/portalsec/audit"
)

// Events hold names, counts, times and hashes. Keys of rows stay out of them: a log outlives what it tells of.

func event(kind audit.Kind, outcome audit.Outcome, policy, hash string, at time.Time) audit.Event {
	return audit.Event{Kind: kind, Outcome: outcome, Time: at, Rule: hash,
		Target: &audit.Target{Type: "retention-policy", ID: policy}}
}

func plannedEvent(p Plan, at time.Time) audit.Event {
	e := event(audit.RetentionPlanned, audit.Success, p.Policy, p.PlanHash, at)
	e.Details = append(e.Details, moment("cutoff", p.Cutoff)...)
	e.Details = append(e.Details, count("count", p.Count), count("total", p.Total))
	e.Details = append(e.Details, moment("oldest", p.Oldest)...)
	e.Details = append(e.Details, cascaded(p.Cascaded)...)
	return e
}

func approvedEvent(p Policy, a Approval) audit.Event {
	e := event(audit.RetentionApproved, audit.Success, a.Policy, a.Hash, a.At)
	e.Severity = audit.Notice
	e.Details = []audit.Detail{{Name: "keep", Value: p.Keep.String()}, {Name: "action", Value: string(p.Action)},
		{Name: "data_target", Value: p.Target}}
	return e
}

// runEvent tells of a run in one of its phases: started, finished or ended, that is refused or broken off.
func runEvent(r Report, phase string, outcome audit.Outcome, at time.Time) audit.Event {
	e := event(audit.RetentionRun, outcome, r.Policy, r.Hash, at)
	e.Details = []audit.Detail{{Name: "phase", Value: phase}}
	if r.ID == "" {
		return e // refused before it was a run
	}
	e.Details = append(e.Details, audit.Detail{Name: "run", Value: r.ID})
	e.Details = append(e.Details, moment("cutoff", r.Cutoff)...)
	e.Details = append(e.Details, count("batches", r.Batches), count("deleted", r.Deleted))
	e.Details = append(e.Details, cascaded(r.Cascaded)...)
	if phase == "finished" {
		e.Details = append(e.Details, count("remaining", r.Remaining))
		if r.Remaining > 0 {
			e.Severity = audit.Warning
		}
	}
	return e
}

func count(name string, n int64) audit.Detail {
	return audit.Detail{Name: name, Value: strconv.FormatInt(n, 10)}
}

func moment(name string, t time.Time) []audit.Detail {
	if t.IsZero() {
		return nil
	}
	return []audit.Detail{{Name: name, Value: t.Format(time.RFC3339)}}
}

func cascaded(counts map[string]int64) []audit.Detail {
	var ds []audit.Detail
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		ds = append(ds, count("cascaded."+name, counts[name]))
	}
	return ds
}
