// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/portalsec/portalsec"

// imports gives, for each package that root links, what it imports.
func imports(t *testing.T, root string) map[string][]string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", root)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	all := map[string][]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all[p.ImportPath] = p.Imports
	}
}

// reach gives what is linked by way of from, not looking behind the package stop.
func reach(all map[string][]string, from, stop string) []string {
	seen, todo := map[string]bool{}, []string{from}
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[p] || p == stop {
			continue
		}
		seen[p] = true
		todo = append(todo, all[p]...)
	}
	var list []string
	for p := range seen {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}

// forbidden tells whether a package reaches the network or starts programs.
func forbidden(p string) bool {
	return p == "net" || strings.HasPrefix(p, "net/") || strings.HasSuffix(p, "/net/http") || p == "os/exec" || p == "plugin" || p == "C"
}

// No network: neither the package nor anything that it imports links package net or os/exec, but for the root
// package, of which it uses the type Profile, and whose Middleware names net/http's Handler.
func TestNoNetwork(t *testing.T) {
	t.Parallel()
	for _, root := range []string{module + "/auth/password", module + "/auth/password/breachedfilter"} {
		all := imports(t, root)
		linked := reach(all, root, module)
		require.Contains(t, linked, module+"/auth/internal/breached")
		for _, p := range linked {
			require.False(t, forbidden(p), "%s links %s", root, p)
		}
	}
	// The rule sees what it is to see.
	all := imports(t, module+"/auth/password")
	require.Contains(t, reach(all, module, ""), "net/http")
	require.Contains(t, all[module+"/auth/password"], module)
	require.True(t, forbidden("net") && forbidden("net/http") && forbidden("os/exec") && !forbidden("internal/nettrace"))
}
