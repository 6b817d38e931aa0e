// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// maxPolicyFile is the greatest size of a policy file in bytes. Thousands of rules need a tenth of it.
const maxPolicyFile = 1 << 20

// position is a place in a policy file.
type position struct {
	file         string
	line, column int
}

// ref is a name as it stands in a policy file.
type ref struct {
	name string
	position
}

// rule is one entry of an allow or deny list. The name may be a wildcard.
type rule struct {
	ref
	own bool
}

// same tells whether two rules say the same. One that could not be read is like no other.
func (r rule) same(o rule) bool { return r.name != "" && r.name == o.name && r.own == o.own }

// roleText is a role as it is written.
type roleText struct {
	ref
	description        string
	inherits, mayGrant []ref
	allow, deny        []rule
}

// requirement is what must be met to use a permission.
type requirement struct {
	secondFactor bool
	fresh        time.Duration
}

type requirementText struct {
	ref
	requirement
}

type exclusiveText struct {
	position
	roles []ref
}

type testText struct {
	position
	role, permission ref
	owner            string
	allowed          bool
}

// policyText is what the files of a policy say. Names are not looked up yet.
type policyText struct {
	roles        []roleText
	requirements []requirementText
	exclusive    []exclusiveText
	tests        []testText
}

// mistakes collects what is wrong, so that all of it is told at once.
type mistakes []*PolicyError

func (m *mistakes) at(p position, format string, args ...any) {
	*m = append(*m, &PolicyError{File: p.file, Line: p.line, Column: p.column, Problem: fmt.Sprintf(format, args...)})
}

