// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"slices"
	"strings"
)

// tongue is a language that letters come in.
type tongue struct{ Tag, Name string }

// languages are those of the letters. The pages are in English.
var languages = []tongue{{"en", "English"}, {"nl", "Nederlands"}, {"zh", "中文"}}

func isLanguage(tag string) bool {
	return slices.ContainsFunc(languages, func(l tongue) bool { return l.Tag == tag })
}

// preferred gives the first language that the browser asks for and letters come in.
func preferred(r *http.Request) string {
	for entry := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(entry, ";")
		tag, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if isLanguage(tag) {
			return tag
		}
	}
	return languages[0].Tag
}

// language reads the language that a form or program chose.
func language(r *http.Request) (string, error) {
	return checkLanguage(r.PostFormValue("lang"))
}

func checkLanguage(tag string) (string, error) {
	if tag != "" && !isLanguage(tag) {
		return "", invalid("Please choose one of the languages.")
	}
	return tag, nil
}

// languageOf gives the language of an account, or else the browser's.
func (a *app) languageOf(r *http.Request, account string) (string, error) {
	acc, err := a.auth.Account(r.Context(), account)
	if err != nil || acc.Lang != "" {
		return acc.Lang, err
	}
	return preferred(r), nil
}
