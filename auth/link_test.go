// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/auth"
	"github.com/stretchr/testify/require"
)

// link is a link of one purpose and the account that it is about.
type link struct {
	token   string
	account string // empty for a registration
}

// withLink gives a portal with a fresh link.
func withLink(t *testing.T, p auth.Purpose) (mailing, link) {
	f := setUpMail(t, nil)
	switch p {
	case auth.PurposeReset:
		a := f.account()
		return f, link{f.resetToken(), a.ID}
	case auth.PurposeRegistration:
		return f, link{f.registrationToken(), ""}
	case auth.PurposeInvitation:
		a, token := f.invitationToken()
		return f, link{token, a.ID}
	case auth.PurposeEmail:
		a := f.account()
		b := f.browser()
		b.mustLogin()
		return f, link{f.emailToken(b), a.ID}
	default:
		a := f.account()
		m, err := f.Compose(t.Context(), portalsec.Letter{Kind: "auth.password-changed", Account: a.ID})
		require.NoError(t, err)
		return f, link{f.token(m, "/not-me"), a.ID}
	}
}

// use makes the call that uses a link of a purpose up.
func (f mailing) use(p auth.Purpose, token string) (err error) {
	switch ctx, r := f.t.Context(), f.post(); p {
	case auth.PurposeReset:
		return f.CompleteReset(ctx, r, token, newPassword)
	case auth.PurposeRegistration:
		_, err = f.CompleteRegistration(ctx, r, token, newPassword)
	case auth.PurposeInvitation:
		_, err = f.AcceptInvitation(ctx, r, token, newPassword)
	case auth.PurposeEmail:
		return f.ConfirmEmail(ctx, r, token)
	case auth.PurposeNotMe:
		return f.NotMe(ctx, r, token)
	default:
		f.t.Fatalf("nothing uses links for %s", p)
	}
	return err
}

var linkPurposes = []auth.Purpose{
	auth.PurposeReset, auth.PurposeRegistration, auth.PurposeInvitation, auth.PurposeEmail, auth.PurposeNotMe,
}

// TestLinkChangesNothing opens each link ten times, as mail servers do, and then uses it.
func TestLinkChangesNothing(t *testing.T) {
	t.Parallel()
	for _, p := range linkPurposes {
		f, l := withLink(t, p)
		before, events := f.store.Dump(), len(f.events)
		require.Contains(t, before, p)
		made := f.last(audit.AuthLinkMade)
		require.Equal(t, []audit.Detail{{Name: "purpose", Value: string(p)}}, made.Details)
		if l.account != "" {
			require.Equal(t, l.account, made.Target.ID)
		}
		for range 10 {
			info, err := f.Link(t.Context(), p, l.token)
			require.NoError(t, err, p)
			want := auth.LinkInfo{Purpose: p, Account: l.account, Tenant: "acme", Email: address, Name: "Ann", Expires: info.Expires}
			if p == auth.PurposeEmail {
				want.Email = newAddress
			}
			require.Equal(t, want, info)
			require.True(t, info.Expires.After(f.now))
		}
		require.Equal(t, before, f.store.Dump(), p)
		require.Len(t, f.events, events)
		require.NoError(t, f.use(p, l.token), p)
		_, err := f.Link(t.Context(), p, l.token)
		require.Equal(t, auth.ErrNoToken, err, "%s is used up", p)
	}
}

