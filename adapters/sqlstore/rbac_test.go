// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/fstest"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/rbac"
	"github.com/portalsec/portalsec/rbac/rbactest"
	"github.com/stretchr/testify/require"
)

func TestAssignments(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		rbactest.Run(t, func(t *testing.T) rbac.AssignmentStore {
			s, _ := b.open(t)
			return s.Assignments()
		})
	})
}

// record is a row of a table with all kinds of scopes and owners, NULL too.
type record struct {
	id                   int
	tenant, scope, owner sql.NullString
}

// byTenant and byScope are a record as its permission's Columns describe it.
type (
	byTenant record
	byScope  record
)

func (r byTenant) Scope() string { return r.tenant.String }
func (r byTenant) Owner() string { return r.owner.String }
func (r byScope) Scope() string  { return r.scope.String }
func (r byScope) Owner() string  { return r.owner.String }

// The condition of a list selects exactly the rows that a check of each would allow, in SQLite, whatever is NULL,
// and its negation selects exactly the others.
func TestFilterAgreesWithCheck(t *testing.T) {
	t.Parallel()
	tenantRead := rbac.Permission("plain.read", "x", rbac.Columns{Tenant: "tenant", Owner: "owner"})
	scopeRead := rbac.Permission("deep.read", "x", rbac.Columns{Scope: "r.scope", Owner: "r.owner"})
	ownerless := rbac.Permission("bare.read", "x", rbac.Columns{Scope: "scope"})
	catalog, err := rbac.NewCatalog(tenantRead, scopeRead, ownerless)
	require.NoError(t, err)
	policy := fstest.MapFS{"policy.yaml": {Data: []byte(`
roles:
  all: {allow: ["*.read"]}
  own: {allow: [{permission: "*.read", when: own}]}
  not-own: {deny: [{permission: "*.read", when: own}]}
  none: {deny: ["*.read"]}
  nothing: {}
`)}}
	stores, db := open(t)
	engine, err := rbac.Open(t.Context(), catalog, rbac.Config{Policy: policy, Assignments: stores.Assignments(), Audit: audit.Discard})
	require.NoError(t, err)

	_, err = db.Exec(`CREATE TABLE record (id INTEGER PRIMARY KEY, tenant TEXT, scope TEXT, owner TEXT)`)
	require.NoError(t, err)
	text := func(s string) sql.NullString {
		if s == "NULL" {
			return sql.NullString{}
		}
		return sql.NullString{String: s, Valid: true}
	}
	var records []record
	for _, scope := range []string{"NULL", "", "t", "t/", "t/ä", "t/äb", "t/ä/c", "t/ä/c/d", "t/b", "t0", "T", "T/ä", "t%", "t_", "u", "u/t"} {
		for _, owner := range []string{"NULL", "", "me", "ME", "you", "me "} {
			r := record{len(records), text(scope), text(scope), text(owner)}
			records = append(records, r)
			_, err := db.Exec(`INSERT INTO record (id, tenant, scope, owner) VALUES (?, ?, ?, ?)`, r.id, r.tenant, r.scope, r.owner)
			require.NoError(t, err)
		}
	}
	selected := func(where string, args []any) map[int]bool {
		rows, err := db.Query(`SELECT id FROM record AS r WHERE `+where, args...)
		require.NoError(t, err, where)
		defer rows.Close()
		ids := map[int]bool{}
		for rows.Next() {
			var id int
			require.NoError(t, rows.Scan(&id))
			ids[id] = true
		}
		require.NoError(t, rows.Err())
		return ids
	}

	rolesThere := []string{"all", "own", "not-own", "none", "nothing"}
	scopes := []string{"t", "t/ä", "t/ä/c", "t/b"}
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for round := range 150 {
		me := fmt.Sprintf("me%d", round)
		_, err := db.Exec(`UPDATE record SET owner = ? WHERE owner LIKE 'me%' AND owner <> 'ME' AND owner <> 'me '`, me)
		require.NoError(t, err)
		for i := range records {
			if o := &records[i].owner; len(o.String) > 1 && o.String[:2] == "me" && o.String != "me " {
				o.String = me
			}
		}
		held := ""
		for range random.IntN(6) {
			a := rbac.Assignment{Tenant: "t", Subject: me, Role: rolesThere[random.IntN(len(rolesThere))], Scope: scopes[random.IntN(len(scopes))]}
			if err := engine.AssignWithoutGrantor(t.Context(), a); err == nil {
				held += a.Role + " in " + a.Scope + ", "
			}
		}
		ctx := portalsec.WithPrincipal(t.Context(), portalsec.Principal{ID: me, Tenant: "t"})
		for perm, resource := range map[*rbac.Perm]func(record) rbac.Resource{
			tenantRead: func(r record) rbac.Resource { return byTenant(r) },
			scopeRead:  func(r record) rbac.Resource { return byScope(r) },
			ownerless:  func(r record) rbac.Resource { r.owner = sql.NullString{}; return byScope(r) },
		} {
			f, err := engine.Filter(ctx, perm)
			require.NoError(t, err)
			got, rest := selected(f.SQL, f.Args), selected("NOT ("+f.SQL+")", f.Args)
			require.Equal(t, len(records), len(got)+len(rest), "never UNKNOWN: %s", f.SQL)
			if f.None {
				require.Empty(t, got)
			}
			for _, r := range records {
				// A table without scopes has no rows below the tenant.
				if perm == tenantRead && r.tenant.String != "t" {
					require.False(t, got[r.id], "%s %+v", f.SQL, r)
					continue
				}
				allowed := engine.Check(ctx, perm, resource(r)) == nil
				require.Equal(t, allowed, got[r.id], "%s: %s%s %v on %+v", perm.Name(), held, f.SQL, f.Args, r)
				if f.All && r.scope.String == "t" {
					require.True(t, got[r.id])
				}
			}
			found += len(got)
		}
	}
	require.Greater(t, found, 1000)
}
