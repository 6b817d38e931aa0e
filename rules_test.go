// SPDX-License-Identifier: Apache-2.0

package portalsec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// This file holds the rules of the house: who may import whom, what the modules require, and what every file
// looks like. Each rule is a function of plain data, and is tried with a broken house first.

const module = "github.com/portalsec/portalsec"

// rootRequires are the modules that users of the root module inherit.
var rootRequires = []string{
	"github.com/boombuler/barcode",
	"github.com/maxmind/mmdbwriter",
	"github.com/oschwald/maxminddb-golang/v2",
	"github.com/pquerna/otp",
	"github.com/stretchr/testify",
	"go.yaml.in/yaml/v4",
	"golang.org/x/crypto",
}

// testOnly are those of them that only tests may import.
var testOnly = []string{"github.com/maxmind/mmdbwriter", "github.com/stretchr/testify"}

// outsideWorkspace are the modules with peers that nobody should have to download to run the tests.
var outsideWorkspace = []string{"bench"}

// listed is a package as go list tells it.
type listed struct {
	ImportPath, Name, Dir              string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

// within tells whether p is dir or below it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// internalOf gives the folder whose packages may import p, and whether p is internal at all.
func internalOf(p string) (owner string, ok bool) {
	before, _, ok := strings.Cut("/"+p+"/", "/internal/")
	return strings.TrimPrefix(before, "/"), ok
}

// mayImport tells whether the package at from may import the one at to, and if not, why. Both are paths within
// the module, the root being ".".
func mayImport(from, to string) (why string) {
	area, rest, _ := strings.Cut(from, "/")
	toArea, _, _ := strings.Cut(to, "/")
	owner, internal := internalOf(to)
	switch area {
	case "cmd", "examples", "bench", "adapters":
		name, _, _ := strings.Cut(rest, "/")
		switch own := path.Join(area, name); {
		case within(to, own):
			return ""
		case toArea == "cmd" || toArea == "examples" || toArea == "bench":
			return "nothing is built on programs and examples"
		case area == "adapters" && toArea == "adapters":
			return "an adapter imports no other one"
		case internal:
			return "what is internal is for the packages of the root module"
		}
		return ""
	}
	_, fromInternal := internalOf(from)
	switch {
	case toArea == "cmd" || toArea == "examples" || toArea == "bench" || toArea == "adapters":
		return "packages do not know what is built on them"
	case from == ".":
		return "the root package imports the standard library only"
	case to == ".":
		return ""
	case internal:
		if owner == "" || owner == area {
			return ""
		}
		return "it is internal to another package"
	case fromInternal:
		return "internal packages import the root package only"
	case from == "audit":
		return "audit imports the root package only"
	case to == "audit" || within(to, from):
		return ""
	case path.Base(from) == path.Base(path.Dir(from))+"test" && to == path.Dir(from):
		return "" // a conformance kit imports what it tests
	}
	return "a package imports the root package, audit and its own subpackages only"
}

// checkImports gives what is wrong with the imports of packages.
func checkImports(packages []listed) (problems []string) {
	for _, p := range packages {
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if from == "" {
			from = "."
		}
		seen := map[string]bool{}
		// A test may import what the package may, so that a test of one package does not depend on another.
		for i, list := range [][]string{p.Imports, p.TestImports, p.XTestImports} {
			for _, imported := range list {
				why := ""
				switch {
				case imported == p.ImportPath || seen[imported]:
				case within(imported, module):
					to := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
					if to == "" {
						to = "."
					}
					kit := path.Join(from, path.Base(from)+"test")
					if i == 0 || !within(to, kit) {
						why = mayImport(from, to)
					}
				case !strings.Contains(strings.Split(imported, "/")[0], "."): // standard library
				case i > 0:
				case from == "." || within(from, "internal"):
					why = "the lowest floors import the standard library only"
				case slices.ContainsFunc(testOnly, func(m string) bool { return within(imported, m) }):
					why = "it is for tests"
				}
				if why != "" {
					seen[imported] = true
					problems = append(problems, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imported, why))
				}
			}
		}
	}
	return problems
}

