// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"log/slog"
	"slices"
)

// Multi gives a recorder that hands each event, prepared once, to all of recorders in order. It goes on after
// one that fails and returns their errors joined. A nil recorder is left out; with none left it is [Slog] of
// the default logger, so that no event is lost in silence.
func Multi(recorders ...Recorder) Recorder {
	var rs []Recorder
	for _, r := range recorders {
		if r != nil {
			rs = append(rs, r)
		}
	}
	if len(rs) == 0 {
		return Slog(nil)
	}
	return RecorderFunc(func(ctx context.Context, e Event) error {
		e = Prepare(ctx, e)
		var errs []error
		for _, r := range rs {
			if err := r.Record(ctx, e); err != nil {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	})
}

// Slog gives a recorder that writes each event to l, or to [slog.Default] at the time of the event when l is
// nil. The kind is the message, and the attributes are those of [Event.LogValue]. An ordinary logger promises
// nothing, so neither does it: use package audit/ledger where events must last.
func Slog(l *slog.Logger) Recorder {
	return RecorderFunc(func(ctx context.Context, e Event) error {
		e = Prepare(ctx, e)
		log := l
		if log == nil {
			log = slog.Default()
		}
		level := slog.LevelInfo
		switch e.Severity {
		case Warning:
			level = slog.LevelWarn
		case Critical:
			level = slog.LevelError
		}
		log.LogAttrs(ctx, level, string(e.Kind), e.safe()...)
		return nil
	})
}

// LogValue gives the public fields and pseudonyms, so that an event that is logged whole shows no personal
// data either.
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(append(e.safe(), slog.String("kind", string(e.Kind)))...)
}

// safe gives what an ordinary log may hold of an event.
func (e Event) safe() []slog.Attr {
	attrs := make([]slog.Attr, 0, 20)
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	add("id", e.ID)
	add("outcome", string(e.Outcome))
	add("reason", e.Reason)
	if e.Severity != Info {
		add("severity", string(e.Severity))
	}
	add("tenant", e.Tenant)
	add("actor", string(e.Actor))
	add("on_behalf_of", string(e.OnBehalfOf))
	if len(e.Subjects) > 0 {
		attrs = append(attrs, slog.Any("subjects", slices.Clone(e.Subjects)))
	}
	add("session", string(e.Session))
	if e.Target != nil {
		add("target", e.Target.Type+"/"+e.Target.ID)
	}
	add("method", e.Method)
	add("route", e.Route)
	if e.Status != 0 {
		attrs = append(attrs, slog.Int("status", e.Status))
	}
	add("trace", e.Trace)
	add("country", e.Source.Country)
	add("network", e.Source.Network)
	if e.Source.ASN != 0 {
		attrs = append(attrs, slog.Uint64("asn", uint64(e.Source.ASN)))
	}
	add("rule", e.Rule)
	if len(e.Details) > 0 {
		// In a group of their own: a detail's name could be that of a field.
		details := make([]slog.Attr, len(e.Details))
		for i, d := range e.Details {
			details[i] = slog.String(d.Name, d.Value)
		}
		attrs = append(attrs, slog.Attr{Key: "details", Value: slog.GroupValue(details...)})
	}
	return attrs
}
