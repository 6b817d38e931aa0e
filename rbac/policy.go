// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// RoleInfo describes a role of the policy.
type RoleInfo struct {
	// Name is the role's name in the policy and in assignments.
	Name string
	// Description is the policy's text for people. It may be empty.
	Description string
}

// role is a role with everything that it inherits.
type role struct {
	RoleInfo
	rules
	closure   bits     // the numbers of the role and of all that it inherits
	grants    bits     // the numbers of the roles that it may grant
	conflicts []string // the names of the roles that nobody holds beside it
}

// Policy is a policy that was read and found right. It does not change and may be used by several goroutines.
type Policy struct {
	catalog      *Catalog // nil when names were not looked up
	roles        []role   // sorted by name; the index is the role's number
	number       map[string]int
	requirements []requirement // by number of the permission
	hash         string
	files        []string
}

// ParsePolicy reads, checks and tests a policy. Files are names in fsys; without any it reads all files there
// whose name ends in ".yaml" or ".yml". Together they are one policy. With a nil catalog, names of permissions are not
// looked up and the policy's tests are not run: that is for tools that do not know the application.
//
// The error joins one [*PolicyError] for each mistake, in the order of the files.
func ParsePolicy(c *Catalog, fsys fs.FS, files ...string) (*Policy, error) {
	if len(files) == 0 {
		// Both endings: a deny in a file that was passed over for its name would not be in force.
		for _, pattern := range []string{"*.yaml", "*.yml"} {
			matches, err := fs.Glob(fsys, pattern)
			if err != nil {
				return nil, fmt.Errorf("rbac: policy: %w", err)
			}
			files = append(files, matches...)
		}
		if len(files) == 0 {
			return nil, errors.New("rbac: policy: there is no file *.yaml or *.yml")
		}
	}
	var found mistakes
	var text policyText
	hash := sha256.New()
	for _, name := range files {
		content, err := readPolicyFile(fsys, name)
		if err != nil {
			return nil, err
		}
		// A digest of each part keeps the same text, split otherwise, from having the same hash.
		part := sha256.Sum256(content)
		hash.Write(part[:])
		p := parser{file: name, mistakes: &found, text: &text}
		p.parse(content)
	}
	if len(text.roles) == 0 && len(found) == 0 {
		found.at(position{files[0], 1, 1}, "the policy has no roles")
	}
	b := builder{mistakes: &found, text: &text, policy: &Policy{
		catalog: c, number: map[string]int{}, hash: hex.EncodeToString(hash.Sum(nil)), files: slices.Clone(files),
	}}
	b.build()
	if err := found.err(); err != nil {
		return nil, err
	}
	return b.policy, nil
}

// Roles describes the roles of the policy, sorted by name.
func (p *Policy) Roles() []RoleInfo {
	list := make([]RoleInfo, len(p.roles))
	for i, r := range p.roles {
		list[i] = r.RoleInfo
	}
	return list
}

func (p *Policy) roleNames() []string {
	names := make([]string, len(p.roles))
	for i, r := range p.roles {
		names[i] = r.Name
	}
	return names
}

// permissions gives how many permissions there are.
func (p *Policy) permissions() int {
	if p.catalog == nil {
		return 0
	}
	return len(p.catalog.perms)
}

// builder turns what is written into a policy.
type builder struct {
	mistakes *mistakes
	text     *policyText
	policy   *Policy
	written  []roleText // in the order of policy.roles
	state    []int      // of each role: 0 new, 1 being closed, 2 closed
}

func (b *builder) build() {
	b.number()
	for i := range b.written {
		b.close(i, nil)
	}
	b.exclude()
	b.require()
	b.test()
}

func (b *builder) number() {
	b.written = slices.Clone(b.text.roles)
	slices.SortStableFunc(b.written, func(x, y roleText) int { return strings.Compare(x.name, y.name) })
	b.written = slices.CompactFunc(b.written, func(second, first roleText) bool {
		if second.name != first.name {
			return false
		}
		b.mistakes.at(second.position, "role %q stands twice, first in %s:%d", first.name, first.file, first.line)
		return true
	})
	for i, w := range b.written {
		b.policy.number[w.name] = i
		b.policy.roles = append(b.policy.roles, role{RoleInfo: RoleInfo{w.name, w.description}})
	}
	b.state = make([]int, len(b.written))
}

// close fills a role from its own rules and from the roles that it inherits. Path leads to the role.
func (b *builder) close(i int, path []ref) {
	if b.state[i] != 0 {
		return
	}
	b.state[i] = 1
	w, r := &b.written[i], &b.policy.roles[i]
	what := fmt.Sprintf("role %q", w.name)
	r.closure, r.grants, r.rules = newBits(len(b.written)), newBits(len(b.written)), newRules(b.policy.permissions())
	r.closure.add(i)
	for _, parent := range w.inherits {
		n, ok := b.role(parent, what+": inherits")
		if !ok {
			continue
		}
		step := ref{w.name, parent.position}
		if b.state[n] == 1 {
			b.cycle(parent, append(path, step))
			continue
		}
		b.close(n, append(path, step))
		from := &b.policy.roles[n]
		r.closure.union(from.closure)
		r.grants.union(from.grants)
		r.rules.union(from.rules)
	}
	for _, granted := range w.mayGrant {
		if n, ok := b.role(granted, what+": may_grant"); ok {
			r.grants.add(n)
		}
	}
	for _, a := range w.allow {
		to := r.allow
		if a.own {
			to = r.allowOwn
		}
		b.expand(a.ref, what, false, to)
	}
	for _, d := range w.deny {
		to := r.deny
		if d.own {
			to = r.denyOwn
		}
		b.expand(d.ref, what, true, to)
	}
	b.state[i] = 2
}

