// SPDX-License-Identifier: Apache-2.0

package letter

import (
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode"
	"unicode/utf8"
)

const (
	// fallback is the language that every kind has.
	fallback = "en"

	maxFile    = 64 << 10 // bytes
	maxValue   = 500      // characters
	maxSubject = 200      // characters
	maxTag     = 64       // bytes; what is longer is no language
)

// names is the form of a file's name without ".txt": kind, then language.
var names = regexp.MustCompile(`^([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.([a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)$`)

// Set is the letters of one package in their languages. It is safe for several goroutines.
type Set struct {
	kinds     map[string]map[string]*text // by kind and language in lower case
	languages []string                    // as the files spell them
}

// text is one file.
type text struct {
	lang          string
	subject, body *template.Template
}

// Parse reads the files named KIND.LANG.txt in the top folders of several file systems; other files are left alone.
// A file of a later one replaces the file of the same name, nil ones are passed over. The first one says which kinds there
// are. It is an error when a later one has others, when a kind has no English text, and when a language has
// some of the kinds only: nobody should get half of the letters in a language that they do not read.
func Parse(systems ...fs.FS) (*Set, error) {
	s := &Set{kinds: make(map[string]map[string]*text)}
	first := true
	for _, fsys := range systems {
		if fsys == nil {
			continue
		}
		if err := s.read(fsys, first); err != nil {
			return nil, fmt.Errorf("letter: %w", err)
		}
		first = false
	}
	languages := make(map[string]string)
	for _, texts := range s.kinds {
		for key, t := range texts {
			languages[key] = t.lang
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(s.kinds)) {
		for _, key := range append([]string{fallback}, slices.Sorted(maps.Keys(languages))...) {
			if s.kinds[kind][key] == nil {
				return nil, fmt.Errorf("letter: %s.%s.txt is missing", kind, key)
			}
		}
	}
	s.languages = slices.Sorted(maps.Values(languages))
	return s, nil
}

func (s *Set) read(fsys fs.FS, first bool) error {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".txt")
		if !ok || e.IsDir() {
			continue
		}
		parts := names.FindStringSubmatch(name)
		if parts == nil {
			return fmt.Errorf("%s: want KIND.LANG.txt", e.Name())
		}
		kind, key := parts[1], strings.ToLower(parts[2])
		if s.kinds[kind] == nil {
			if !first {
				return fmt.Errorf("%s: there is no letter %s to replace", e.Name(), kind)
			}
			s.kinds[kind] = make(map[string]*text)
		}
		source, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return err
		}
		if s.kinds[kind][key], err = parseText(e.Name(), source); err != nil {
			return err
		}
		s.kinds[kind][key].lang = parts[2]
	}
	return nil
}

func parseText(name string, source []byte) (*text, error) {
	if len(source) > maxFile || !utf8.Valid(source) {
		return nil, fmt.Errorf("%s: want at most %d bytes of UTF-8", name, maxFile)
	}
	clean := strings.ReplaceAll(strings.TrimPrefix(string(source), "\ufeff"), "\r\n", "\n")
	subject, body, _ := strings.Cut(clean, "\n")
	if strings.TrimSpace(subject) == "" || strings.TrimSpace(body) == "" {
		return nil, fmt.Errorf("%s: want a subject on the first line and a text below it", name)
	}
	var t text
	var err error
	if t.subject, err = compile(name, strings.TrimSpace(subject)); err != nil {
		return nil, err
	}
	if t.body, err = compile(name, "\n"+strings.Trim(body, "\n")+"\n"); err != nil {
		return nil, err
	}
	return &t, nil
}

// compile parses a template and leads the value of each action through a function that makes it one line.
func compile(name, source string) (*template.Template, error) {
	t, err := template.New(name).Option("missingkey=error").
		Funcs(template.FuncMap{"_line": line, "_alone": alone}).Parse(source)
	if err != nil {
		return nil, err
	}
	for _, t := range t.Templates() {
		guard(t.Tree, t.Root)
	}
	return t, nil
}

func guard(tree *parse.Tree, list *parse.ListNode) {
	if list == nil {
		return
	}
	for i, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) > 0 {
				continue // prints nothing
			}
			f := "_line"
			if breaks(list.Nodes, i-1, strings.HasSuffix) && breaks(list.Nodes, i+1, strings.HasPrefix) {
				f = "_alone"
			}
			id := parse.NewIdentifier(f).SetTree(tree).SetPos(n.Pos)
			n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{id}})
		case *parse.IfNode:
			guard(tree, n.List)
			guard(tree, n.ElseList)
		case *parse.RangeNode:
			guard(tree, n.List)
			guard(tree, n.ElseList)
		case *parse.WithNode:
			guard(tree, n.List)
			guard(tree, n.ElseList)
		}
	}
}

