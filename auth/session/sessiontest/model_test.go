// SPDX-License-Identifier: Apache-2.0

package sessiontest_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/stretchr/testify/require"
)

// TestMemoryIsPlain gives the store in memory, which has indexes, and its slow twin, which has none, the same acts in
// random order: they answer alike.
func TestMemoryIsPlain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			d := driver{rnd: rand.New(rand.NewPCG(seed, 1)), ctx: t.Context()}
			memory, twin := session.NewMemory(), newPlain("")
			for step := range 2000 {
				name, act := d.act()
				require.Equal(t, act(twin), act(memory), "seed %d, step %d: %s", seed, step, name)
			}
		})
	}
}

// driver makes acts on few names, so that they meet each other.
type driver struct {
	rnd  *rand.Rand
	ctx  context.Context
	made int
}

func (d *driver) pick(names ...string) string { return names[d.rnd.IntN(len(names))] }
func (d *driver) tenant() string              { return d.pick("", "acme", "zeta") }
func (d *driver) user() string                { return d.pick("ann", "bob", "sue") }
func (d *driver) id() string                  { return fmt.Sprint("s", d.rnd.IntN(d.made+1)) }
func (d *driver) token() session.Hash {
	return sha256.Sum256([]byte(fmt.Sprint("t", d.rnd.IntN(d.made+1))))
}
func (d *driver) data() []byte { return []byte(d.pick("", "x", "y")) }

func (d *driver) time() time.Time {
	return time.Date(2026, 5, 4, 3, d.rnd.IntN(60), d.rnd.IntN(60), 0, time.UTC)
}

func (d *driver) fresh() session.Hash {
	d.made++
	return sha256.Sum256([]byte(fmt.Sprint("t", d.made)))
}

func (d *driver) record() session.Record {
	r := session.Record{
		Token: d.fresh(), Tenant: d.tenant(), User: d.user(), Impersonator: d.pick("", "", "sue", "bob"), Client: []byte("c"),
		Factors: []portalsec.FactorProof{{Kind: portalsec.FactorPassword, At: d.time()}},
		// No two sessions begin at the same time, for which the contract gives no order.
		Created: time.Date(2026, 5, 4, 0, 0, 0, d.made*1000, time.UTC), LastSeen: d.time(), Expires: d.time().Add(time.Hour),
	}
	r.ID = fmt.Sprint("s", d.made)
	return r
}

// act gives an act, which tells everything that the store answered.
func (d *driver) act() (name string, act func(session.Store) []any) {
	tenant, user, id, token := d.tenant(), d.user(), d.id(), d.token()
	switch n := d.rnd.IntN(100); {
	case n < 30:
		r, behind := d.record(), int64(d.rnd.IntN(10)/9)
		return "create", func(s session.Store) []any {
			v, err := s.UserVersion(d.ctx, r.Tenant, r.User)
			return []any{v, err, s.CreateSession(d.ctx, r, v-behind)}
		}
	case n < 50:
		t := session.Touch{Now: d.time(), AliveAfter: d.time().Add(-time.Hour), WriteBefore: d.time()}
		return "touch", func(s session.Store) []any {
			r, err := s.TouchSession(d.ctx, token, t)
			return []any{r, err}
		}
	case n < 60:
		next := d.record()
		return "rotate", func(s session.Store) []any { return []any{s.RotateSession(d.ctx, token, next)} }
	case n < 70:
		old, data := d.data(), d.data()
		return "data", func(s session.Store) []any {
			won, err := s.SetSessionData(d.ctx, token, old, data)
			return []any{won, err}
		}
	case n < 80:
		return "list", func(s session.Store) []any {
			list, err := s.ListSessions(d.ctx, tenant, user)
			return []any{list, err}
		}
	case n < 90:
		return "delete", func(s session.Store) []any {
			ok, err := s.DeleteSession(d.ctx, tenant, user, id)
			return []any{ok, err}
		}
	case n < 96:
		return "bump", func(s session.Store) []any {
			n, err := s.BumpUser(d.ctx, tenant, user, id)
			return []any{n, err}
		}
	case n < 98:
		return "delete tenant", func(s session.Store) []any {
			n, err := s.DeleteTenant(d.ctx, tenant)
			return []any{n, err}
		}
	default:
		expired, idle := d.time().Add(20*time.Minute), d.time().Add(-50*time.Minute)
		return "prune", func(s session.Store) []any {
			n, err := s.PruneSessions(d.ctx, expired, idle)
			return []any{n, err}
		}
	}
}