// cycle reports the way from a role back to itself.
func (b *builder) cycle(last ref, path []ref) {
	start := slices.IndexFunc(path, func(s ref) bool { return s.name == last.name })
	var way strings.Builder
	for _, s := range path[start:] {
		fmt.Fprintf(&way, "%s (line %d) -> ", s.name, s.line)
	}
	b.mistakes.at(last.position, "role %q inherits itself: %s%s", last.name, way.String(), last.name)
}

// role looks a role up.
func (b *builder) role(r ref, what string) (int, bool) {
	n, ok := b.policy.number[r.name]
	if !ok && r.name != "" {
		b.mistakes.at(r.position, "%s: there is no role %q%s", what, r.name, suggest(r.name, b.policy.roleNames()))
	}
	return n, ok
}

// permission looks a permission up.
func (b *builder) permission(r ref, what string) (int, bool) {
	c := b.policy.catalog
	if r.name == "" {
		return 0, false
	}
	if !permissionName.MatchString(r.name) {
		b.mistakes.at(r.position, "%s: %q is not a permission; want a name such as \"ticket.read\"", what, r.name)
		return 0, false
	}
	if c == nil {
		return 0, false
	}
	n, ok := c.named[r.name]
	if !ok {
		b.mistakes.at(r.position, "%s: permission %q is not in the catalog%s", what, r.name, suggest(r.name, c.names()))
	}
	return n, ok
}

// expand adds the permissions that a name or wildcard stands for.
func (b *builder) expand(r ref, what string, withSensitive bool, to bits) {
	if !strings.Contains(r.name, "*") {
		if n, ok := b.permission(r, what); ok {
			to.add(n)
		}
		return
	}
	prefix, area := strings.CutSuffix(r.name, ".*")
	suffix, act := strings.CutPrefix(r.name, "*.")
	if area == act || strings.Contains(prefix, "*") && area || strings.Contains(suffix, "*") && act {
		b.mistakes.at(r.position, "%s: wildcard %q: want one such as \"ticket.*\" or \"*.read\"", what, r.name)
		return
	}
	if b.policy.catalog == nil {
		return
	}
	matched, held := 0, ""
	var near []string
	for n, p := range b.policy.catalog.perms {
		near = append(near, p.name[:strings.LastIndex(p.name, ".")]+".*", "*"+p.name[strings.LastIndex(p.name, "."):])
		switch {
		case area && !strings.HasPrefix(p.name, prefix+"."), act && !strings.HasSuffix(p.name, "."+suffix):
		case p.sensitive && !withSensitive:
			held = p.name
		default:
			to.add(n)
			matched++
		}
	}
	switch {
	case matched > 0:
	case held != "":
		b.mistakes.at(r.position, "%s: wildcard %q matches only sensitive permissions, which must be named, such as %q", what, r.name, held)
	default:
		b.mistakes.at(r.position, "%s: wildcard %q matches nothing%s", what, r.name, suggest(r.name, near))
	}
}

// exclude finds which roles exclude each other, and roles that bring together what must be apart.
func (b *builder) exclude() {
	roles := b.policy.roles
	apart := make([]bits, len(roles))
	for i := range apart {
		apart[i] = newBits(len(roles))
	}
	for _, e := range b.text.exclusive {
		var numbers []int
		for _, r := range e.roles {
			if n, ok := b.role(r, "exclusive"); ok && !slices.Contains(numbers, n) {
				numbers = append(numbers, n)
			}
		}
		for i := range roles {
			var inside []int
			for _, n := range numbers {
				if roles[i].closure.has(n) {
					inside = append(inside, n)
				}
			}
			if len(inside) > 1 {
				b.mistakes.at(b.written[i].position, "role %q brings together %q and %q, which line %d makes exclusive",
					roles[i].Name, roles[inside[0]].Name, roles[inside[1]].Name, e.line)
			}
			if len(inside) != 1 {
				continue
			}
			for j := range roles {
				for _, n := range numbers {
					if n != inside[0] && roles[j].closure.has(n) {
						apart[i].add(j)
					}
				}
			}
		}
	}
	for i := range roles {
		for j := range roles {
			if apart[i].has(j) {
				roles[i].conflicts = append(roles[i].conflicts, roles[j].Name)
			}
		}
	}
}

func (b *builder) require() {
	b.policy.requirements = make([]requirement, b.policy.permissions())
	first := map[string]position{}
	for _, r := range b.text.requirements {
		if f, ok := first[r.name]; ok {
			b.mistakes.at(r.position, "requirement of %q stands twice, first in %s:%d", r.name, f.file, f.line)
			continue
		}
		first[r.name] = r.position
		if n, ok := b.permission(r.ref, "requirements"); ok {
			b.policy.requirements[n] = r.requirement
		}
	}
}

// test runs the policy's own tests. Requirements are not part of them: they ask whether a role allows.
func (b *builder) test() {
	sound := len(*b.mistakes) == 0 // a test of a broken policy would fail for the wrong reason
	for _, t := range b.text.tests {
		r, ok := b.role(t.role, "test")
		n, known := b.permission(t.permission, "test")
		if !ok || !known || !sound {
			continue
		}
		s := b.policy.roles[r].compile()
		if got := s.verdict(n).allows(t.owner, "self"); got != t.allowed {
			words := map[bool]string{true: "allow", false: "deny"}
			owner := ""
			if t.owner != "" {
				owner = ", owner " + t.owner
			}
			b.mistakes.at(t.position, "test failed: role %s, permission %s%s: want %s, got %s",
				t.role.name, t.permission.name, owner, words[t.allowed], words[got])
		}
	}
}
