// SPDX-License-Identifier: Apache-2.0

// Package rbac decides who may do what on which records, by roles that a policy file describes.
//
// Start with [Permission] and [NewCatalog], which declare in Go what can be allowed; [Open], which reads the
// policy and gives an [Engine]; and [NewMux], whose Handle cannot be called without saying who has access.
// Handlers then ask [Engine.Check] about single records, [Engine.Filter] about lists and [Engine.Can] about
// what to show. An application with a router of its own guards its handlers with [Engine.Require].
//
// The rule of precedence: something is allowed if some role that is held there allows it and none denies it. A
// role is held in a scope, which is a tenant or a path below it such as "acme/berlin", and there only. A
// resource outside the principal's tenant is refused before any role is looked at, and looks as if it did not
// exist.
//
// # Policy
//
// A policy is YAML with four members:
//
//	roles:
//	  customer:
//	    description: sees their own tickets
//	    allow: [{permission: ticket.read, when: own}]
//	  agent:
//	    allow: [ticket.*]
//	    deny: [{permission: ticket.close, when: own}]
//	  lead:
//	    inherits: [agent]
//	    may_grant: [agent, customer]
//	requirements:
//	  ticket.delete: {second_factor: true, fresh: 5m}
//	exclusive:
//	  - [agent, customer]
//	tests:
//	  - {role: customer, permission: ticket.read, owner: other, want: deny}
//
// A wildcard is a name with "*" at one end, and is expanded when the policy is loaded. In an allow it never
// stands for a permission that is [Sensitive]; in a deny it does, because a deny only takes away. The only
// condition is "own": the resource's owner is the principal. Requirements hold for everyone, whatever their
// roles. Members of an exclusive list are never assigned to one subject in one tenant for times that overlap; those
// that were assigned before the policy made them exclusive stay. A policy with any mistake, or whose tests fail, is
// not taken.
//
// # Freshness
//
// Assignments are read from the store. Each request asks the store for its version and uses a set from memory
// only when nothing changed since it was read, so a change is seen by the next request of every process.
// Within one request of [Mux] or [Engine.Require] all decisions are made on the assignments of its first one.
//
// # Not protected
//
// The package does not see what a handler does: one that checks one record and sends another is not stopped.
// It keeps no audit log by itself, see [Config].Audit, and it does not sign anybody in.
package rbac
