// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"testing"

	"github.com/portalsec/portalsec/audit"
	"github.com/stretchr/testify/require"
)

// constants reads the kinds from the source: a list in the test would miss the one that was forgotten.
func constants(t *testing.T) map[string]audit.Kind {
	file, err := parser.ParseFile(token.NewFileSet(), "kinds.go", nil, 0)
	require.NoError(t, err)
	kinds := map[string]audit.Kind{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Kind" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			kinds[spec.Names[0].Name] = audit.Kind(value)
		}
		return true
	})
	require.Greater(t, len(kinds), 30)
	return kinds
}

func TestEveryKindIsInTheRegistry(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[a-z]+\.[a-z_]+$`)
	seen := map[audit.Kind]string{}
	for name, kind := range constants(t) {
		require.True(t, kind.Known(), "%s has no duty in kinds.go", name)
		require.Contains(t, []audit.Duty{audit.Must, audit.Should, audit.May}, kind.Duty(), name)
		require.Regexp(t, form, string(kind), name)
		require.Empty(t, seen[kind], "%s and %s have the same value", name, seen[kind])
		seen[kind] = name
	}
}

func TestKindsOfTheApplication(t *testing.T) {
	t.Parallel()
	require.True(t, audit.Kind("app.ticket_closed").Known())
	require.Equal(t, audit.Must, audit.Kind("app.ticket_closed").Duty())
	for _, k := range []audit.Kind{"", "app.", "app", "application.x", "auth.unheard_of", "App.x"} {
		require.False(t, k.Known(), "%q", k)
		require.Equal(t, audit.Must, k.Duty(), "%q: what is not known is not shed", k)
	}
}
