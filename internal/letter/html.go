// SPDX-License-Identifier: Apache-2.0

package letter

import (
	"fmt"
	"html/template"
	"strings"
)

// block is a paragraph or a part of one.
type block struct {
	Lines []string
	// Label and Link are set for a link instead. Label may be empty.
	Label, Link string
}

// layout loads nothing from anywhere and names no colours for text and ground, so that mail programs choose
// them, in the dark too.
var layout = template.Must(template.New("letter").Parse(`<!DOCTYPE html>
<html lang="{{.Lang}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{{.Subject}}</title>
</head>
<body dir="auto" style="margin:0 auto;padding:24px;max-width:560px;font:16px/1.5 system-ui,sans-serif">
{{range .Blocks}}{{if .Label}}<p style="margin:0 0 8px"><a href="{{.Link}}" rel="noreferrer" style="display:inline-block;padding:12px 20px;border-radius:6px;background:#1a56db;color:#ffffff;font-weight:600;text-decoration:none">{{.Label}}</a></p>
<p style="margin:0 0 16px;font-size:13px;overflow-wrap:anywhere">{{.Link}}</p>
{{else if .Link}}<p style="margin:0 0 16px;overflow-wrap:anywhere"><a href="{{.Link}}" rel="noreferrer">{{.Link}}</a></p>
{{else}}<p dir="auto" style="margin:0 0 16px">{{range $i, $l := .Lines}}{{if $i}}<br>
{{end}}{{$l}}{{end}}</p>
{{end}}{{end}}</body>
</html>
`))

func page(lang, subject string, paragraphs [][]string) (string, error) {
	var blocks []block
	for _, p := range paragraphs {
		var lines []string
		flush := func() {
			if lines != nil {
				blocks = append(blocks, block{Lines: lines})
				lines = nil
			}
		}
		for _, l := range p {
			if !isLink(l) {
				lines = append(lines, l)
				continue
			}
			var label string
			if n := len(lines); n > 0 {
				for _, colon := range []string{":", "\uff1a"} { // the second is the wide one of Chinese and Japanese
					if s, ok := strings.CutSuffix(lines[n-1], colon); ok {
						label = strings.TrimSpace(s)
					}
				}
				if label != "" {
					lines = lines[: n-1 : n-1]
					if n == 1 {
						lines = nil
					}
				}
			}
			flush()
			blocks = append(blocks, block{Label: label, Link: l})
		}
		flush()
	}
	var b strings.Builder
	err := layout.Execute(&b, struct {
		Lang, Subject string
		Blocks        []block
	}{lang, subject, blocks})
	if err != nil {
		return "", fmt.Errorf("letter: %w", err)
	}
	return b.String(), nil
}
