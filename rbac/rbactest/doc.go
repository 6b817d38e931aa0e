// SPDX-License-Identifier: Apache-2.0

// Package rbactest proves that a store keeps the rules of [rbac.AssignmentStore].
//
// Call [Run] from a test of the store. It needs the standard library only.
package rbactest