func TestImportRulesFindABrokenHouse(t *testing.T) {
	t.Parallel()
	at := func(p string) string { return path.Join(module, p) }
	for _, tc := range []struct {
		name, from, to string
		good           bool
	}{
		{"root to standard library", ".", "net/http", true},
		{"root to audit", ".", "audit", false},
		{"root to internal", ".", "internal/uuid", false},
		{"root to a dependency", ".", "golang.org/x/crypto/argon2", false},
		{"audit to root", "audit", ".", true},
		{"audit to internal", "audit", "internal/uuid", true},
		{"audit to its own subpackage", "audit", "audit/ledger", false},
		{"audit to a package", "audit", "auth", false},
		{"ledger to audit", "audit/ledger", "audit", true},
		{"ledger to its neighbour", "audit/ledger", "audit/detect", false},
		{"package to root", "rbac", ".", true},
		{"package to audit", "rbac", "audit", true},
		{"package to the ledger", "rbac", "audit/ledger", false},
		{"package to internal", "rbac", "internal/token", true},
		{"package to its subpackage", "auth", "auth/session", true},
		{"package to a sibling", "mfa", "auth", false},
		{"package to a sibling's subpackage", "mfa", "auth/session", false},
		{"package whose name begins alike", "auth", "authority", false},
		{"package to a dependency", "mfa", "github.com/pquerna/otp/totp", true},
		{"package to a test helper", "mfa", "github.com/stretchr/testify/require", false},
		{"package to an adapter", "auth", "adapters/sqlstore", false},
		{"package to a program", "auth", "cmd/portalsec", false},
		{"package to an example", "auth", "examples/portal", false},
		{"subpackage to its parent", "auth/session", "auth", false},
		{"subpackage to its neighbour", "auth/session", "auth/throttle", false},
		{"kit to its parent", "auth/session/sessiontest", "auth/session", true},
		{"kit to its grandparent", "auth/session/sessiontest", "auth", false},
		{"kit to another package", "auth/session/sessiontest", "mfa", false},
		{"kit to a test helper", "mfa/mfatest", "github.com/stretchr/testify/require", false},
		{"not a kit", "mfa/helptest", "mfa", false},
		{"package to another's kit", "auth", "mfa/mfatest", false},
		{"internal to internal", "internal/token", "internal/uuid", true},
		{"internal to a package", "internal/token", "audit", false},
		{"internal to a dependency", "internal/token", "golang.org/x/crypto/argon2", false},
		{"subpackage to what its area shares", "ipfilter/clientip", "ipfilter/internal/ranges", true},
		{"package to what another area shares", "auth", "ipfilter/internal/ranges", false},
		{"what an area shares to root", "ipfilter/internal/ranges", ".", true},
		{"what an area shares to audit", "ipfilter/internal/ranges", "audit", false},
		{"adapter to what an area shares", "adapters/sqlstore", "ipfilter/internal/ranges", false},
		{"adapter to its own internal", "adapters/sqlstore", "adapters/sqlstore/internal/x", true},
		{"adapter to a package", "adapters/sqlstore", "auth/session", true},
		{"adapter to a kit", "adapters/sqlstore", "auth/session/sessiontest", true},
		{"adapter to internal", "adapters/sqlstore", "internal/uuid", false},
		{"adapter to another adapter", "adapters/sqlstore", "adapters/redisstore", false},
		{"adapter whose name begins alike", "adapters/sql", "adapters/sqlstore", false},
		{"adapter to its own subpackage", "adapters/sqlstore", "adapters/sqlstore/dialect", true},
		{"adapter to its driver", "adapters/sqlstore", "modernc.org/sqlite", true},
		{"program to a package", "cmd/portalsec", "audit/ledger", true},
		{"program to internal", "cmd/portalsec", "internal/uuid", false},
		{"example to an adapter", "examples/portal", "adapters/sqlstore", true},
		{"example to internal", "examples/portal", "internal/uuid", false},
		{"example to a program", "examples/portal", "cmd/portalsec", false},
		{"example to its own part", "examples/portal", "examples/portal/web", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			to := tc.to
			if first := strings.Split(to, "/")[0]; !strings.Contains(first, ".") && first != "net" || to == "." {
				to = at(to)
			}
			got := checkImports([]listed{{ImportPath: at(tc.from), Imports: []string{"fmt", to}}})
			if tc.good {
				require.Empty(t, got)
			} else {
				require.Len(t, got, 1)
				require.Contains(t, got[0], to)
			}
		})
	}
}

