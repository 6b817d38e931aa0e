// SPDX-License-Identifier: Apache-2.0

package portalsec_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// This file holds docs/asvs.md to its word: every requirement of the chapters that it covers has one row, and every
// test that a row names is there and, in CI, has run and passed.

// asvsLevels are the requirements of OWASP ASVS 5.0.0 by section: one digit, the lowest level that asks for it, for
// each requirement in its order.
var asvsLevels = []struct{ section, levels string }{
	{"6.1", "122"}, {"6.2", "111111112222"}, {"6.3", "11223333"}, {"6.4", "112233"}, {"6.5", "22222333"},
	{"6.6", "2223"}, {"6.7", "33"}, {"6.8", "2222"},
	{"7.1", "222"}, {"7.2", "1111"}, {"7.3", "22"}, {"7.4", "11222"}, {"7.5", "223"}, {"7.6", "22"},
}

// asvsRow is one row of the page: | id | level | how | tests |.
type asvsRow struct {
	id, level, how string
	tests          []asvsTest
}

// asvsTest is a test as a row names it: `auth/password TestPolicy`.
type asvsTest struct{ pkg, name string }

var asvsTestName = regexp.MustCompile("^`([a-z0-9/.]+) (Test[A-Za-z0-9_]+|Example[A-Za-z0-9_]*)`$")

// readASVS reads the rows of the page and says what is wrong with it.
func readASVS(page string) (rows []asvsRow, problems []string) {
	want := map[string]string{}
	var order []string
	for _, s := range asvsLevels {
		for i, level := range s.levels {
			id := fmt.Sprintf("%s.%d", s.section, i+1)
			want[id] = string(level)
			order = append(order, id)
		}
	}
	row := regexp.MustCompile(`^\| ([67]\.\d+\.\d+) \|`)
	for line := range strings.Lines(page) {
		if !row.MatchString(line) {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 4 {
			problems = append(problems, fmt.Sprintf("want four cells: %s", strings.TrimSpace(line)))
			continue
		}
		r := asvsRow{id: strings.TrimSpace(cells[0]), level: strings.TrimSpace(cells[1]), how: strings.TrimSpace(cells[2])}
		if want[r.id] != r.level {
			problems = append(problems, fmt.Sprintf("%s: level %s, want %q", r.id, r.level, want[r.id]))
		}
		for cell := range strings.SplitSeq(strings.TrimSpace(cells[3]), ", ") {
			if cell == "" {
				continue
			}
			m := asvsTestName.FindStringSubmatch(cell)
			if m == nil {
				problems = append(problems, fmt.Sprintf("%s: %q names no test", r.id, cell))
				continue
			}
			r.tests = append(r.tests, asvsTest{m[1], m[2]})
		}
		// A row without a test says why.
		open := strings.HasPrefix(r.how, "Not yet: ") || strings.HasPrefix(r.how, "Not offered: ")
		if len(r.tests) == 0 && !open {
			problems = append(problems, r.id+": no test, and neither \"Not yet: \" nor \"Not offered: \"")
		}
		rows = append(rows, r)
	}
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.id)
	}
	if !slices.Equal(ids, order) {
		problems = append(problems, fmt.Sprintf("rows %v, want %v", ids, order))
	}
	return rows, problems
}

// testsIn gives the names of the tests and examples of the package in a folder.
func testsIn(dir string) (map[string]bool, error) {
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names[fn.Name.Name] = true
			}
		}
	}
	return names, nil
}

// passed gives the tests that a log of go test -v says have passed, as "package name". A test that was skipped in one
// run and passed in another has passed; one that failed in any has not.
func passed(logs ...string) map[asvsTest]bool {
	result := regexp.MustCompile(`^--- (PASS|FAIL): (\w+) `)
	end := regexp.MustCompile(`^(?:ok|FAIL)\s+` + regexp.QuoteMeta(module) + `(?:/(\S+))?\s`)
	all, failed := map[asvsTest]bool{}, map[asvsTest]bool{}
	for _, log := range logs {
		var names []string
		for line := range strings.Lines(log) {
			if m := result.FindStringSubmatch(line); m != nil {
				names = append(names, m[1]+m[2])
			}
			if m := end.FindStringSubmatch(line); m != nil {
				for _, n := range names {
					t := asvsTest{path.Join(".", m[1]), n[4:]}
					all[t] = true
					failed[t] = failed[t] || n[:4] == "FAIL"
				}
				names = nil
			}
		}
	}
	for t := range failed {
		if failed[t] {
			delete(all, t)
		}
	}
	return all
}

