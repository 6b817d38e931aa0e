// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/stretchr/testify/require"
)

// TestLetters looks at every text in every language.
func TestLetters(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir("letters")
	require.NoError(t, err)
	kinds := map[string]int{}
	for _, file := range files {
		b, err := os.ReadFile("letters/" + file.Name())
		require.NoError(t, err)
		text, name := string(b), file.Name()
		kind, lang, _ := strings.Cut(strings.TrimSuffix(name, ".txt"), ".")
		kinds[kind]++
		require.Contains(t, []string{"en", "nl", "zh"}, lang)
		require.NotContains(t, text, "!", name)
		require.NotContains(t, text, "！", name)
		require.Contains(t, text, "{{.Portal}}", name)
		require.Contains(t, text, map[string]string{"en": "dministrator", "nl": "beheerders", "zh": "管理员"}[lang], "%s says who to turn to", name)
		if strings.Contains(text, "{{.Link}}") {
			require.Contains(t, text, "{{.Expires}}", name)
			require.Regexp(t, "[:：]\n{{\\.Link}}\n", text, "%s: a button", name)
		}
		if kind == "registration" || kind == "registered" || strings.HasPrefix(kind, "email") {
			require.NotContains(t, text, ".Name", "%s goes to an address that nobody has confirmed, or may", name)
		}
	}
	require.Len(t, kinds, 10)
	for kind, n := range kinds {
		require.Equal(t, 3, n, kind)
	}
}

func TestNewDeviceLetter(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	a := f.account()
	lang := "nl"
	_, err := f.UpdateProfile(t.Context(), a.ID, auth.ProfileChange{Lang: &lang})
	require.NoError(t, err)
	m, err := f.Compose(t.Context(), portalsec.Letter{Kind: "auth.new-device", Account: a.ID, Data: map[string]string{
		"time": "2026-05-04T03:02:01Z", "device": "Firefox on Linux", "country": "NL",
	}})
	require.NoError(t, err)
	require.Contains(t, m.Text, "Op 2026-05-04 03:02 UTC is er bij Acme Help ingelogd")
	require.Contains(t, m.Text, "Firefox on Linux (land: NL).")
	f.token(m, "/not-me")
}

func TestLettersReplaced(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, func(c *auth.Config) {
		c.Letters = fstest.MapFS{"reset.en.txt": {Data: []byte("Ours\n\nHello {{.Name}} of {{.Portal}}:\n{{.Link}}\n")}}
		c.Links = auth.Links{Reset: "/konto/neu"}
		c.PortalName = ""
	})
	f.account()
	require.NoError(t, f.RequestReset(t.Context(), f.post(), address))
	m := f.mail()
	require.Equal(t, "Ours", m.Subject)
	require.True(t, strings.HasPrefix(m.Text, "Hello Ann of portal.acme.test:\nhttps://portal.acme.test/help/konto/neu?token="), m.Text)
}

func TestMailConfigRefused(t *testing.T) {
	t.Parallel()
	c := setUpMail(t, nil).config
	for want, change := range map[string]func(*auth.Config){
		"PublicURL is required":      func(c *auth.Config) { c.PublicURL = nil },
		"PublicURL: want h":          func(c *auth.Config) { c.PublicURL = must(url.Parse("http://portal.acme.test")) },
		"PublicURL: want https":      func(c *auth.Config) { c.PublicURL = &url.URL{Scheme: "ftp", Host: "x"} },
		"PublicURL: want https, a":   func(c *auth.Config) { c.PublicURL = &url.URL{Scheme: "https"} },
		"PublicURL: want https, a h": func(c *auth.Config) { c.PublicURL = must(url.Parse("https://x/?a=b")) },
		"PublicURL: want https, ":    func(c *auth.Config) { c.PublicURL = must(url.Parse("https://u:p@x/")) },
		`Links.Reset "//evil.test"`:  func(c *auth.Config) { c.Links.Reset = "//evil.test" },
		`Links.NotMe "/x?y"`:         func(c *auth.Config) { c.Links.NotMe = "/x?y" },
		`Links.Email "https://x/"`:   func(c *auth.Config) { c.Links.Email = "https://x/" },
		"no letter nonsense": func(c *auth.Config) {
			c.Letters = fstest.MapFS{"nonsense.en.txt": {Data: []byte("a\n\nb\n")}}
		},
		"reset.en.txt": func(c *auth.Config) { c.Letters = fstest.MapFS{"reset.en.txt": {Data: []byte("a\n\n{{.}")}} },
	} {
		broken := c
		change(&broken)
		_, err := auth.New(broken)
		require.ErrorContains(t, err, want)
	}
}

// TestNoticeLost has a notice fail: what was done stays done, and the log tells of the loss.
func TestNoticeLost(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	a := f.account()
	token := f.resetToken()
	f.box.err = errBroken
	require.NoError(t, f.CompleteReset(t.Context(), f.post(), token, newPassword))
	e := f.last(audit.AuthNoticeFailed)
	require.Equal(t, a.ID, e.Target.ID)
	require.Equal(t, audit.Error, e.Outcome)
	require.Equal(t, []audit.Detail{{Name: "letter", Value: "auth.password-changed"}}, e.Details)
	_, err := f.browser().login(newPassword)
	require.NoError(t, err)
}

// TestLetterToAnotherAddress lets the address change between the request and the letter: it goes to the present one.
func TestLetterToAnotherAddress(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	a := f.account()
	require.NoError(t, f.ForceReset(t.Context(), a.ID))
	f.wait(time.Hour)
	m := f.mail()
	require.Equal(t, address, m.To)
	require.Contains(t, m.Text, "2026-05-04 04:32 UTC", "the link's time begins when the letter is written")
}
