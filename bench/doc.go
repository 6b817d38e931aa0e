// SPDX-License-Identifier: Apache-2.0

// Package bench measures the SDK beside what one would have without it, both in one run. It is a module of its
// own outside go.work: see its README for the commands.
package bench
