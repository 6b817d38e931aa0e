// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/internal/uuid"
)

// Version is the version of the event's encoding.
const Version = 1

// Pseudonym is the ID of a person, account or session. It says nothing about them to who lacks the key to it.
type Pseudonym string

// Personal is personal data, such as an address. A log that can erase it stores it apart.
type Personal string

// LogValue keeps personal data out of ordinary logs.
func (p Personal) LogValue() slog.Value { return slog.StringValue("[personal]") }

// Outcome tells how an act ended.
type Outcome string

// The outcomes.
const (
	// Success: it was done.
	Success Outcome = "success"
	// Failure: it was tried and the proof was wrong, such as a bad password.
	Failure Outcome = "failure"
	// Denied: it was not allowed.
	Denied Outcome = "denied"
	// Error: it was allowed, and something broke.
	Error Outcome = "error"
)

// Severity orders events for those who watch them.
type Severity string

// The severities, least first.
const (
	// Info is for what is done every day.
	Info Severity = "info"
	// Notice is for what is done rarely, such as a change of rules.
	Notice Severity = "notice"
	// Warning is for what somebody should look at.
	Warning Severity = "warning"
	// Critical is for what somebody must look at now.
	Critical Severity = "critical"
)

// Target is what was acted upon.
type Target struct {
	// Type is a class of things, such as "ticket".
	Type string `json:"type"`
	// ID is the thing's key within its class.
	ID string `json:"id,omitempty"`
}

// Change is one field that an act changed.
type Change struct {
	// Field is the name of the field.
	Field string `json:"field"`
	// Old and New are its values before and after, empty when there was none or when they are not to be kept.
	Old Personal `json:"old,omitempty"`
	New Personal `json:"new,omitempty"`
}

// Detail is one more public fact, such as a count. It must not hold personal data or secrets.
type Detail struct {
	// Name is a stable word such as "entries".
	Name string `json:"name"`
	// Value is the fact as text.
	Value string `json:"value"`
}

// Source is where the request came from.
type Source struct {
	// Addr is the client's address in its canonical text form.
	Addr Personal `json:"addr,omitempty"`
	// Country is the ISO 3166-1 alpha-2 code in upper case.
	Country string `json:"country,omitempty"`
	// Network is the label of the network that the address is in, such as "office".
	Network string `json:"network,omitempty"`
	// ASN is the number of the autonomous system.
	ASN uint32 `json:"asn,omitempty"`
}

// Event is one entry of the audit log. Only Kind and Outcome must be given; [Prepare] fills the envelope from
// the context.
type Event struct {
	// Version is that of the encoding, see [Version].
	Version int `json:"v"`
	// ID is a UUID of version 7.
	ID string `json:"id"`
	// Time is when it happened, in UTC.
	Time time.Time `json:"time"`
	// Kind is what was done.
	Kind Kind `json:"kind"`
	// Outcome is how it ended.
	Outcome Outcome `json:"outcome"`
	// Reason is a stable word for why it was refused or failed, such as "wrong-password". Unlike the public
	// answer it tells the truth.
	Reason string `json:"reason,omitempty"`
	// Severity is Info when empty.
	Severity Severity `json:"severity"`
	// Tenant is the organisation that the act concerns.
	Tenant string `json:"tenant,omitempty"`
	// Actor is who acted; for an impersonation, the member of staff.
	Actor Pseudonym `json:"actor,omitempty"`
	// OnBehalfOf is the person acted for in an impersonation.
	OnBehalfOf Pseudonym `json:"on_behalf_of,omitempty"`
	// Subjects are the persons whose data was touched.
	Subjects []Pseudonym `json:"subjects,omitempty"`
	// Session is the session's ID, not its token.
	Session Pseudonym `json:"session,omitempty"`
	// Target is what was acted upon.
	Target *Target `json:"target,omitempty"`
	// Method and Route are the request's method and the pattern that it matched, never its path.
	Method string `json:"method,omitempty"`
	Route  string `json:"route,omitempty"`
	// Status is the response's HTTP status, where known.
	Status int `json:"status,omitempty"`
	// Trace joins the events of one request: the trace ID of the W3C traceparent header, or a random one.
	Trace string `json:"trace,omitempty"`
	// Source is where the request came from.
	Source Source `json:"source,omitzero"`
	// Changes are the fields that the act changed.
	Changes []Change `json:"changes,omitempty"`
	// Rule is the rule or policy that decided.
	Rule string `json:"rule,omitempty"`
	// Details are further facts.
	Details []Detail `json:"details,omitempty"`
}

// Recorder takes events. Implementations call [Prepare] first, may be used by several goroutines, keep
// nothing of the event that the caller could still change, and return an error when the event may be lost.
// They do not give up because ctx ended: a client that hangs up must not keep its act out of the log.
type Recorder interface {
	// Record takes one event and returns when it is as safe as the recorder promises.
	Record(ctx context.Context, e Event) error
}

// RecorderFunc is a function as a [Recorder].
type RecorderFunc func(ctx context.Context, e Event) error

// Record calls f.
func (f RecorderFunc) Record(ctx context.Context, e Event) error { return f(ctx, e) }

// Discard loses every event. It is for tests and for programs that record nothing on purpose.
var Discard Recorder = RecorderFunc(func(context.Context, Event) error { return nil })

// Prepare fills what e leaves empty: version, ID, time and severity, and from the context the actor, tenant,
// session, source, route and trace. It changes nothing that is set, so it may be called twice.
func Prepare(ctx context.Context, e Event) Event {
	if e.Version == 0 {
		e.Version = Version
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Round(0) // without the reading of the monotonic clock
	if e.ID == "" {
		e.ID = uuid.NewV7(e.Time)
	}
	if e.Severity == "" {
		e.Severity = Info
	}
	if p, ok := portalsec.PrincipalFrom(ctx); ok {
		if e.Actor == "" {
			e.Actor = Pseudonym(p.ID)
			if p.Impersonator != "" {
				e.Actor = Pseudonym(p.Impersonator)
				if e.OnBehalfOf == "" {
					e.OnBehalfOf = Pseudonym(p.ID)
				}
			}
		}
		if e.Tenant == "" {
			e.Tenant = p.Tenant
		}
		if e.Session == "" {
			e.Session = Pseudonym(p.Session)
		}
	}
	if o, ok := portalsec.OriginFrom(ctx); ok && e.Source == (Source{}) {
		e.Source = Source{Country: o.Country, Network: o.Network, ASN: o.ASN}
		if o.Addr.IsValid() {
			e.Source.Addr = Personal(o.Addr.String())
		}
	}
	if q, ok := ctx.Value(requestKey{}).(*request); ok {
		if e.Kind.Known() { // an event that a log refuses for its kind must not stand for the request's own
			q.recorded.Store(true)
		}
		if e.Method == "" {
			e.Method = q.r.Method
		}
		if e.Trace == "" {
			e.Trace = q.trace
		}
		if e.Route == "" {
			e.Route = q.r.Pattern
		}
	}
	return e
}

// ForRequest gives an event with the request's method and matched pattern. Middleware that runs outside
// [Middleware] uses it.
func ForRequest(r *http.Request, kind Kind, outcome Outcome) Event {
	return Event{Kind: kind, Outcome: outcome, Method: r.Method, Route: r.Pattern}
}
