// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/internal/letter"
)

// notMeLifetime is how long the link of a notice is good: people read notices when they are back from a journey.
const notMeLifetime = 14 * 24 * time.Hour

// What letters are about: [portalsec.Letter.Kind]. A template has the name after the dot.
const (
	letterRegistration    = "auth.registration"
	letterRegistered      = "auth.registered"
	letterInvitation      = "auth.invitation"
	letterReset           = "auth.reset"
	letterResetForced     = "auth.reset-forced"
	letterEmail           = "auth.email"
	letterEmailTaken      = "auth.email-taken"
	letterEmailChanged    = "auth.email-changed"
	letterPasswordChanged = "auth.password-changed"
	letterNewDevice       = "auth.new-device"
)

// Members of [portalsec.Letter.Data].
const (
	dataName    = "name"    // of who registers
	dataVersion = "version" // of the account when the letter was asked for
	dataTime    = "time"    // when it happened, RFC 3339
	dataEmail   = "email"   // the former address
	dataDevice  = "device"  // as session.Device gives it
	dataCountry = "country" // ISO 3166-1 alpha-2
	dataSession = "session" // its ID
)

//go:embed letters/*.txt
var letterFiles embed.FS

// Links are the paths of the pages that mailed links lead to, below [Config.PublicURL]. The token is the member token
// of the query. A page shows what [Auth.Link] tells and a form whose POST makes the call; opening it changes nothing,
// because mail servers open links too.
type Links struct {
	// Reset asks for a new password and calls [Auth.CompleteReset]. Empty means "/reset".
	Reset string
	// Invitation asks for a first password and calls [Auth.AcceptInvitation]. Empty means "/welcome".
	Invitation string
	// Registration asks for a password and calls [Auth.CompleteRegistration]. Empty means "/register/confirm".
	Registration string
	// Email calls [Auth.ConfirmEmail]. Empty means "/email/confirm".
	Email string
	// NotMe calls [Auth.NotMe]. Empty means "/not-me".
	NotMe string
}

// paths gives the path for each purpose.
func (l Links) paths() (map[Purpose]string, error) {
	paths := map[Purpose]string{}
	for _, p := range []struct {
		purpose                Purpose
		field, path, otherwise string
	}{
		{PurposeReset, "Reset", l.Reset, "/reset"},
		{PurposeInvitation, "Invitation", l.Invitation, "/welcome"},
		{PurposeRegistration, "Registration", l.Registration, "/register/confirm"},
		{PurposeEmail, "Email", l.Email, "/email/confirm"},
		{PurposeNotMe, "NotMe", l.NotMe, "/not-me"},
	} {
		if p.path == "" {
			p.path = p.otherwise
		}
		if SafeNext(p.path) != p.path || strings.ContainsAny(p.path, "?#%") {
			return nil, fmt.Errorf("auth: Config.Links.%s %q: want a path of this site, without query, fragment and escapes", p.field, p.path)
		}
		paths[p.purpose] = p.path
	}
	return paths, nil
}

// checkPublicURL tells whether links can be made from u. Plain HTTP goes together with insecure cookies only.
func checkPublicURL(u *url.URL, insecure bool) error {
	switch {
	case u == nil:
		return errors.New("auth: Config.PublicURL is required with Config.Mail")
	case u.Scheme != "https" && (u.Scheme != "http" || !insecure), u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "", u.Opaque != "":
		return errors.New("auth: Config.PublicURL: want https, a host and perhaps a path")
	}
	return nil
}

// letterData is what the templates can say.
type letterData struct {
	Portal  string // Config.PortalName
	Name    string // of the account; empty in a letter to an address that nobody has confirmed
	Link    string
	Expires string // of the link
	Time    string // of what happened
	Device  string
	Country string
}

// newLetters reads the templates; those of over take the place of the package's own.
func newLetters(over fs.FS) (*letter.Set, error) {
	own, err := fs.Sub(letterFiles, "letters")
	if err != nil {
		return nil, fmt.Errorf("auth: letters: %w", err)
	}
	set, err := letter.Parse(own, over)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return set, nil
}

// queue has a letter sent: the flow is of no use without it. See [Auth.notify].
func (a *Auth) queue(ctx context.Context, l portalsec.Letter) error {
	if a.mail == nil {
		return ErrNoMailer
	}
	if err := a.mail.Queue(ctx, l); err != nil {
		return fmt.Errorf("auth: queue letter: %w", err)
	}
	return nil
}

// notify tells the owner of an account about what has been done to it (ASVS 6.3.7). What is done stays done when the
// letter cannot be queued; the audit log then tells of it, and an error means that it cannot.
func (a *Auth) notify(ctx context.Context, rec AccountRecord, kind string, data map[string]string) error {
	if a.mail == nil {
		return nil
	}
	l := portalsec.Letter{Kind: kind, Tenant: rec.Tenant, Account: rec.ID, Data: map[string]string{
		dataTime: a.now().UTC().Format(time.RFC3339),
	}}
	maps.Copy(l.Data, data)
	if a.queue(ctx, l) == nil {
		return nil
	}
	e := about(audit.AuthNoticeFailed, rec)
	e.Outcome, e.Severity = audit.Error, audit.Warning
	e.Details = []audit.Detail{{Name: "letter", Value: kind}}
	return a.record(ctx, e)
}