func TestImportRulesHoldForTests(t *testing.T) {
	t.Parallel()
	good := listed{
		ImportPath:   module + "/mfa",
		XTestImports: []string{module + "/mfa", module + "/mfa/mfatest", "github.com/stretchr/testify/require", "github.com/maxmind/mmdbwriter"},
	}
	require.Empty(t, checkImports([]listed{good}))
	bad := listed{ImportPath: module + "/mfa", TestImports: []string{module + "/auth"}, XTestImports: []string{module + "/auth", module + "/crypto"}}
	require.Len(t, checkImports([]listed{bad}), 2)
}

// goTool runs the go command in dir and decodes the JSON values that it prints.
func goTool[T any](t *testing.T, dir string, args ...string) (values []T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go %s: %s", strings.Join(args, " "), &stderr)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var v T
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return values
		}
		require.NoError(t, err)
		values = append(values, v)
	}
}

type workspace struct {
	Go  string
	Use []struct{ DiskPath string }
}

func theWorkspace(t *testing.T) workspace {
	t.Helper()
	w := goTool[workspace](t, ".", "work", "edit", "-json")
	require.Len(t, w, 1)
	require.NotEmpty(t, w[0].Use)
	return w[0]
}

// thePackages are those of all modules of the workspace.
func thePackages(t *testing.T) []listed {
	t.Helper()
	packages := goTool[listed](t, ".", "list", "-json=ImportPath,Name,Dir,GoFiles,Imports,TestImports,XTestImports", "work")
	for _, p := range []string{"", "/audit", "/audit/ledger", "/adapters/sqlstore", "/cmd/portalsec"} {
		require.True(t, slices.ContainsFunc(packages, func(l listed) bool { return l.ImportPath == module+p }), "%s is missing", module+p)
	}
	return packages
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, problem := range checkImports(thePackages(t)) {
		t.Error(problem)
	}
}

// manifest is a go.mod file.
type manifest struct {
	Dir     string `json:"-"` // below the root, with slashes
	Module  struct{ Path string }
	Go      string
	Require []struct {
		Path     string
		Indirect bool
	}
	Replace []struct{ Old, New struct{ Path string } }
}

// checkModules gives what is wrong with the modules, used being the folders that the workspace lists.
func checkModules(modules []manifest, goLine string, used []string) (problems []string) {
	report := func(m manifest, format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s/go.mod: ", m.Dir)+fmt.Sprintf(format, args...))
	}
	for _, m := range modules {
		if want := path.Join(module, m.Dir); m.Module.Path != want {
			report(m, "module %s, want %s", m.Module.Path, want)
		}
		if m.Go != goLine {
			report(m, "go %s, but go.work says %s", m.Go, goLine)
		}
		if slices.Contains(outsideWorkspace, m.Dir) == slices.Contains(used, m.Dir) {
			report(m, "in go.work: %v", slices.Contains(used, m.Dir))
		}
		for _, r := range m.Require {
			if m.Dir == "." && !r.Indirect && !slices.Contains(rootRequires, r.Path) {
				report(m, "users of the root module would inherit %s", r.Path)
			}
			// Tidying and outsiders' tools never read go.work.
			if within(r.Path, module) {
				want := strings.TrimPrefix(strings.TrimPrefix(r.Path, module), "/")
				ok := false
				for _, l := range m.Replace {
					ok = ok || l.Old.Path == r.Path && path.Join(m.Dir, l.New.Path) == path.Join(".", want)
				}
				if !ok {
					report(m, "no replace line leads %s to its folder", r.Path)
				}
			}
		}
	}
	for _, dir := range used {
		if !slices.ContainsFunc(modules, func(m manifest) bool { return m.Dir == dir }) {
			problems = append(problems, "go.work lists "+dir+", which is no module")
		}
	}
	return problems
}

