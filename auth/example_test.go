// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
)

// newAuth wires an Auth that keeps everything in memory. A portal takes its stores from package sqlstore, the
// Profile from package crypto, and the throttle's key from a file.
func newAuth(change ...func(*auth.Config)) (*auth.Auth, error) {
	sessions, err := session.New(session.Config{Store: session.NewMemory(), Audit: audit.Discard})
	if err != nil {
		return nil, err
	}
	attempts, err := throttle.New(throttle.Config{Store: throttle.NewMemory(), Key: []byte("sixteen bytes or more")})
	if err != nil {
		return nil, err
	}
	hasher, err := password.New(password.Config{})
	if err != nil {
		return nil, err
	}
	policy, err := password.NewPolicy(password.PolicyConfig{})
	if err != nil {
		return nil, err
	}
	store := auth.NewMemory()
	c := auth.Config{
		Accounts: store, OneTime: store, Profile: sealer{}, Hasher: hasher, Policy: policy,
		Sessions: sessions, Throttle: attempts, Audit: audit.Discard,
	}
	for _, f := range change {
		f(&c)
	}
	return auth.New(c)
}

func Example() {
	a, err := newAuth()
	if err != nil {
		panic(err)
	}
	_, err = a.CreateAccount(context.Background(), auth.NewAccount{Email: "ann@acme.test", Password: "olive tractor winter 9"})
	if err != nil {
		panic(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		out, err := a.Login(r.Context(), w, r, auth.Credentials{Email: r.FormValue("email"), Password: r.FormValue("password")})
		if err != nil {
			portalsec.Deny(w, r, auth.DenialOf(err))
			return
		}
		fmt.Fprint(w, "next: ", out.Next)
	})
	mux.Handle("GET /me", a.RequireSession()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello")
	})))
	portal := portalsec.Chain(mux, a.Middleware())

	var cookies []*http.Cookie
	for _, pw := range []string{"guess", "olive tractor winter 9"} {
		form := url.Values{"email": {"ann@acme.test"}, "password": {pw}}
		r := httptest.NewRequest("POST", "/login", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		portal.ServeHTTP(w, r)
		fmt.Println(w.Code)
		cookies = w.Result().Cookies()
	}
	for _, signedIn := range []bool{false, true} {
		r, w := httptest.NewRequest("GET", "/me", nil), httptest.NewRecorder()
		for _, c := range cookies {
			if signedIn {
				r.AddCookie(c)
			}
		}
		portal.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 401
	// 200
	// 401
	// 200
}

// letters is a [portalsec.Mailer] that keeps letters. A portal takes that of package outbox, which keeps them in the
// database and sends them in the background.
type letters []portalsec.Letter

func (l *letters) Queue(_ context.Context, letter portalsec.Letter) error {
	*l = append(*l, letter)
	return nil
}

// deliver does what an outbox does: it has the letters written and sends them.
func (l *letters) deliver(a *auth.Auth) {
	for _, letter := range *l {
		mail, err := a.Compose(context.Background(), letter)
		if err != nil {
			continue // portalsec.ErrNoMail: there is nothing to send
		}
		fmt.Printf("to %s: %s\n", mail.To, mail.Subject)
		if i := strings.Index(mail.Text, "https://"); i >= 0 {
			link, _ := url.Parse(strings.Fields(mail.Text[i:])[0])
			inbox[mail.To] = link
		}
	}
	*l = nil
}

// inbox has the link of the latest mail to each address.
var inbox = map[string]*url.URL{}

func ExampleAuth_RequestReset() {
	var box letters
	a, err := newAuth(func(c *auth.Config) {
		c.Mail, c.PortalName = &box, "Acme Help"
		c.PublicURL = &url.URL{Scheme: "https", Host: "portal.acme.test"}
	})
	if err != nil {
		panic(err)
	}
	ctx, r := context.Background(), httptest.NewRequest("POST", "/forgot", nil)
	if _, err := a.CreateAccount(ctx, auth.NewAccount{Email: "ann@acme.test", Password: "olive tractor winter 9"}); err != nil {
		panic(err)
	}

	// POST /forgot. The answer is the same for an address that nobody has.
	fmt.Println(a.RequestReset(ctx, r, "nobody@acme.test"))
	fmt.Println(a.RequestReset(ctx, r, "ann@acme.test"))
	box.deliver(a)

	// GET /reset?token=... shows a form and changes nothing.
	token := inbox["ann@acme.test"].Query().Get("token")
	info, err := a.Link(ctx, auth.PurposeReset, token)
	fmt.Println(info.Email, err)

	// POST /reset
	fmt.Println(a.CompleteReset(ctx, r, token, "seven quiet lanterns"))
	fmt.Println(a.CompleteReset(ctx, r, token, "another try, just as long"))
	box.deliver(a)
	// Output:
	// <nil>
	// <nil>
	// to ann@acme.test: Choose a new password for Acme Help
	// ann@acme.test <nil>
	// <nil>
	// auth: link is not valid
	// to ann@acme.test: Your password for Acme Help was changed
}

func ExampleAuth_Invite() {
	var box letters
	a, err := newAuth(func(c *auth.Config) {
		c.Mail, c.PortalName = &box, "Acme Help"
		c.PublicURL = &url.URL{Scheme: "https", Host: "portal.acme.test"}
	})
	if err != nil {
		panic(err)
	}
	ctx, r := context.Background(), httptest.NewRequest("POST", "/welcome", nil)

	account, err := a.Invite(ctx, auth.NewInvitation{Email: "bob@acme.test", Name: "Bob", Lang: "nl"})
	fmt.Println(account.HasPassword, err)
	box.deliver(a)

	// POST /welcome, with the token of the link.
	account, err = a.AcceptInvitation(ctx, r, inbox["bob@acme.test"].Query().Get("token"), "seven quiet lanterns")
	fmt.Println(account.HasPassword, err)
	// Output:
	// false <nil>
	// to bob@acme.test: Uw account bij Acme Help
	// true <nil>
}