// requested throttles a request for a letter to an address, writes it down and has the letter sent. It looks nothing
// up, so that it takes as long for every address, and tells the log the address's short hash alone, as Login does.
func (a *Auth) requested(ctx context.Context, r *http.Request, e audit.Event, l portalsec.Letter) error {
	if a.mail == nil {
		return ErrNoMailer
	}
	key, err := a.loginKey(ctx, l.To)
	if err != nil {
		return err
	}
	e.Details = append(e.Details, audit.Detail{Name: "login", Value: key[max(0, len(key)-8):]})
	if err := a.takeMail(ctx, r, l.Kind+"/"+key, e); err != nil {
		return err
	}
	return a.recorded(ctx, e, func(ctx context.Context) error { return a.queue(ctx, l) })
}

// takeMail counts a letter to an address, and refuses it when there were too many.
func (a *Auth) takeMail(ctx context.Context, r *http.Request, key string, e audit.Event) error {
	d, err := a.throttle.TakeMail(ctx, throttle.Attempt{Account: key, Addr: network(r)})
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	if d.Allowed {
		return nil
	}
	e.Kind, e.Outcome, e.Reason, e.Severity = audit.AuthThrottled, audit.Denied, "too-many-letters", audit.Notice
	e.Rule = "throttle." + string(d.By)
	_ = a.audit.Record(ctx, e) // the recorder raises its own alarm; the duty of this kind stops nobody
	return &ThrottledError{RetryAfter: d.RetryAfter}
}

// Compose writes the letter that l asks for, when it is about to be sent: give it to the [portalsec.Mailer] for all kinds
// that begin with "auth.". It makes the link's token, of which the store gets the hash alone; the link in the mail
// is the only copy. Called again for one letter, it makes another link. It returns [portalsec.ErrNoMail] when there
// is nothing to be sent: no such account, a disabled one, or one that has changed since the letter was asked for.
func (a *Auth) Compose(ctx context.Context, l portalsec.Letter) (portalsec.Mail, error) {
	if a.mail == nil {
		return portalsec.Mail{}, ErrNoMailer
	}
	switch l.Kind {
	case letterRegistration:
		return a.composeRegistration(ctx, l)
	case letterReset, letterResetForced:
		return a.composeReset(ctx, l)
	case letterInvitation:
		return a.composeInvitation(ctx, l)
	case letterEmail:
		return a.composeEmail(ctx, l)
	case letterEmailChanged, letterPasswordChanged, letterNewDevice:
		return a.composeNotice(ctx, l)
	default:
		return portalsec.Mail{}, fmt.Errorf("auth: compose: unknown kind %q", l.Kind)
	}
}

// composeNotice writes a letter about what has been done to an account. Its link says that it was somebody else.
func (a *Auth) composeNotice(ctx context.Context, l portalsec.Letter) (portalsec.Mail, error) {
	rec, acc, err := a.addressee(ctx, l)
	if err != nil {
		return portalsec.Mail{}, err
	}
	to := acc.Email
	t := a.oneTimeToken(PurposeNotMe, rec, notMeLifetime)
	if old := l.Data[dataEmail]; old != "" {
		to = old
	}
	data, err := a.sealLink(ctx, t.rec, rec.Tenant, linkData{Email: to, Session: l.Data[dataSession]})
	if err != nil {
		return portalsec.Mail{}, err
	}
	if err := a.keep(ctx, t, data); err != nil {
		return portalsec.Mail{}, err
	}
	at, _ := time.Parse(time.RFC3339, l.Data[dataTime])
	return a.render(l, to, acc, t, letterData{Time: clock(at), Device: l.Data[dataDevice], Country: l.Data[dataCountry]})
}

// addressee gives the account that a letter is for, by its ID or by its address.
func (a *Auth) addressee(ctx context.Context, l portalsec.Letter) (rec AccountRecord, acc Account, err error) {
	if l.Account != "" {
		rec, err = a.account(ctx, l.Account)
	} else {
		rec, err = a.find(ctx, l.To)
	}
	switch {
	case errors.Is(err, ErrNoAccount), err == nil && rec.Disabled:
		return AccountRecord{}, Account{}, portalsec.ErrNoMail
	case err != nil:
		return AccountRecord{}, Account{}, err
	}
	acc, err = a.open(ctx, rec)
	return rec, acc, err
}

// render writes the mail. The language is the account's, or else that of the letter.
func (a *Auth) render(l portalsec.Letter, to string, acc Account, t oneTimeToken, d letterData) (portalsec.Mail, error) {
	lang := l.Lang
	if acc.Lang != "" {
		lang = acc.Lang
	}
	d.Portal, d.Name = a.portal, acc.Name
	if t.text != "" {
		d.Link, d.Expires = a.link(t), clock(t.rec.Expires)
	}
	_, kind, _ := strings.Cut(l.Kind, ".")
	subject, text, html, err := a.letters.Render(kind, lang, d)
	if err != nil {
		return portalsec.Mail{}, fmt.Errorf("auth: letter %s: %w", kind, err)
	}
	return portalsec.Mail{To: to, Subject: subject, Text: text, HTML: html}, nil
}

// clock writes a time so that every language reads it alike.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
