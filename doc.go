// SPDX-License-Identifier: Apache-2.0

// Package portalsec is the ground floor of an SDK that makes web portals safe.
//
// Start with [Principal]: an application that has its own login fills one for each request and puts it
// into the request's context with [WithPrincipal]; every other package reads it from there with
// [PrincipalFrom]. [Chain] wraps a handler in middleware, the first being the outermost. [Profile] names
// the level of the OWASP ASVS 5.0 that the packages take their defaults from.
//
// This package decides nothing by itself: it checks no password and guards no route. It imports the
// standard library only, and every other package of the module may import it.
package portalsec
