// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/portalsec/portalsec/rbac"
	"github.com/stretchr/testify/require"
)

// modelRole is a role as the policy says it, and the slow, obvious twin of the compiled one.
type modelRole struct {
	inherits    []int
	allow, deny []modelRule
}

type modelRule struct {
	name string
	own  bool
}

type modelAssignment struct {
	role  int
	scope string
}

func (r modelRule) matches(perm *rbac.Perm, deny bool) bool {
	area, act, _ := strings.Cut(perm.Name(), ".")
	switch r.name {
	case perm.Name():
		return true
	case area + ".*", "*." + act:
		return deny || perm != ticketDelete && perm != roleAssign
	}
	return false
}

// decide asks every role that is held around the resource, one rule after the other.
func decide(roles []modelRole, held []modelAssignment, perm *rbac.Perm, id string, x thing) bool {
	allowed, denied := false, false
	var ask func(role int)
	ask = func(role int) {
		for _, r := range roles[role].allow {
			if r.matches(perm, false) && (!r.own || x.owner == id) {
				allowed = true
			}
		}
		for _, r := range roles[role].deny {
			if r.matches(perm, true) && (!r.own || x.owner == id || x.owner == "") {
				denied = true
			}
		}
		for _, parent := range roles[role].inherits {
			ask(parent)
		}
	}
	for _, h := range held {
		outer, inner := strings.Split(h.scope, "/"), strings.Split(x.scope, "/")
		if len(outer) <= len(inner) && slices.Equal(outer, inner[:len(outer)]) {
			ask(h.role)
		}
	}
	return allowed && !denied
}

func randomRoles(r *rand.Rand) ([]modelRole, string) {
	names := []string{"ticket.read", "ticket.open", "ticket.close", "ticket.delete", "note.read", "role.assign", "ticket.*", "*.read"}
	rules := func(chance float64) (list []modelRule) {
		for _, n := range names {
			if r.Float64() < chance {
				list = append(list, modelRule{n, r.IntN(2) == 0})
			}
		}
		return list
	}
	roles := make([]modelRole, 6)
	var text strings.Builder
	text.WriteString("roles:\n")
	for i := range roles {
		roles[i].allow, roles[i].deny = rules(0.3), rules(0.08)
		// What is in both with the same condition is a mistake.
		roles[i].deny = slices.DeleteFunc(roles[i].deny, func(d modelRule) bool { return slices.Contains(roles[i].allow, d) })
		fmt.Fprintf(&text, "  r%d:\n    inherits: [", i)
		for parent := range i {
			if r.IntN(3) == 0 {
				roles[i].inherits = append(roles[i].inherits, parent)
				fmt.Fprintf(&text, "r%d, ", parent)
			}
		}
		text.WriteString("]\n")
		for key, list := range map[string][]modelRule{"allow": roles[i].allow, "deny": roles[i].deny} {
			fmt.Fprintf(&text, "    %s: [", key)
			for _, rule := range list {
				if rule.own {
					fmt.Fprintf(&text, "{permission: %q, when: own}, ", rule.name)
				} else {
					fmt.Fprintf(&text, "%q, ", rule.name)
				}
			}
			text.WriteString("]\n")
		}
	}
	return roles, text.String()
}

func TestAgainstModel(t *testing.T) {
	t.Parallel()
	perms := []*rbac.Perm{ticketRead, ticketOpen, ticketReply, ticketClose, ticketDelete, noteRead, roleAssign}
	scopes := []string{"acme", "acme/berlin", "acme/berlin/mitte", "acme/bonn", "acme/berlin2"}
	owners := []string{"", "me", "you"}
	allowed := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		roles, text := randomRoles(r)
		w := newWorld(t, text)
		var held []modelAssignment
		for range r.IntN(5) {
			h := modelAssignment{r.IntN(len(roles)), scopes[r.IntN(len(scopes))]}
			if slices.Contains(held, h) {
				continue
			}
			held = append(held, h)
			w.give(t, "me", fmt.Sprintf("r%d", h.role), h.scope)
		}
		ctx := as(t, "me", "acme")
		for _, perm := range perms {
			for _, scope := range scopes {
				for _, owner := range owners {
					x := thing{scope, owner}
					want := decide(roles, held, perm, "me", x)
					err := w.Check(ctx, perm, x)
					require.Equal(t, want, err == nil, "seed %d: %s on %+v with %+v: %v\n%s", seed, perm.Name(), x, held, err, text)
					if !want {
						require.ErrorIs(t, err, rbac.ErrDenied)
					} else {
						allowed++
					}
				}
			}
			require.Equal(t, decide(roles, held, perm, "me", thing{"acme", ""}), w.Check(ctx, perm, nil) == nil)
		}
	}
	require.Greater(t, allowed, 1000)
}
