// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// Config is what an [Engine] works with.
type Config struct {
	// Policy is the folder of the policy's files. It is required.
	Policy fs.FS
	// Files are the names of the policy's files. Empty means every file of the folder that ends in ".yaml" or ".yml".
	Files []string
	// Assignments keeps who holds which role. Either it or RolesOfPrincipal must be given.
	Assignments AssignmentStore
	// RolesOfPrincipal takes the roles from [portalsec.Principal].Roles instead, as held in the whole tenant. It
	// is for applications that keep roles themselves: they read them anew for each request and see to it that
	// nobody holds exclusive ones. The engine then assigns none.
	RolesOfPrincipal bool
	// Audit records what is assigned and refused. Nil means [audit.Slog] with the default logger.
	Audit audit.Recorder
	// Clock tells when assignments begin and end, and how old a proof of identity is. Nil means the system's.
	Clock portalsec.Clock
	// Deny writes the answer to a refused request. Nil means [portalsec.Deny].
	Deny portalsec.DenyFunc
	// SignIn is the path of the sign-in page, such as "/login". Who is not signed in is led there. It may be
	// empty.
	SignIn string
	// StepUp is the path of the page where a [Challenge] is met. It may be empty.
	StepUp string
}

// Engine decides. It may be used by several goroutines.
type Engine struct {
	catalog *Catalog
	policy  *Policy
	store   AssignmentStore // nil when the principal brings the roles
	audit   audit.Recorder
	clock   portalsec.Clock
	deny    portalsec.DenyFunc
	signIn  string
	stepUp  string
	cache   cache
}

// Open reads the policy and makes an engine. A policy with mistakes, or whose tests fail, is an error that joins
// one [*PolicyError] for each. The policy is recorded before the engine is given out.
func Open(ctx context.Context, c *Catalog, cfg Config) (*Engine, error) {
	switch {
	case c == nil:
		return nil, errors.New("rbac: the catalog is required")
	case cfg.Policy == nil:
		return nil, errors.New("rbac: Config.Policy is required")
	case cfg.Assignments == nil && !cfg.RolesOfPrincipal:
		return nil, errors.New("rbac: Config.Assignments or Config.RolesOfPrincipal is required")
	case cfg.Assignments != nil && cfg.RolesOfPrincipal:
		return nil, errors.New("rbac: Config.Assignments and Config.RolesOfPrincipal exclude each other")
	case cfg.SignIn != "" && !portalsec.SameSite(cfg.SignIn):
		return nil, errors.New("rbac: Config.SignIn must be a path of this site")
	case cfg.StepUp != "" && !portalsec.SameSite(cfg.StepUp):
		return nil, errors.New("rbac: Config.StepUp must be a path of this site")
	}
	if cfg.Audit == nil {
		cfg.Audit = audit.Slog(nil)
	}
	if cfg.Deny == nil {
		cfg.Deny = portalsec.Deny
	}
	policy, err := ParsePolicy(c, cfg.Policy, cfg.Files...)
	if err != nil {
		return nil, err
	}
	if err := cfg.Audit.Record(ctx, audit.Event{
		Kind: audit.RBACPolicyLoaded, Outcome: audit.Success, Rule: policy.hash,
		Details: []audit.Detail{
			{Name: "files", Value: strings.Join(policy.files, " ")},
			{Name: "roles", Value: strconv.Itoa(len(policy.roles))},
		},
	}); err != nil {
		return nil, fmt.Errorf("rbac: record the policy: %w", err)
	}
	return &Engine{
		catalog: c, policy: policy, store: cfg.Assignments, audit: cfg.Audit, clock: cfg.Clock,
		deny: cfg.Deny, signIn: cfg.SignIn, stepUp: cfg.StepUp,
		cache: cache{subjects: map[subjectKey]*subject{}},
	}, nil
}

// RoleNames describes the roles of the policy, sorted by name.
func (e *Engine) RoleNames() []RoleInfo { return e.policy.Roles() }

// Resource is a record that a decision is about.
type Resource interface {
	// Scope is where the resource belongs: its tenant, or a path below it such as "acme/berlin".
	Scope() string
	// Owner is the ID of the principal whose resource it is. Empty means nobody.
	Owner() string
}

// Check tells whether the principal of the context may use a permission on a resource. Nil says yes. A nil
// resource asks for the permission on everything in the principal's tenant.
//
// The errors are [ErrNoPrincipal]; [ErrNotFound] for a resource outside the principal's tenant; [ErrDenied];
// [*Challenge] where the principal holds the permission but must first meet a requirement; [ErrScope] for a
// resource without a scope; and that of the store when it fails. Whatever the error, nothing is allowed;
// [Engine.Deny] makes the answer of it. Refusals are recorded, and so are uses of sensitive permissions.
func (e *Engine) Check(ctx context.Context, perm *Perm, res Resource) error {
	v := e.visit(ctx)
	err := e.check(ctx, v, perm, res)
	if res != nil {
		v.checked(perm, err == nil)
	}
	if err != nil || perm.sensitive {
		e.record(ctx, perm, res, err)
	}
	return err
}

