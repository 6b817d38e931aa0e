// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/audit/ledger"
)

type auditVerify struct {
	Dir  string `arg:"" help:"Directory of the log."`
	JSON bool   `name:"json" help:"Print one JSON object."`
}

// Run verifies the log.
func (c *auditVerify) Run(stdout io.Writer) error {
	r, err := ledger.Verify(context.Background(), c.Dir)
	if err != nil {
		return err
	}
	if c.JSON {
		var bad *uint64
		if !r.OK() {
			bad = &r.FirstBad
		}
		err = json.NewEncoder(stdout).Encode(struct {
			OK       bool    `json:"ok"`
			Entries  uint64  `json:"entries"`
			Head     string  `json:"head"`
			Problem  string  `json:"problem,omitempty"`
			FirstBad *uint64 `json:"first_bad,omitempty"`
		}{r.OK(), r.Entries, hex.EncodeToString(r.Head[:]), r.Problem, bad})
	} else {
		_, err = fmt.Fprintf(stdout, "entries  %d\nhead     %x\nverdict  %s\n", r.Entries, r.Head, verdict(r))
	}
	if err != nil {
		return err
	}
	if !r.OK() {
		return finding{errors.New("")}
	}
	return nil
}

// verdict says in words what a report means, and what it does not.
func verdict(r ledger.Report) string {
	if r.OK() {
		return `ok: each entry has its hash and is linked to the one before it
trust    none beyond this file: compare entries and head with those that you kept elsewhere,
         because who may write the file can cut its end or write all of it anew`
	}
	where := "entry " + strconv.FormatUint(r.FirstBad, 10)
	if r.FirstBad == 0 {
		where = "first line"
	}
	return fmt.Sprintf("NOT AS WRITTEN: %s: %s\n         the entries before it are good; what follows was not judged", where, r.Problem)
}

type auditShow struct {
	Dir    string   `arg:"" help:"Directory of the log."`
	Tenant string   `help:"Only events of this organisation; without it all are shown." placeholder:"ID"`
	Kind   []string `help:"Only events of this kind, such as auth.login. May be repeated." placeholder:"KIND"`
	Actor  string   `help:"Only what this account did, or somebody for it." placeholder:"ID"`
	Before uint64   `help:"Only entries before this number." placeholder:"N"`
	Limit  int      `help:"Show at most so many entries, up to 1000." default:"50"`
	JSON   bool     `name:"json" help:"Print one JSON object a line, with everything that was recorded, client addresses included."`
}

// Run shows entries.
func (c *auditShow) Run(stdout io.Writer) error {
	if c.Limit < 1 {
		return fmt.Errorf("--limit %d: must be at least 1", c.Limit)
	}
	q := ledger.Query{Tenant: c.Tenant, AllTenants: c.Tenant == "", Actor: c.Actor, Before: c.Before, Limit: c.Limit}
	for _, k := range c.Kind {
		kind := audit.Kind(k)
		if !kind.Known() {
			return fmt.Errorf("--kind %q: no such kind of event", k)
		}
		q.Kinds = append(q.Kinds, kind)
	}
	entries, err := ledger.Read(context.Background(), c.Dir, q)
	var broken *ledger.BrokenError
	if errors.As(err, &broken) {
		return finding{err}
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		text := summary(e)
		if c.JSON {
			b, err := json.Marshal(struct {
				Index uint64      `json:"index"`
				Hash  string      `json:"hash"`
				Event audit.Event `json:"event"`
			}{e.Index, hex.EncodeToString(e.Hash[:]), e.Event})
			if err != nil {
				return err
			}
			text = escapeJSON(string(b))
		}
		if _, err := fmt.Fprintln(stdout, text); err != nil {
			return err
		}
	}
	return nil
}

// summary gives one line about an entry, without personal data.
func summary(e ledger.Entry) string {
	fields := []string{
		strconv.FormatUint(e.Index, 10), e.Event.Time.UTC().Format(time.RFC3339), plain(string(e.Event.Kind)), plain(string(e.Event.Outcome)),
	}
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, name+"="+plain(value))
		}
	}
	add("reason", e.Event.Reason)
	add("tenant", e.Event.Tenant)
	add("actor", string(e.Event.Actor))
	add("for", string(e.Event.OnBehalfOf))
	if t := e.Event.Target; t != nil {
		add("target", t.Type+"/"+t.ID)
	}
	add("route", e.Event.Route)
	if e.Event.Status != 0 {
		add("status", strconv.Itoa(e.Event.Status))
	}
	add("country", e.Event.Source.Country)
	for _, d := range e.Event.Details {
		add(plain(d.Name), d.Value)
	}
	return strings.Join(fields, " ")
}

// plain quotes a value that would otherwise spoil the line or act on the terminal.
func plain(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' || r == '"' || r == '=' }) {
		return strconv.Quote(s)
	}
	return s
}

// escapeJSON escapes what JSON allows in a text but a terminal acts on, such as the control characters above
// 127 and marks that turn the direction of writing.
func escapeJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
