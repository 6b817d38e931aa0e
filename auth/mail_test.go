// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/auth"
	"github.com/stretchr/testify/require"
)

// postbox is a Mailer that keeps letters until they are read.
type postbox struct {
	mu      sync.Mutex
	letters []portalsec.Letter
	err     error
}

func (p *postbox) Queue(ctx context.Context, l portalsec.Letter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	p.letters = append(p.letters, l)
	return ctx.Err()
}

func (p *postbox) take() []portalsec.Letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.letters = nil }()
	return p.letters
}

// mailing is a fixture whose portal sends mail.
type mailing struct {
	*fixture
	box *postbox
}

func setUpMail(t *testing.T, change func(*auth.Config)) mailing {
	t.Helper()
	box := &postbox{}
	f := setUp(t, func(c *auth.Config) {
		c.Mail, c.PortalName = box, "Acme Help"
		c.PublicURL = &url.URL{Scheme: "https", Host: "portal.acme.test", Path: "/help"}
		if change != nil {
			change(c)
		}
	})
	return mailing{f, box}
}

// mails composes all letters that wait. Those with nothing to send are left out.
func (f mailing) mails() (mails []portalsec.Mail) {
	f.t.Helper()
	for _, l := range f.box.take() {
		m, err := f.Compose(f.t.Context(), l)
		if err == portalsec.ErrNoMail {
			continue
		}
		require.NoError(f.t, err, l.Kind)
		mails = append(mails, m)
	}
	return mails
}

// mail composes the one letter that waits.
func (f mailing) mail() portalsec.Mail {
	f.t.Helper()
	mails := f.mails()
	require.Len(f.t, mails, 1)
	return mails[0]
}

var links = regexp.MustCompile(`(?m)^https://portal\.acme\.test/help(/[a-z/-]+)\?token=([A-Za-z0-9_-]{43})$`)

// token gives the token of the link in a mail, which leads to path.
func (f mailing) token(m portalsec.Mail, path string) string {
	f.t.Helper()
	found := links.FindAllStringSubmatch(m.Text, -1)
	require.Len(f.t, found, 1, m.Text)
	require.Equal(f.t, path, found[0][1])
	require.Contains(f.t, m.HTML, strings.ReplaceAll(found[0][0], "&", "&amp;"))
	return found[0][2]
}

func (f mailing) post() *http.Request { return f.browser().request("POST", "/") }

// resetToken asks for a reset and gives the token that comes by mail.
func (f mailing) resetToken() string {
	f.t.Helper()
	require.NoError(f.t, f.RequestReset(f.t.Context(), f.post(), address))
	return f.token(f.mail(), "/reset")
}

func (f mailing) registrationToken() string {
	f.t.Helper()
	require.NoError(f.t, f.Register(f.t.Context(), f.post(), auth.NewRegistration{Tenant: "acme", Email: address, Name: "Ann", Lang: "nl"}))
	return f.token(f.mail(), "/register/confirm")
}

func (f mailing) invitationToken() (auth.Account, string) {
	f.t.Helper()
	acc, err := f.Invite(f.t.Context(), auth.NewInvitation{Tenant: "acme", Email: address, Name: "Ann", Lang: "zh-CN"})
	require.NoError(f.t, err)
	return acc, f.token(f.mail(), "/welcome")
}

const newAddress = "ann@new.test"

// emailToken signs in, asks for a change of address and gives the token that comes by mail.
func (f mailing) emailToken(b *browser) string {
	f.t.Helper()
	require.NoError(f.t, b.changeEmail(goodPassword, newAddress))
	m := f.mail()
	require.Equal(f.t, newAddress, m.To)
	return f.token(m, "/email/confirm")
}

func (b *browser) changeEmail(pw, email string) error {
	return b.do(func(ctx context.Context, _ http.ResponseWriter, r *http.Request) error {
		return b.f.ChangeEmail(ctx, r, pw, email)
	})
}

// loginAs signs in with another address than that of login.
func (b *browser) loginAs(email, pw string) (auth.Outcome, error) {
	w, r := httptest.NewRecorder(), b.request("POST", "/login")
	out, err := b.f.Login(r.Context(), w, r, auth.Credentials{Email: email, Password: pw})
	b.take(w)
	return out, err
}
