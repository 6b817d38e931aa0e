// SPDX-License-Identifier: Apache-2.0

package rbac

// bits is a set of small numbers. Reading beyond its end finds nothing.
type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }

func (b bits) has(i int) bool { return i>>6 < len(b) && b[i>>6]&(1<<(i&63)) != 0 }

func (b bits) add(i int) { b[i>>6] |= 1 << (i & 63) }

func (b bits) union(c bits) {
	for i, w := range c {
		b[i] |= w
	}
}

// rules is what roles say, before allow and deny are weighed. Each is a set of permissions.
type rules struct {
	allow, allowOwn bits // without condition, and for what one owns
	deny, denyOwn   bits
}

func newRules(n int) rules { return rules{newBits(n), newBits(n), newBits(n), newBits(n)} }

func (r rules) union(s rules) {
	r.allow.union(s.allow)
	r.allowOwn.union(s.allowOwn)
	r.deny.union(s.deny)
	r.denyOwn.union(s.denyOwn)
}

// verdict is what a set says of a permission.
type verdict uint8

const (
	never  verdict = iota
	always         // for every resource in the scope
	mine           // for those that the principal owns
	others         // for those that somebody else owns
)

// set is the effective set of a subject in a scope. Its three sets of permissions are disjoint.
type set struct{ always, mine, others bits }

// compile weighs the rules: a deny beats every allow. Who owns a resource without an owner is not known, and
// what is not known makes an allow false and a deny true: neither mine nor others contains it.
func (r rules) compile() set {
	n := len(r.allow)
	s := set{make(bits, n), make(bits, n), make(bits, n)}
	for i := range n {
		s.always[i] = r.allow[i] &^ r.deny[i] &^ r.denyOwn[i]
		s.others[i] = r.allow[i] &^ r.deny[i] & r.denyOwn[i]
		s.mine[i] = r.allowOwn[i] &^ r.allow[i] &^ r.deny[i] &^ r.denyOwn[i]
	}
	return s
}

func (s *set) verdict(perm int) verdict {
	switch {
	case s.always.has(perm):
		return always
	case s.mine.has(perm):
		return mine
	case s.others.has(perm):
		return others
	}
	return never
}

// allows tells whether a principal may act on a resource of an owner. An empty owner is nobody.
func (v verdict) allows(owner, principal string) bool {
	switch v {
	case always:
		return true
	case mine:
		return owner != "" && owner == principal
	case others:
		return owner != "" && owner != principal
	}
	return false
}
