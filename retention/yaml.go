// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// ParsePolicies reads policies from YAML, in the order in which they stand. The document is one mapping, policies,
// from names to policies; a policy's keys are data_class, purpose, legal_basis, recipients (a list), keep and floor
// (ISO 8601 periods, see [ParsePeriod]), action, target, every (a Go duration such as 24h) and max_share (such as 50%).
//
// Unknown keys, repeated ones, aliases, and whatever [Policy.Validate] finds are errors. All of them are reported, each
// as file:line:column, with the given file name.
func ParsePolicies(file string, text []byte) ([]Policy, error) {
	var doc yaml.Node
	if err := yaml.Load(text, &doc); err != nil {
		var le *yaml.LoadError
		if errors.As(err, &le) && le.Mark.Line > 0 {
			return nil, fmt.Errorf("%s:%d:%d: %s", file, le.Mark.Line, max(le.Mark.Column, 1), le.Message)
		}
		return nil, fmt.Errorf("%s:1:1: %w", file, err)
	}
	r := reader{file: file}
	root := &doc
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = root.Content[0]
	}
	var policies []Policy
	var list *yaml.Node
	for key, value := range r.mapping(root, "the document") {
		if key.Value != "policies" {
			r.fail(key, "unknown key %q, want \"policies\"", key.Value)
			continue
		}
		list = value
	}
	switch {
	case list != nil:
		for key, value := range r.mapping(list, "policies") {
			policies = append(policies, r.policy(key, value))
		}
		if len(policies) == 0 && len(r.errs) == 0 {
			r.fail(list, "there are no policies")
		}
	case len(r.errs) == 0:
		r.fail(root, "the key \"policies\" is missing")
	}
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return policies, nil
}

// reader gathers what is wrong with a file.
type reader struct {
	file string
	errs []error
}

func (r *reader) fail(at *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d:%d: %s", r.file, max(at.Line, 1), max(at.Column, 1), fmt.Sprintf(format, args...)))
}

// mapping yields the pairs of a mapping in order, and fails for what is none.
func (r *reader) mapping(n *yaml.Node, what string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			r.fail(n, "%s must be a mapping", what)
			return
		}
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			switch {
			case key.Kind != yaml.ScalarNode:
				r.fail(key, "a key of %s must be plain text", what)
			case seen[key.Value]:
				r.fail(key, "key %q is given twice", key.Value)
			default:
				seen[key.Value] = true
				if !yield(key, n.Content[i+1]) {
					return
				}
			}
		}
	}
}

// fields sets one field of a policy each, or says what is wrong with the text.
var fields = map[string]func(p *Policy, text string) error{
	"data_class":  func(p *Policy, s string) error { p.DataClass = s; return nil },
	"purpose":     func(p *Policy, s string) error { p.Purpose = s; return nil },
	"legal_basis": func(p *Policy, s string) error { p.LegalBasis = s; return nil },
	"target":      func(p *Policy, s string) error { p.Target = s; return nil },
	"action":      func(p *Policy, s string) error { p.Action = Action(s); return nil },
	"recipients":  nil, // a list
	"keep":        func(p *Policy, s string) (err error) { p.Keep, err = parsePeriod(s); return err },
	"floor":       func(p *Policy, s string) (err error) { p.Floor, err = parsePeriod(s); return err },
	"every": func(p *Policy, s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d == 0 {
			return fmt.Errorf(`%q is no duration such as "24h"`, s)
		}
		p.Every = d
		return nil
	},
	"max_share": func(p *Policy, s string) error {
		digits, ok := strings.CutSuffix(s, "%")
		n, err := strconv.Atoi(digits)
		if !ok || err != nil || n == 0 {
			return fmt.Errorf(`%q is no percentage such as "50%%"`, s)
		}
		p.MaxShare = n
		return nil
	},
}

func (r *reader) policy(name, body *yaml.Node) Policy {
	p := Policy{Name: name.Value}
	at := map[string]*yaml.Node{} // where each key's value stands
	bad := map[string]bool{}      // keys whose fault is reported already
	for key, value := range r.mapping(body, "policy "+strconv.Quote(name.Value)) {
		set, known := fields[key.Value]
		if !known {
			r.fail(key, "unknown key %q, want one of %s", key.Value, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			continue
		}
		at[key.Value] = value
		if key.Value == "recipients" {
			bad[key.Value] = !r.texts(value, &p.Recipients)
			continue
		}
		text, ok := r.text(value)
		if ok {
			if err := set(&p, text); err != nil {
				r.fail(value, "%s: %v", key.Value, err)
				ok = false
			}
		}
		bad[key.Value] = !ok
	}
	if body.Kind != yaml.MappingNode {
		return p // said already
	}
	for _, f := range p.faults() {
		if bad[f.key] || f.key == "floor" && bad["keep"] {
			continue
		}
		node := at[f.key]
		if node == nil {
			node = name
		}
		r.fail(node, "policy %q: %s: %s", p.Name, f.key, f.text)
	}
	return p
}

// text gives the value of a scalar that is not null.
func (r *reader) text(n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		r.fail(n, "want plain text")
		return "", false
	}
	return n.Value, true
}

func (r *reader) texts(n *yaml.Node, to *[]string) bool {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "want a list of texts")
		return false
	}
	all := true
	for _, c := range n.Content {
		s, ok := r.text(c)
		all = all && ok
		*to = append(*to, s)
	}
	return all
}