func TestModuleRulesFindABrokenHouse(t *testing.T) {
	t.Parallel()
	decode := func(dir, text string) manifest {
		m := manifest{Dir: dir}
		require.NoError(t, json.Unmarshal([]byte(text), &m))
		return m
	}
	root := decode(".", `{"Module":{"Path":"`+module+`"},"Go":"1.26.0","Require":[{"Path":"golang.org/x/crypto"},{"Path":"x.example/y","Indirect":true}]}`)
	store := func(goLine, replace string) manifest {
		return decode("adapters/x", `{"Module":{"Path":"`+module+`/adapters/x"},"Go":"`+goLine+`","Require":[{"Path":"`+module+`"}],
			"Replace":[{"Old":{"Path":"`+module+`"},"New":{"Path":"`+replace+`"}}]}`)
	}
	used := []string{".", "adapters/x"}
	require.Empty(t, checkModules([]manifest{root, store("1.26.0", "../..")}, "1.26.0", used))
	bench := decode("bench", `{"Module":{"Path":"`+module+`/bench"},"Go":"1.26.0"}`)
	require.Empty(t, checkModules([]manifest{root, bench}, "1.26.0", []string{"."}))

	heavy := decode(".", `{"Module":{"Path":"`+module+`"},"Go":"1.26.0","Require":[{"Path":"modernc.org/sqlite"}]}`)
	misnamed := decode("adapters/x", `{"Module":{"Path":"`+module+`/adapters/y"},"Go":"1.26.0"}`)
	for name, got := range map[string][]string{
		"a heavy requirement of the root": checkModules([]manifest{heavy}, "1.26.0", []string{"."}),
		"another go line":                 checkModules([]manifest{root, store("1.25.0", "../..")}, "1.26.0", used),
		"replace to the wrong folder":     checkModules([]manifest{root, store("1.26.0", "..")}, "1.26.0", used),
		"not in the workspace":            checkModules([]manifest{root, store("1.26.0", "../..")}, "1.26.0", []string{"."}),
		"bench in the workspace":          checkModules([]manifest{root, bench}, "1.26.0", []string{".", "bench"}),
		"a folder without module":         checkModules([]manifest{root}, "1.26.0", used),
		"a wrong name":                    checkModules([]manifest{root, misnamed}, "1.26.0", used),
	} {
		require.Len(t, got, 1, name)
	}
}

func TestModules(t *testing.T) {
	t.Parallel()
	w := theWorkspace(t)
	var used []string
	for _, u := range w.Use {
		used = append(used, path.Clean(filepath.ToSlash(u.DiskPath)))
	}
	var modules []manifest
	for _, file := range theFiles(t) {
		if path.Base(file) == "go.mod" {
			m := goTool[manifest](t, filepath.Dir(file), "mod", "edit", "-json")[0]
			m.Dir = path.Dir(file)
			modules = append(modules, m)
		}
	}
	for _, problem := range checkModules(modules, w.Go, used) {
		t.Error(problem)
	}
}

// theFiles are the paths of the repository's files, with slashes. Folders that hold no sources are left out.
func theFiles(t *testing.T) (files []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "portal-data"):
			return filepath.SkipDir
		case d.Type().IsRegular():
			files = append(files, filepath.ToSlash(p))
		}
		return nil
	}))
	require.Greater(t, len(files), 50)
	return files
}

const spdx = "// SPDX-License-Identifier: Apache-2.0\n\n"

