// SPDX-License-Identifier: Apache-2.0

// Package letter makes mails from one text each: subject, plain text and HTML. Start with [Parse] and
// [Set.Render].
//
// A text is a file KIND.LANG.txt in the language of text/template. Its first line is the subject. Paragraphs
// follow, with blank lines between them. A line that is a web address and nothing else becomes a link in HTML,
// and a button when the line before it ends with a colon:
//
//	Choose a new password
//
//	Hello {{.Name}},
//
//	Choose your new password within {{.Minutes}} minutes:
//	{{.Link}}
//
// Values are data: each becomes one line of at most 500 characters, so that a name adds no header, no
// line and no paragraph, and HTML is escaped. A value is taken for an address only when its action stands alone on its line,
// as the link above does. Elsewhere "://" is broken, because mail programs turn addresses in a text into links, and
// strangers choose their names. So never put a name on a line of its own.
package letter
