// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"context"
	"io/fs"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/rbac"
	"github.com/stretchr/testify/require"
)

var (
	ticketRead   = rbac.Permission("ticket.read", "read tickets", rbac.Columns{Tenant: "tenant", Owner: "customer_id"})
	ticketOpen   = rbac.Permission("ticket.open", "open tickets")
	ticketReply  = rbac.Permission("ticket.reply", "reply to tickets")
	ticketClose  = rbac.Permission("ticket.close", "close tickets")
	ticketDelete = rbac.Permission("ticket.delete", "delete tickets", rbac.Sensitive)
	noteRead     = rbac.Permission("note.read", "read notes", rbac.Columns{Scope: "n.path", Owner: "n.author"})
	roleAssign   = rbac.Permission("role.assign", "give and take roles", rbac.Sensitive)
)

func catalog(t testing.TB) *rbac.Catalog {
	t.Helper()
	c, err := rbac.NewCatalog(ticketRead, ticketOpen, ticketReply, ticketClose, ticketDelete, noteRead, roleAssign)
	require.NoError(t, err)
	return c
}

const policy = `
roles:
  customer: {description: "has tickets", allow: [{permission: ticket.read, when: own}, {permission: ticket.open, when: own}]}
  agent: {allow: [ticket.*], deny: [{permission: ticket.close, when: own}]}
  supervisor: {inherits: [agent], allow: [ticket.delete], may_grant: [agent]}
  reader: {allow: ["*.read"]}
  manager: {inherits: [supervisor]}
  suspended: {deny: [ticket.*]}
  administrator: {allow: [role.assign], may_grant: [customer, agent, supervisor, reader, auditor, administrator]}
  auditor: {allow: [note.read]}
  chief-auditor: {inherits: [auditor]}
requirements:
  ticket.delete: {second_factor: true, fresh: 5m}
  role.assign: {fresh: 15m}
exclusive: [[administrator, auditor]]
`

func files(text string) fs.FS { return fstest.MapFS{"policy.yaml": {Data: []byte(text)}} }

// events is a recorder that remembers, and that fails while fail is set.
type events struct {
	mu   sync.Mutex
	list []audit.Event
	fail error

	onRecord func() // runs before an event is taken
}

func (e *events) Record(ctx context.Context, event audit.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.onRecord != nil {
		e.onRecord()
	}
	if e.fail != nil {
		return e.fail
	}
	e.list = append(e.list, audit.Prepare(ctx, event))
	return nil
}

// take gives the events since the last call.
func (e *events) take() []audit.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	e.list = nil
	return list
}

var start = time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)

// world is an engine with all that a test looks at or turns.
type world struct {
	*rbac.Engine
	store  *rbac.Memory
	events *events
	now    time.Time
}

func newWorld(t testing.TB, text string, change ...func(*rbac.Config)) *world {
	t.Helper()
	w := &world{store: rbac.NewMemory(), events: &events{}, now: start}
	cfg := rbac.Config{Policy: files(text), Assignments: w.store, Audit: w.events, SignIn: "/login", StepUp: "/confirm",
		Clock: func() time.Time { return w.now }}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	w.Engine, err = rbac.Open(t.Context(), catalog(t), cfg)
	require.NoError(t, err)
	w.events.take()
	return w
}

// give assigns a role in scope, whose first element is the tenant.
func (w *world) give(t testing.TB, subject, role, scope string) {
	t.Helper()
	require.NoError(t, w.AssignWithoutGrantor(t.Context(), rbac.Assignment{
		Tenant: tenantOf(scope), Subject: subject, Role: role, Scope: scope}))
	w.events.take()
}

func tenantOf(scope string) string {
	for i := range scope {
		if scope[i] == '/' {
			return scope[:i]
		}
	}
	return scope
}

// as is a context of a principal who has just proven who they are with a password.
func as(t testing.TB, id, tenant string) context.Context {
	return portalsec.WithPrincipal(t.Context(), portalsec.Principal{ID: id, Tenant: tenant, AuthTime: start,
		Factors: []portalsec.FactorProof{{Kind: portalsec.FactorPassword, At: start}}})
}

// thing is a resource.
type thing struct{ scope, owner string }

func (x thing) Scope() string { return x.scope }
func (x thing) Owner() string { return x.owner }