// banned are words that are not used here. They are written in parts, so that this file does not hold them.
var banned = map[string]*regexp.Regexp{
	"use denylist":  regexp.MustCompile("(?i)black" + "[- ]?list"),
	"use allowlist": regexp.MustCompile("(?i)white" + "[- ]?list"),
	"use Argon2id":  regexp.MustCompile(`(?i)argon[- ]?2[- ]?(id|di)\b`),
}

// checkText gives what is wrong with the text of a file.
func checkText(name, text string) (problems []string) {
	if path.Ext(name) == ".go" {
		if !strings.HasPrefix(text, spdx) {
			problems = append(problems, name+" does not begin with the licence line and a blank one")
		}
		if n := strings.Count(text, "\n"); n > 600 && !strings.HasSuffix(name, "_test.go") {
			problems = append(problems, fmt.Sprintf("%s has %d lines: split it by thing", name, n))
		}
	}
	for advice, word := range banned {
		for _, found := range word.FindAllString(text, -1) {
			if found != "Argon2id" && found != "argon2id" {
				problems = append(problems, fmt.Sprintf("%s holds %q: %s", name, found, advice))
			}
		}
	}
	return problems
}

// checkComments gives what is wrong with the package comment of a package, given the texts of its files.
func checkComments(importPath string, files map[string]string) (problems []string) {
	var with []string
	for name, text := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		if f.Doc != nil {
			with = append(with, name)
			if first := "Package " + f.Name.Name + " "; f.Name.Name != "main" && !strings.HasPrefix(f.Doc.Text(), first) {
				problems = append(problems, importPath+": its comment does not begin with "+first)
			}
		}
	}
	if len(with) != 1 {
		problems = append(problems, fmt.Sprintf("%s has %d package comments %v, want 1", importPath, len(with), with))
	}
	return problems
}

func TestTextRulesFindABrokenFile(t *testing.T) {
	t.Parallel()
	require.Empty(t, checkText("a.go", spdx+"package a // Argon2id, $argon2id$, argon2.IDKey, argon2i, an allowlist\n"))
	require.Empty(t, checkText("a_test.go", spdx+strings.Repeat("\n", 700)))
	require.Empty(t, checkText("a.md", "# Allowlists\n"))
	for name, text := range map[string]string{
		"a.go": "package a\n", "b.go": "// SPDX-License-Identifier: Apache-2.0\npackage b\n", "c.go": spdx + strings.Repeat("\n", 600),
		"d.md": "a white" + "list", "e.sql": "-- Black" + "-List", "f.html": "Argon" + "2ID", "g.go": spdx + "// argon" + "2di",
	} {
		require.Len(t, checkText(name, text), 1, name)
	}

	doc := spdx + "// Package a does it.\npackage a\n"
	require.Empty(t, checkComments("a", map[string]string{"doc.go": doc, "a.go": spdx + "package a\n"}))
	require.Len(t, checkComments("a", map[string]string{"a.go": spdx + "package a\n"}), 1, "none")
	require.Len(t, checkComments("a", map[string]string{"doc.go": doc, "a.go": doc}), 1, "two")
	require.Len(t, checkComments("a", map[string]string{"doc.go": spdx + "// It does.\npackage a\n"}), 1, "another beginning")
}

func TestTexts(t *testing.T) {
	t.Parallel()
	text := []string{".go", ".md", ".sql", ".yaml", ".yml", ".html", ".css", ".js", ".json", ".txt", ".sh", ".mod", ".work"}
	for _, file := range theFiles(t) {
		if slices.Contains(text, path.Ext(file)) && !strings.Contains(file, "/testdata/") {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, problem := range checkText(file, string(b)) {
				t.Error(problem)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	t.Parallel()
	for _, p := range thePackages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		files := map[string]string{}
		for _, name := range p.GoFiles {
			b, err := os.ReadFile(filepath.Join(p.Dir, name))
			require.NoError(t, err)
			files[name] = string(b)
		}
		for _, problem := range checkComments(p.ImportPath, files) {
			t.Error(problem)
		}
	}
}