// Can tells whether to show what needs a permission, such as a button. It says yes also where a requirement is
// not met yet, records nothing, and does not count as the check of a handler that declared [Access.Object].
func (e *Engine) Can(ctx context.Context, perm *Perm, res Resource) bool {
	err := e.check(ctx, e.visit(ctx), perm, res)
	var challenge *Challenge
	return err == nil || errors.As(err, &challenge)
}

func (e *Engine) check(ctx context.Context, v *visit, perm *Perm, res Resource) error {
	p, number, err := e.ask(ctx, perm)
	if err != nil {
		return err
	}
	scope, owner := p.Tenant, ""
	if res != nil {
		scope, owner = res.Scope(), res.Owner()
	}
	if scope == "" {
		return ErrScope
	}
	if !covers(p.Tenant, scope) {
		return ErrNotFound
	}
	s, err := e.subject(ctx, v, &p)
	if err != nil {
		return err
	}
	if !s.at(scope).verdict(number).allows(owner, p.ID) {
		return ErrDenied
	}
	return e.challenge(&p, perm, number)
}

// ask gives who asks, and the number of the permission.
func (e *Engine) ask(ctx context.Context, perm *Perm) (portalsec.Principal, int, error) {
	p, ok := portalsec.PrincipalFrom(ctx)
	if !ok {
		return p, 0, ErrNoPrincipal
	}
	number, ok := e.catalog.number[perm]
	if !ok {
		return p, 0, fmt.Errorf("%w: %q", errNotInCatalog, perm.name)
	}
	if !validTenant(p.Tenant) {
		return p, 0, ErrScope
	}
	return p, number, nil
}

// errNotInCatalog says that the program uses a permission that it did not declare.
var errNotInCatalog = errors.New("rbac: the permission is not in the catalog")

// holds tells whether the principal has the permission for anything at all, and meets its requirements.
func (e *Engine) holds(ctx context.Context, v *visit, perm *Perm) error {
	p, number, err := e.ask(ctx, perm)
	if err != nil {
		return err
	}
	s, err := e.subject(ctx, v, &p)
	if err != nil {
		return err
	}
	for i := range s.scopes {
		if s.scopes[i].set.verdict(number) != never {
			return e.challenge(&p, perm, number)
		}
	}
	return ErrDenied
}

// challenge tells which requirements of a permission are not met.
func (e *Engine) challenge(p *portalsec.Principal, perm *Perm, number int) error {
	r := e.policy.requirements[number]
	noFactor := r.secondFactor && !p.TwoFactors()
	stale := r.fresh > 0 && (p.AuthTime.IsZero() || e.clock.Now().Sub(p.AuthTime) > r.fresh)
	if !noFactor && !stale {
		return nil
	}
	c := &Challenge{Permission: perm.name, SecondFactor: noFactor}
	if stale {
		c.Fresh = r.fresh
	}
	return c
}

// record writes a decision down. Its duty is Should: the recorder raises the alarm when it cannot keep it.
// Requests of nobody are left out, because every visitor who follows a link makes one, and so is a check that
// failed because the client went away. A client cannot keep a refusal out of the log by going away.
func (e *Engine) record(ctx context.Context, perm *Perm, res Resource, err error) {
	if errors.Is(err, ErrNoPrincipal) || errors.Is(err, context.Canceled) {
		return
	}
	event := audit.Event{Kind: audit.RBACDecision, Outcome: audit.Success, Rule: e.policy.hash,
		Details: []audit.Detail{{Name: "permission", Value: perm.name}}}
	if res != nil {
		event.Details = append(event.Details, audit.Detail{Name: "scope", Value: res.Scope()})
		if owner := res.Owner(); owner != "" {
			event.Subjects = []audit.Pseudonym{audit.Pseudonym(owner)}
		}
	}
	if err != nil {
		event.Outcome, event.Severity, event.Reason = audit.Denied, audit.Notice, "no-permission"
	}
	var challenge *Challenge
	switch {
	case err == nil, errors.Is(err, ErrDenied):
	case errors.Is(err, ErrNotFound):
		event.Reason, event.Severity = "other-tenant", audit.Warning
	case errors.As(err, &challenge):
		event.Reason, event.Severity = challenge.Code(), audit.Info
	case programError(err):
		event.Reason, event.Severity, event.Outcome = "program-error", audit.Critical, audit.Error
	default:
		event.Reason, event.Severity, event.Outcome = "store-failed", audit.Critical, audit.Error
	}
	_ = e.audit.Record(ctx, event)
}

// programError tells an error that only a change of the program mends.
func programError(err error) bool {
	return errors.Is(err, ErrScope) || errors.Is(err, errNotInCatalog) || errors.Is(err, errNoColumns) ||
		errors.Is(err, errNoStore)
}
