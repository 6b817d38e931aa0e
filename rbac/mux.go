// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"fmt"
	"net/http"

	"github.com/portalsec/portalsec"
)

// Access says who may reach a route: [Need], [SignedIn] or [Public]. The zero Access is nobody's and refused by
// [Mux.Handle].
type Access struct {
	kind   accessKind
	perm   *Perm
	object bool
	why    string
}

type accessKind uint8

const (
	nobody accessKind = iota
	public
	signedIn
	need
)

// Need admits who has the permission on everything in their tenant.
func Need(perm *Perm) Access { return Access{kind: need, perm: perm} }

// Object admits who has the permission on anything at all, and leaves it to the handler to call [Engine.Check]
// with the record, or [Engine.Filter] for a list, with the same permission and before it writes. Of a handler
// that does neither, nothing is sent: its errors (400 and above) go out with the standard answer of their
// status, everything else becomes 500 and an event. Of one whose every check was refused, redirects and errors
// are sent and nothing else.
func (a Access) Object() Access {
	a.object = true
	return a
}

// Public admits everybody. Why is for those who read the routes, such as "sign-in page", and must not be empty.
func Public(why string) Access { return Access{kind: public, why: why} }

// SignedIn admits every principal, whatever their roles. Why must not be empty.
func SignedIn(why string) Access { return Access{kind: signedIn, why: why} }

func (a Access) mustBeValid(c *Catalog) {
	switch {
	case a.kind == nobody:
		panic("rbac: a route needs Need, SignedIn or Public")
	case a.kind == need:
		if a.perm == nil {
			panic("rbac: Need of no permission")
		}
		if _, ok := c.number[a.perm]; !ok {
			panic(fmt.Sprintf("rbac: permission %q is not in the catalog", a.perm.name))
		}
	case a.why == "":
		panic("rbac: Public and SignedIn need a reason")
	case a.object:
		panic("rbac: Object belongs to Need")
	}
}

// Mux is an [http.ServeMux] in which no route can be registered without saying who has access. What matches no
// route is refused. As with ServeMux, routes are registered before the first request.
type Mux struct {
	engine *Engine
	mux    *http.ServeMux
}

// NewMux makes a mux without routes.
func NewMux(e *Engine) *Mux { return &Mux{e, http.NewServeMux()} }

// Handle registers a handler for a pattern of [http.ServeMux]. Like that it panics on what cannot be meant: a
// bad or repeated pattern, no access, or a permission that is not in the catalog.
func (m *Mux) Handle(pattern string, access Access, h http.Handler) {
	m.mux.Handle(pattern, m.engine.guard(access, h))
}

// HandleFunc registers a function, see [Mux.Handle].
func (m *Mux) HandleFunc(pattern string, access Access, h func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, access, http.HandlerFunc(h))
}

// ServeHTTP hands the request to the handler whose pattern matches best.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, pattern := m.mux.Handler(r)
	if pattern != "" {
		// The mux matches once more, because only so it sets the request's pattern and path values.
		m.mux.ServeHTTP(w, r)
		return
	}
	// The standard mux's own answer: 405 with the methods that are allowed, or else 404, also where it would lead
	// from an unclean path to one that does not exist.
	answer := answerProbe{header: http.Header{}}
	h.ServeHTTP(&answer, r)
	d := portalsec.Denial{Status: http.StatusNotFound}
	if answer.status == http.StatusMethodNotAllowed {
		d.Status = answer.status
		w.Header().Set("Allow", answer.header.Get("Allow"))
	}
	m.engine.deny(w, r, d)
}

// answerProbe takes a response without sending it.
type answerProbe struct {
	header http.Header
	status int
}

func (p *answerProbe) Header() http.Header         { return p.header }
func (p *answerProbe) WriteHeader(status int)      { p.status = status }
func (p *answerProbe) Write(b []byte) (int, error) { return len(b), nil }
