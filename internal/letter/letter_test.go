// SPDX-License-Identifier: Apache-2.0

package letter_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/portalsec/portalsec/internal/letter"
	"github.com/stretchr/testify/require"
)

const reset = `Choose a new password

Hello{{if .Name}} {{.Name}}{{end}},
somebody asked for this.

Choose your new password within {{.Minutes}} minutes:
{{.Link}}

Or look here first.
https://portal.example/help?a=1&b=2
Thank you.


{{if .Device}}
{{.Device}}
{{end}}
`

func files(pairs ...string) fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func parse(t *testing.T, systems ...fs.FS) *letter.Set {
	t.Helper()
	s, err := letter.Parse(systems...)
	require.NoError(t, err)
	return s
}

type values struct {
	Name, Link, Device string
	Minutes            int
}

func TestRender(t *testing.T) {
	t.Parallel()
	s := parse(t, files("auth.reset.en.txt", reset))
	subject, text, html, err := s.Render("auth.reset", "", values{Name: "Ada", Link: "https://portal.example/reset#a_b-c", Minutes: 30})
	require.NoError(t, err)
	require.Equal(t, "Choose a new password", subject)
	require.Equal(t, `Hello Ada,
somebody asked for this.

Choose your new password within 30 minutes:
https://portal.example/reset#a_b-c

Or look here first.
https://portal.example/help?a=1&b=2
Thank you.
`, text)
	require.Contains(t, html, `<html lang="en">`)
	require.Contains(t, html, "Hello Ada,<br>\nsomebody asked for this.</p>")
	require.Contains(t, html, `<a href="https://portal.example/reset#a_b-c" rel="noreferrer" style="display:inline-block`)
	require.Contains(t, html, `>Choose your new password within 30 minutes</a></p>`)
	require.Contains(t, html, `<a href="https://portal.example/help?a=1&amp;b=2" rel="noreferrer">https://portal.example/help?a=1&amp;b=2</a>`)
	require.Contains(t, html, ">Thank you.</p>")
	for _, absent := range []string{"<table", "<img", "src=", "url(", "<script", "<link"} {
		require.NotContains(t, html, absent)
	}
}

func TestDataStaysData(t *testing.T) {
	t.Parallel()
	s := parse(t, files("k.en.txt", "For {{.Name}}\n\nHello {{.Name}}, see {{.Device}}.\n\n{{.Link}}\n"))
	for name, c := range map[string]struct {
		v             values
		subject, text string
	}{
		"line ends": {
			values{Name: "A\r\nBcc: x@evil.example\n\nB", Device: "a\u2028b\u0085c\x00d\u2029e"},
			"For A Bcc: x@evil.example B", "Hello A Bcc: x@evil.example B, see a b c d e.\n",
		},
		"addresses in a sentence": {
			values{Name: "Win https://evil.example/x", Device: "http://evil.example"},
			"For Win https: //evil.example/x", "Hello Win https: //evil.example/x, see http: //evil.example.\n",
		},
		"direction of writing": {values{Name: "a\u202eb\u2066c"}, "For abc", "Hello abc, see .\n"},
		"other scripts":        {values{Name: "名前 علي \U0001F469\u200d\U0001F680"}, "For 名前 علي \U0001F469\u200d\U0001F680", "Hello 名前 علي \U0001F469\u200d\U0001F680, see .\n"},
		"not UTF-8":            {values{Name: "a\xffb"}, "For a\ufffdb", "Hello a\ufffdb, see .\n"},
		"long":                 {values{Name: strings.Repeat("é", 9000)}, "For " + strings.Repeat("é", 196), "Hello " + strings.Repeat("é", 500) + ", see .\n"},
		"a template":           {values{Name: "{{.Link}}", Link: "x"}, "For {{.Link}}", "Hello {{.Link}}, see .\n\nx\n"},
	} {
		subject, text, _, err := s.Render("k", "en", c.v)
		require.NoError(t, err, name)
		require.Equal(t, c.subject, subject, name)
		require.Equal(t, c.text, text, name)
	}

	_, _, html, err := s.Render("k", "en", values{Name: `<b>"'&`, Link: `https://x.example/"onmouseover="a`})
	require.NoError(t, err)
	require.Contains(t, html, "Hello &lt;b&gt;&#34;&#39;&amp;,")
	require.Contains(t, html, "<title>For &lt;b&gt;")
	require.NotContains(t, html, "<a ", "with a quotation mark it is no address")
	for _, link := range []string{"javascript:alert(1)", "https://", "https://user@evil.example/", "ftp://x.example/", "https://a b", "//evil.example", "https://%zz/"} {
		_, _, html, err := s.Render("k", "en", values{Link: link})
		require.NoError(t, err)
		require.NotContains(t, html, "<a ", link)
	}
}