// err joins the mistakes in the order of the files, or gives nil when there are none.
func (m mistakes) err() error {
	slices.SortStableFunc(m, func(a, b *PolicyError) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(m))
	for i, e := range m {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// readPolicyFile reads a file of at most maxPolicyFile bytes.
func readPolicyFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("rbac: policy: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPolicyFile+1))
	if err != nil {
		return nil, fmt.Errorf("rbac: policy %s: %w", name, err)
	}
	if len(text) > maxPolicyFile {
		return nil, fmt.Errorf("rbac: policy %s: larger than %d bytes", name, maxPolicyFile)
	}
	return text, nil
}

// parser turns one file into text. Its methods report what is wrong and give the zero value then.
type parser struct {
	file     string
	mistakes *mistakes
	text     *policyText
}

func (p *parser) position(n *yaml.Node) position {
	return position{p.file, max(n.Line, 1), max(n.Column, 1)}
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.mistakes.at(p.position(n), format, args...)
}

func (p *parser) parse(text []byte) {
	var document yaml.Node
	if err := yaml.Load(text, &document); err != nil {
		at, problem := position{p.file, 1, 1}, err.Error()
		var load *yaml.LoadError
		if errors.As(err, &load) {
			at.line, at.column, problem = max(load.Mark.Line, 1), max(load.Mark.Column, 1), load.Message
		}
		p.mistakes.at(at, "cannot be read as YAML: %s", strings.TrimPrefix(problem, "yaml: "))
		return
	}
	root := &document
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = root.Content[0]
	}
	p.members(root, "the policy", map[string]func(*yaml.Node){
		"roles": func(n *yaml.Node) {
			p.entries(n, "roles", func(name ref, value *yaml.Node) { p.role(name, value) })
		},
		"requirements": func(n *yaml.Node) {
			p.entries(n, "requirements", func(name ref, value *yaml.Node) { p.requirement(name, value) })
		},
		"exclusive": func(n *yaml.Node) { p.each(n, "exclusive", p.exclusive) },
		"tests":     func(n *yaml.Node) { p.each(n, "tests", p.test) },
	})
}

var roleName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,99}$`)

func (p *parser) role(name ref, n *yaml.Node) {
	if !roleName.MatchString(name.name) {
		p.mistakes.at(name.position, "role %q: want a name of lower-case letters, digits, \"-\" and \"_\"", name.name)
	}
	what := fmt.Sprintf("role %q", name.name)
	r := roleText{ref: name}
	p.members(n, what, map[string]func(*yaml.Node){
		"description": func(n *yaml.Node) { r.description = p.scalar(n, what+": description") },
		"inherits":    func(n *yaml.Node) { r.inherits = p.refs(n, what+": inherits") },
		"may_grant":   func(n *yaml.Node) { r.mayGrant = p.refs(n, what+": may_grant") },
		"allow":       func(n *yaml.Node) { r.allow = p.rules(n, what+": allow") },
		"deny":        func(n *yaml.Node) { r.deny = p.rules(n, what+": deny") },
	})
	for _, d := range r.deny {
		if slices.ContainsFunc(r.allow, func(a rule) bool { return a.same(d) }) {
			p.mistakes.at(d.position, "%s: %q is both allowed and denied", what, d.name)
		}
	}
	p.text.roles = append(p.text.roles, r)
}

// rules reads a list whose entries are names or {permission: name, when: own}.
func (p *parser) rules(n *yaml.Node, what string) []rule {
	var list []rule
	p.each(n, what, func(n *yaml.Node) {
		r := rule{ref: ref{position: p.position(n)}}
		if n.Kind == yaml.MappingNode {
			p.members(n, what, map[string]func(*yaml.Node){
				"permission": func(n *yaml.Node) { r.ref = p.ref(n, what+": permission") },
				"when": func(n *yaml.Node) {
					if when := p.scalar(n, what+": when"); when == "own" {
						r.own = true
					} else if when != "" {
						p.fail(n, "%s: condition %q is not known; the only one is \"own\"", what, when)
					}
				},
			}, "permission")
		} else {
			r.ref = p.ref(n, what)
		}
		if slices.ContainsFunc(list, func(o rule) bool { return o.same(r) }) {
			p.fail(n, "%s: %q is listed twice", what, r.name)
		}
		list = append(list, r)
	})
	return list
}

func (p *parser) requirement(name ref, n *yaml.Node) {
	what := fmt.Sprintf("requirement of %q", name.name)
	r := requirementText{ref: name}
	p.members(n, what, map[string]func(*yaml.Node){
		"second_factor": func(n *yaml.Node) {
			text := p.scalar(n, what+": second_factor")
			if text != "true" && text != "false" {
				p.fail(n, "%s: second_factor: want true or false, got %q", what, text)
			}
			r.secondFactor = text == "true"
		},
		"fresh": func(n *yaml.Node) {
			text := p.scalar(n, what+": fresh")
			d, err := time.ParseDuration(text)
			if err != nil || d <= 0 {
				p.fail(n, "%s: fresh: want a duration such as 5m, got %q", what, text)
			}
			r.fresh = d
		},
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.fail(n, "%s: empty; want second_factor or fresh", what)
	}
	p.text.requirements = append(p.text.requirements, r)
}

func (p *parser) exclusive(n *yaml.Node) {
	e := exclusiveText{position: p.position(n), roles: p.refs(n, "exclusive")}
	if n.Kind == yaml.SequenceNode && len(e.roles) < 2 {
		p.fail(n, "exclusive: want two roles or more")
	}
	p.text.exclusive = append(p.text.exclusive, e)
}

func (p *parser) test(n *yaml.Node) {
	t := testText{position: p.position(n)}
	p.members(n, "test", map[string]func(*yaml.Node){
		"role":       func(n *yaml.Node) { t.role = p.ref(n, "test: role") },
		"permission": func(n *yaml.Node) { t.permission = p.ref(n, "test: permission") },
		"owner":      func(n *yaml.Node) { t.owner = p.oneOf(n, "test: owner", "self", "other") },
		"want":       func(n *yaml.Node) { t.allowed = p.oneOf(n, "test: want", "allow", "deny") == "allow" },
	}, "role", "permission", "want")
	p.text.tests = append(p.text.tests, t)
}

// members reads a mapping whose keys are known, and reports missing ones of required.
func (p *parser) members(n *yaml.Node, what string, known map[string]func(*yaml.Node), required ...string) {
	keys := make([]string, 0, len(known))
	for k := range known {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	seen := map[string]bool{}
	p.entries(n, what, func(key ref, value *yaml.Node) {
		seen[key.name] = true
		if read, ok := known[key.name]; ok {
			read(value)
			return
		}
		p.mistakes.at(key.position, "%s: unknown key %q%s", what, key.name, suggest(key.name, keys))
	})
	if n.Kind != yaml.MappingNode {
		return
	}
	for _, key := range required {
		if !seen[key] {
			p.fail(n, "%s: %q is missing", what, key)
		}
	}
}

// entries reads a mapping in order and reports keys that stand twice.
func (p *parser) entries(n *yaml.Node, what string, read func(key ref, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s: want a mapping, got %s", what, kind(n))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := p.ref(n.Content[i], what)
		if key.name == "" {
			continue
		}
		if line, ok := first[key.name]; ok {
			p.mistakes.at(key.position, "%s: %q stands twice, first in line %d", what, key.name, line)
			continue
		}
		first[key.name] = key.line
		read(key, n.Content[i+1])
	}
}

func (p *parser) each(n *yaml.Node, what string, read func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		p.fail(n, "%s: want a list, got %s", what, kind(n))
		return
	}
	for _, entry := range n.Content {
		read(entry)
	}
}

func (p *parser) refs(n *yaml.Node, what string) []ref {
	var list []ref
	p.each(n, what, func(n *yaml.Node) {
		r := p.ref(n, what)
		if r.name != "" && slices.ContainsFunc(list, func(o ref) bool { return o.name == r.name }) {
			p.fail(n, "%s: %q is listed twice", what, r.name)
		}
		list = append(list, r)
	})
	return list
}

func (p *parser) ref(n *yaml.Node, what string) ref {
	return ref{p.scalar(n, what), p.position(n)}
}

func (p *parser) scalar(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		p.fail(n, "%s: want a text, got %s", what, kind(n))
		return ""
	}
	return n.Value
}

func (p *parser) oneOf(n *yaml.Node, what string, words ...string) string {
	text := p.scalar(n, what)
	if text != "" && !slices.Contains(words, text) {
		p.fail(n, "%s: want %s, got %s", what, strings.Join(words, " or "), strconv.Quote(text))
	}
	return text
}

// kind names what a node is, for somebody who may not know YAML's own words.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias; write it out"
	}
	if n.Value == "" {
		return "nothing"
	}
	return "the text " + strconv.Quote(n.Value)
}