// breaks tells whether node i is text with a line end on the side that at looks at.
func breaks(nodes []parse.Node, i int, at func(s, part string) bool) bool {
	if i < 0 || i >= len(nodes) {
		return false
	}
	t, ok := nodes[i].(*parse.TextNode)
	return ok && at(string(t.Text), "\n")
}

// line makes one line of a value that stands in a sentence or a subject.
func line(v any) string { return strings.ReplaceAll(alone(v), "://", ": //") }

// alone makes one line of a value that has a line for itself.
func alone(v any) string {
	if v == nil {
		return ""
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer {
		if r.IsNil() {
			return ""
		}
		if _, ok := v.(fmt.Stringer); !ok {
			v = r.Elem().Interface()
		}
	}
	return flatten(fmt.Sprint(v), maxValue)
}

// flatten gives text as one line of at most limit characters. Line ends and other controls become spaces. Marks that change
// the direction of writing go: they make the text around them read otherwise.
func flatten(s string, limit int) string {
	// Characters of more than four bytes there are none, so what is cut here would be cut below too.
	if len(s) > 8*limit {
		s = s[:8*limit]
	}
	var b strings.Builder
	n, space := 0, true // no space comes first
	for _, c := range s {
		switch {
		case unicode.IsSpace(c), unicode.IsControl(c), c == '\u2028', c == '\u2029':
			c = ' '
		case c >= '\u202a' && c <= '\u202e', c >= '\u2066' && c <= '\u2069', c == '\ufeff':
			continue
		}
		if c == ' ' && space {
			continue
		}
		space = c == ' '
		if n++; n > limit {
			break
		}
		b.WriteRune(c) // an invalid byte becomes U+FFFD
	}
	return strings.TrimRight(b.String(), " ")
}

// Languages are the languages of the letters as their files spell them, sorted.
func (s *Set) Languages() []string { return slices.Clone(s.languages) }

// Render makes a letter. lang is a language tag (BCP 47, RFC 5646); the text is the one of that tag, of the tag
// without its last subtags, or the English one. subject is one line without line ends. text and html say the
// same; their lines end with "\n".
func (s *Set) Render(kind, lang string, data any) (subject, text, html string, err error) {
	texts := s.kinds[kind]
	if texts == nil {
		return "", "", "", fmt.Errorf("letter: there is no letter %q", kind)
	}
	t := texts[fallback]
	if len(lang) <= maxTag {
		for tag := range broader(strings.ToLower(lang)) {
			if found := texts[tag]; found != nil {
				t = found
				break
			}
		}
	}
	var b strings.Builder
	if err := t.subject.Execute(&b, data); err != nil {
		return "", "", "", fmt.Errorf("letter: %w", err)
	}
	if subject = flatten(b.String(), maxSubject); subject == "" {
		return "", "", "", fmt.Errorf("letter: %s.%s.txt: the subject is empty", kind, t.lang)
	}
	b.Reset()
	if err := t.body.Execute(&b, data); err != nil {
		return "", "", "", fmt.Errorf("letter: %w", err)
	}
	paragraphs := split(b.String())
	if len(paragraphs) == 0 {
		return "", "", "", fmt.Errorf("letter: %s.%s.txt: the text is empty", kind, t.lang)
	}
	b.Reset()
	for i, p := range paragraphs {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, l := range p {
			b.WriteString(l)
			b.WriteByte('\n')
		}
	}
	html, err = page(t.lang, subject, paragraphs)
	return subject, b.String(), html, err
}

// split gives the lines of each paragraph.
func split(text string) (paragraphs [][]string) {
	var p []string
	for l := range strings.SplitSeq(text+"\n\n", "\n") {
		if l = strings.TrimRight(l, " \t"); l != "" {
			p = append(p, l)
		} else if p != nil {
			paragraphs = append(paragraphs, p)
			p = nil
		}
	}
	return paragraphs
}

// isLink tells whether a line is the address of a web page and nothing else.
func isLink(l string) bool {
	if !strings.HasPrefix(l, "https://") && !strings.HasPrefix(l, "http://") || strings.ContainsAny(l, " \"'<>\\`{}|^") {
		return false
	}
	u, err := url.Parse(l)
	return err == nil && u.Host != "" && u.User == nil
}