func TestLinkOnlyWhereTheTextHasOne(t *testing.T) {
	t.Parallel()
	link := values{Name: "https://evil.example/"}
	for source, want := range map[string]bool{
		"{{.Name}}":                                        true,
		"a\n{{.Name}}\nb":                                  true,
		"{{if .Name}}\n{{.Name}}\n{{end}}":                 true,
		"{{with .Name}}\n{{.}}\n{{end}}":                   true,
		"{{.Name}}{{/* nothing */}}":                       true,
		"{{if .Name}}{{.Name}}{{end}}":                     false,
		"{{if not .Name}}x{{else}}{{.Name}}{{end}}":        false,
		"{{.Name}}{{.Link}}":                               false,
		"{{.Link}}{{.Name}}":                               false,
		"{{range $x := .List}}{{$x}}{{end}}":               false,
		`{{define "n"}}{{.Name}}{{end}}{{template "n" .}}`: false,
		`{{block "n" .}}{{.Name}}{{end}}`:                  false,
		`{{$x := .Name}}{{$x}}`:                            false,
		`{{printf "%s" .Name}}.`:                           false,
		`Hello {{.Name}}`:                                  false,
		`https://x.example/{{.Minutes}}`:                   true,
	} {
		s := parse(t, files("k.en.txt", "S\n\nx\n\n"+source+"\n"))
		_, _, html, err := s.Render("k", "en", struct {
			values
			List []string
		}{link, []string{link.Name}})
		require.NoError(t, err, source)
		require.Equal(t, want, strings.Contains(html, "<a "), source)
	}
}

func TestKindsOfValues(t *testing.T) {
	t.Parallel()
	s := parse(t, files("k.en.txt", "S\n\n{{.a}}|{{.b}}|{{.c}}|{{.d}}\n"))
	name := "x\ny"
	_, text, _, err := s.Render("k", "en", map[string]any{"a": nil, "b": &name, "c": (*string)(nil), "d": 7})
	require.NoError(t, err)
	require.Equal(t, "|x y||7\n", text)
	_, _, _, err = s.Render("k", "en", map[string]string{"a": ""})
	require.ErrorContains(t, err, `"b"`, "a value that is missing is no empty one")
	_, _, _, err = s.Render("other", "en", nil)
	require.EqualError(t, err, `letter: there is no letter "other"`)

	s = parse(t, files("k.en.txt", "{{.}}\n\n{{if .}}x{{end}}"))
	_, _, _, err = s.Render("k", "en", "\n")
	require.EqualError(t, err, "letter: k.en.txt: the subject is empty")
	s = parse(t, files("k.en.txt", "S\n\n{{.}}"))
	_, _, _, err = s.Render("k", "en", " ")
	require.EqualError(t, err, "letter: k.en.txt: the text is empty")
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	s := parse(t, files("k.en.txt", "English\n\nx", "k.nl.txt", "Nederlands\n\nx", "k.zh.txt", "中文\n\n选择新密码：\nhttps://x.example/", "k.pt-BR.txt", "Português\n\nx"))
	require.Equal(t, []string{"en", "nl", "pt-BR", "zh"}, s.Languages())
	for lang, want := range map[string]string{
		"": "English", "en-GB": "English", "xx": "English", "nl": "Nederlands", "NL-be": "Nederlands", "zh-Hant-TW": "中文",
		"pt-br": "Português", "pt-BR-x-a": "Português", "pt": "English", "-": "English", "nl-": "Nederlands", "n": "English",
		"nl" + strings.Repeat("-a", 50): "English",
	} {
		subject, _, html, err := s.Render("k", lang, nil)
		require.NoError(t, err)
		require.Equal(t, want, subject, lang)
		if want == "中文" {
			require.Contains(t, html, `<html lang="zh">`)
			require.Contains(t, html, ">选择新密码</a>")
		}
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	base := files("a.en.txt", "A\n\nx", "b.en.txt", "B\n\nx")
	s := parse(t, base, nil, files("b.en.txt", "mine\r\n\r\nx", "README.md", "x", "sub/c.en.txt", "x"))
	subject, _, _, err := s.Render("b", "en", nil)
	require.NoError(t, err)
	require.Equal(t, "mine", subject)
	subject, _, _, err = s.Render("a", "en", nil)
	require.NoError(t, err)
	require.Equal(t, "A", subject)

	for want, over := range map[string]fs.FS{
		"letter: b.fr.txt is missing":                                            files("a.fr.txt", "A\n\nx"),
		"letter: c.en.txt: there is no letter c to replace":                      files("c.en.txt", "C\n\nx"),
		"letter: a.txt: want KIND.LANG.txt":                                      files("a.txt", "A\n\nx"),
		"letter: a.english.txt: want KIND.LANG.txt":                              files("a.english.txt", "A\n\nx"),
		"letter: a.en.txt: want a subject on the first line and a text below it": files("a.en.txt", "A\n\n"),
		"letter: a.en.txt: want at most 65536 bytes of UTF-8":                    files("a.en.txt", "A\n\n\xff"),
	} {
		_, err := letter.Parse(base, over)
		require.EqualError(t, err, want)
	}
	_, err = letter.Parse(base, files("a.en.txt", "A\n\n{{.x"))
	require.ErrorContains(t, err, "a.en.txt")
	_, err = letter.Parse(files("a.nl.txt", "A\n\nx"))
	require.EqualError(t, err, "letter: a.en.txt is missing")
	_, err = letter.Parse(files("a.en.txt", strings.Repeat("A\n\n", 30_000)))
	require.ErrorContains(t, err, "at most 65536 bytes")
}