func TestLinksRefuse(t *testing.T) {
	t.Parallel()
	for _, p := range linkPurposes {
		for why, spoil := range map[string]func(f mailing, l *link){
			"empty":       func(_ mailing, l *link) { l.token = "" },
			"not a token": func(_ mailing, l *link) { l.token += "\n" },
			"unknown":     func(_ mailing, l *link) { l.token = "A" + l.token[1:42] + "A" },
			"over":        func(f mailing, _ *link) { f.wait(31 * 24 * time.Hour) },
			"disabled":    func(f mailing, l *link) { must(0, f.store.SetDisabled(t.Context(), l.account, true)) },
			"deleted":     func(f mailing, l *link) { must(0, f.DeleteAccount(t.Context(), l.account)) },
			"version moved": func(f mailing, l *link) {
				must(f.store.SetPassword(t.Context(), l.account, f.rec(l.account).Version, auth.NewPassword{Hash: "$x"}))
			},
		} {
			f, l := withLink(t, p)
			if l.account == "" && (why == "disabled" || why == "deleted" || why == "version moved") {
				continue
			}
			if p == auth.PurposeNotMe && why == "version moved" {
				continue // changes of the account are what it is about
			}
			spoil(f, &l)
			before := f.store.Dump()
			_, err := f.Link(t.Context(), p, l.token)
			require.Equal(t, auth.ErrNoToken, err, "%s %s", p, why)
			require.Equal(t, auth.ErrNoToken, f.use(p, l.token), "%s %s", p, why)
			require.Equal(t, before, f.store.Dump(), "%s %s", p, why)
			e := f.last(audit.AuthLinkRefused)
			require.Equal(t, string(p), e.Details[0].Value)
			require.NotEmpty(t, e.Reason)
		}
		for _, other := range linkPurposes {
			if other == p {
				continue
			}
			f, l := withLink(t, p)
			_, err := f.Link(t.Context(), other, l.token)
			require.Equal(t, auth.ErrNoToken, err, "%s as %s", p, other)
			require.Equal(t, auth.ErrNoToken, f.use(other, l.token), "%s as %s", p, other)
			require.NoError(t, f.use(p, l.token), "%s is still good", p)
		}
	}
}

func TestDeletedAccountLeavesNoLinks(t *testing.T) {
	t.Parallel()
	for _, p := range linkPurposes {
		if f, l := withLink(t, p); l.account != "" {
			require.Len(t, f.store.OneTimes(), 1)
			require.NoError(t, f.DeleteAccount(t.Context(), l.account))
			require.Empty(t, f.store.OneTimes(), p)
		}
	}
}

// TestLinkIsNoLogin shows the page of a link the token of a pending login.
func TestLinkIsNoLogin(t *testing.T) {
	t.Parallel()
	f := setUpMail(t, nil)
	f.enrolled = true
	f.account()
	b := f.browser()
	_, err := b.login(goodPassword)
	require.NoError(t, err)
	for _, p := range append([]auth.Purpose{auth.PurposeLogin, ""}, linkPurposes...) {
		_, err = f.Link(t.Context(), p, b.cookies["__Host-login"])
		require.Equal(t, auth.ErrNoToken, err, p)
	}
	for _, p := range linkPurposes {
		require.Equal(t, auth.ErrNoToken, f.use(p, b.cookies["__Host-login"]))
		_, l := withLink(t, p)
		b.cookies["__Host-login"] = l.token
		_, err = f.PendingLogin(b.request("GET", "/"))
		require.Equal(t, auth.ErrNoPending, err)
		_, err = b.login(goodPassword)
		require.NoError(t, err)
	}
}

// TestRaceLinks has many use one link at once.
func TestRaceLinks(t *testing.T) {
	t.Parallel()
	for _, p := range linkPurposes {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			f, l := withLink(t, p)
			var won atomic.Int32
			var read sync.WaitGroup
			var reads atomic.Int32
			read.Add(manyRivals)
			f.onRead = func() { // all of them see it before anybody consumes it
				if reads.Add(1) <= manyRivals {
					read.Done()
					read.Wait()
				}
			}
			race(manyRivals, func(int) {
				switch err := f.use(p, l.token); err {
				case nil:
					won.Add(1)
				case auth.ErrNoToken:
				default:
					t.Error(err)
				}
			})
			require.Equal(t, int32(1), won.Load())
		})
	}
}

// TestLinkExpiresAtItsEnd looks at the last moment and the one after.
func TestLinkExpiresAtItsEnd(t *testing.T) {
	t.Parallel()
	for _, p := range linkPurposes {
		f, l := withLink(t, p)
		info, err := f.Link(t.Context(), p, l.token)
		require.NoError(t, err)
		f.wait(info.Expires.Sub(f.now) - time.Nanosecond)
		_, err = f.Link(t.Context(), p, l.token)
		require.NoError(t, err, p)
		f.wait(time.Nanosecond)
		_, err = f.Link(t.Context(), p, l.token)
		require.Equal(t, auth.ErrNoToken, err, p)
		require.Equal(t, auth.ErrNoToken, f.use(p, l.token), p)
		n, err := f.Prune(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
		f.wait(time.Microsecond)
		n, err = f.Prune(t.Context())
		require.NoError(t, err)
		require.Equal(t, int64(1), n)
	}
}
