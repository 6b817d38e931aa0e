// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portalsec/portalsec"
)

// visit is what the engine remembers during one request.
type visit struct {
	engine  *Engine
	subject atomic.Pointer[subject]
	object  *Perm // the permission that the handler must check or filter by, or nil
	proof   atomic.Int32
}

// What a handler that must check has done so far.
const (
	unchecked int32 = iota
	refused         // it checked, and was refused each time
	proven          // it checked and was allowed, or filtered
)

type visitKey struct{}

// visit gives the visit of a context, or nil when there is none of this engine.
func (e *Engine) visit(ctx context.Context) *visit {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok && v.engine == e {
		return v
	}
	return nil
}

// checked notes that the handler checked a permission.
func (v *visit) checked(perm *Perm, allowed bool) {
	switch {
	case v == nil || v.object != perm:
	case allowed:
		v.proof.Store(proven)
	default:
		v.proof.CompareAndSwap(unchecked, refused)
	}
}

// Require guards a handler of an application that keeps its own mux: the principal must have the permission on
// everything in their tenant, as [Engine.Check] says with a nil resource.
func (e *Engine) Require(perm *Perm) portalsec.Middleware {
	return func(next http.Handler) http.Handler { return e.guard(Need(perm), next) }
}

// guard lets through to next whom access admits. It panics when access says nothing or names a permission that
// is not in the catalog, both of which are mistakes in the line that calls it.
func (e *Engine) guard(access Access, next http.Handler) http.Handler {
	access.mustBeValid(e.catalog)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outer := e.visit(r.Context())
		v := outer
		if outer == nil || access.object {
			v = &visit{engine: e}
			if outer != nil {
				v.subject.Store(outer.subject.Load())
			}
			r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
		}
		if err := e.admit(r.Context(), v, access); err != nil {
			if outer != nil {
				// To a handler that must check, this refusal is as good as one of its own check.
				outer.proof.CompareAndSwap(unchecked, refused)
			}
			e.Deny(w, r, err)
			return
		}
		if !access.object {
			next.ServeHTTP(w, r)
			return
		}
		v.object = access.perm
		hold := &holdback{ResponseWriter: w, r: r, visit: v, header: w.Header().Clone()}
		finished := false
		defer func() {
			if !finished {
				hold.abandon()
			}
		}()
		next.ServeHTTP(hold, r)
		finished = true
		hold.finish()
	})
}

func (e *Engine) admit(ctx context.Context, v *visit, access Access) error {
	switch {
	case access.kind == public:
		return nil
	case access.kind == signedIn:
		if _, ok := portalsec.PrincipalFrom(ctx); !ok {
			return ErrNoPrincipal
		}
		return nil
	case !access.object:
		return e.Check(ctx, access.perm, nil)
	}
	err := e.holds(ctx, v, access.perm)
	if err != nil {
		e.record(ctx, access.perm, nil, err)
	}
	return err
}

// Deny answers a request that an error of the engine ended, through [Config].Deny. Handlers call it with what
// [Engine.Check], [Engine.Filter], [Engine.Assign] or [Engine.Unassign] gave them, and with [ErrNotFound] where
// there is no such record. The answers are 400, 401, 403, 404, 409, 500 for a mistake of the program and 503 for any
// other error, which is taken for one of the store.
func (e *Engine) Deny(w http.ResponseWriter, r *http.Request, err error) {
	e.deny(w, r, e.denial(r, err))
}

func (e *Engine) denial(r *http.Request, err error) portalsec.Denial {
	var challenge *Challenge
	switch {
	case errors.Is(err, ErrNoPrincipal):
		return portalsec.Denial{Status: http.StatusUnauthorized, Code: "sign-in-required",
			Title: "Please sign in", Next: returning(e.signIn, r)}
	case errors.As(err, &challenge):
		d := portalsec.Denial{Status: http.StatusForbidden, Code: challenge.Code(), Next: returning(e.stepUp, r)}
		if d.Title = "Please confirm who you are"; challenge.SecondFactor {
			d.Title = "A second factor is needed"
		}
		return d
	case errors.Is(err, ErrNotFound):
		return portalsec.Denial{Status: http.StatusNotFound, Code: "not-found"}
	case errors.Is(err, ErrDenied):
		return portalsec.Denial{Status: http.StatusForbidden, Code: "not-allowed", Title: "You are not allowed to do this"}
	case errors.Is(err, ErrNotGrantable):
		return portalsec.Denial{Status: http.StatusForbidden, Code: "not-grantable", Title: "You are not allowed to give or take this role"}
	case errors.Is(err, ErrExclusive):
		return portalsec.Denial{Status: http.StatusConflict, Code: "exclusive-role", Title: "This role cannot be held beside another one"}
	case errors.Is(err, ErrAssigned):
		return portalsec.Denial{Status: http.StatusConflict, Code: "already-assigned", Title: "This role is held already"}
	case errors.Is(err, ErrNotAssigned), errors.Is(err, ErrUnknownRole):
		return portalsec.Denial{Status: http.StatusNotFound, Code: "not-found"}
	case errors.Is(err, ErrInvalid):
		return portalsec.Denial{Status: http.StatusBadRequest, Code: "invalid-assignment", Title: "This role cannot be given like that"}
	case programError(err):
		return portalsec.Denial{Status: http.StatusInternalServerError, Code: "internal-error"}
	}
	return portalsec.Denial{Status: http.StatusServiceUnavailable, Code: "unavailable", RetryAfter: 5 * time.Second}
}

// returning gives page with the present path as "next", so that the visitor comes back. What is not safe to
// repeat is left out.
func returning(page string, r *http.Request) string {
	here := r.URL.RequestURI()
	if page == "" || r.Method != http.MethodGet && r.Method != http.MethodHead || !portalsec.SameSite(here) {
		return page
	}
	separator := "?"
	if strings.Contains(page, "?") {
		separator = "&"
	}
	return page + separator + "next=" + url.QueryEscape(here)
}