func TestASVSRulesFindABrokenPage(t *testing.T) {
	t.Parallel()
	var good strings.Builder
	for _, s := range asvsLevels {
		for i, level := range s.levels {
			fmt.Fprintf(&good, "| %s.%d | %c | It is so. | `auth/session TestX`, `. TestY` |\n", s.section, i+1, level)
		}
	}
	rows, problems := readASVS(good.String())
	require.Empty(t, problems)
	require.Len(t, rows, 66)
	require.Equal(t, []asvsTest{{"auth/session", "TestX"}, {".", "TestY"}}, rows[0].tests)
	const first = "| 6.1.1 | 1 | It is so. | `auth/session TestX`, `. TestY` |\n"
	for name, page := range map[string]string{
		"a row is missing":     strings.Replace(good.String(), first, "", 1),
		"a row is there twice": first + good.String(),
		"another level":        strings.Replace(good.String(), first, strings.Replace(first, "| 1 |", "| 2 |", 1), 1),
		"no test, no reason":   strings.Replace(good.String(), first, "| 6.1.1 | 1 | It is so. |  |\n", 1),
		"not a test's name":    strings.Replace(good.String(), first, strings.Replace(first, "TestX", "X", 1), 1),
	} {
		_, problems := readASVS(page)
		require.Len(t, problems, 1, name)
	}
	_, problems = readASVS(strings.Replace(good.String(), first, "| 6.1.1 | 1 | Not yet: package x. |  |\n", 1))
	require.Empty(t, problems)

	got := passed("=== RUN   TestA\n--- PASS: TestA (0.00s)\n    --- PASS: TestA/sub (0.00s)\n--- SKIP: TestB (0.00s)\nok  \t"+module+"/auth\t0.1s\n"+
		"--- PASS: TestC (0.00s)\n--- FAIL: TestD (0.00s)\nFAIL\nFAIL\t"+module+"\t0.1s\n",
		"--- PASS: TestD (0.00s)\nok  \t"+module+"\t0.1s\n")
	require.Equal(t, map[asvsTest]bool{{"auth", "TestA"}: true, {".", "TestC"}: true}, got)
}

// TestAuthPageNamesEveryCall keeps the pathways of docs/auth.md whole (ASVS 6.1.3): each exported call of auth.Auth is on
// the page.
func TestAuthPageNamesEveryCall(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/auth.md")
	require.NoError(t, err)
	files, err := filepath.Glob("auth/*.go")
	require.NoError(t, err)
	calls := 0
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || !fn.Name.IsExported() {
				continue
			}
			star, ok := fn.Recv.List[0].Type.(*ast.StarExpr)
			if ok && star.X.(*ast.Ident).Name == "Auth" {
				calls++
				if !strings.Contains(string(page), "`"+fn.Name.Name) {
					t.Errorf("docs/auth.md does not name %s", fn.Name.Name)
				}
			}
		}
	}
	require.Greater(t, calls, 30)
}

func TestASVS(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/asvs.md")
	require.NoError(t, err)
	rows, problems := readASVS(string(page))
	for _, p := range problems {
		t.Error(p)
	}
	known := map[string]map[string]bool{}
	for _, r := range rows {
		for _, want := range r.tests {
			if known[want.pkg] == nil {
				known[want.pkg], err = testsIn(want.pkg)
				require.NoError(t, err)
			}
			if !known[want.pkg][want.name] {
				t.Errorf("%s: package %s has no %s", r.id, want.pkg, want.name)
			}
		}
	}
}

// TestASVSTestsHavePassed reads the logs that PORTALSEC_TEST_LOGS names, of go test -v, separated as in PATH.
func TestASVSTestsHavePassed(t *testing.T) {
	t.Parallel()
	names := os.Getenv("PORTALSEC_TEST_LOGS")
	if names == "" {
		t.Skip("needs the logs of all tests: .ci/run makes them and names them in PORTALSEC_TEST_LOGS")
	}
	var logs []string
	for _, name := range filepath.SplitList(names) {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		logs = append(logs, string(b))
	}
	done := passed(logs...)
	page, err := os.ReadFile("docs/asvs.md")
	require.NoError(t, err)
	rows, _ := readASVS(string(page))
	require.NotEmpty(t, rows)
	for _, r := range rows {
		for _, want := range r.tests {
			if !done[want] {
				t.Errorf("%s: %s %s did not run, was skipped or failed", r.id, want.pkg, want.name)
			}
		}
	}
}
