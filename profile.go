// SPDX-License-Identifier: Apache-2.0

package portalsec

import (
	"fmt"
	"time"
)

// Profile is a level of the OWASP Application Security Verification Standard 5.0. It settles in one place the
// questions where standards disagree. The zero Profile is L2, the level that ASVS advises for applications
// that hold personal data.
type Profile uint8

// The levels of ASVS 5.0.
const (
	// L1 is the least that any portal should do.
	L1 Profile = 1
	// L2 is for portals with personal data. It is the default.
	L2 Profile = 2
	// L3 is for portals where a breach endangers people or the organisation.
	L3 Profile = 3
)

// Settings are the figures that a [Profile] stands for. No package reads CodeLifetime, TrustedBrowser
// and MailCodeIsFactor yet: they are for applications that mail codes and remember browsers themselves.
type Settings struct {
	// PasswordMinSingle is the least number of characters of a password that is the only factor (NIST SP
	// 800-63B-4 section 3.1.1.2: 15).
	PasswordMinSingle int
	// PasswordMinMulti is the least number of characters of a password beside a second factor (same place: 8).
	PasswordMinMulti int
	// IdleTimeout ends a session that was not used for so long (ASVS 7.3.1).
	IdleTimeout time.Duration
	// AbsoluteTimeout ends a session however much it is used (ASVS 7.3.2).
	AbsoluteTimeout time.Duration
	// CodeLifetime is how long a mailed or texted code is good (ASVS 6.5.5: at most ten minutes).
	CodeLifetime time.Duration
	// TrustedBrowser is how long a browser may be remembered, 0 for never.
	TrustedBrowser time.Duration
	// FreshFor is how long ago a proof may lie when an act asks for a fresh one (ASVS 7.5.3).
	FreshFor time.Duration
	// MaxSessions is how many sessions one user may have at once; the one used least recently ends. 0 means any number
	// (ASVS 7.1.2).
	MaxSessions int
	// ResetLifetime is how long a mailed link to reset a password or to confirm an address is good (NIST SP 800-63B-4
	// section 4.2.1.2: at most 24 hours).
	ResetLifetime time.Duration
	// InvitationLifetime is how long a mailed invitation is good (ASVS 6.4.1: short).
	InvitationLifetime time.Duration
	// ImpersonationTimeout ends a session in which a member of staff acts as somebody else.
	ImpersonationTimeout time.Duration
	// SecondFactor tells that every user must have a second factor (ASVS 6.3.3).
	SecondFactor bool
	// MailCodeIsFactor tells that a mailed code may serve as a second factor (ASVS 6.3.6 forbids it at L3, NIST
	// SP 800-63B-4 section 3.1.3.1 everywhere).
	MailCodeIsFactor bool
}

// Settings gives the figures of the profile. An unknown profile gets those of L3.
//
// Timeouts follow NIST SP 800-63B-4 section 2: 30 days at AAL1, 24 hours with one hour of inactivity at AAL2,
// 12 hours with 15 minutes at AAL3; L1 keeps a day of inactivity because its portals are visited rarely.
func (p Profile) Settings() Settings {
	switch p {
	case L1:
		return Settings{
			PasswordMinSingle: 15, PasswordMinMulti: 8,
			IdleTimeout: 24 * time.Hour, AbsoluteTimeout: 30 * 24 * time.Hour,
			CodeLifetime: 10 * time.Minute, TrustedBrowser: 30 * 24 * time.Hour,
			FreshFor: 15 * time.Minute, ResetLifetime: time.Hour, InvitationLifetime: 7 * 24 * time.Hour,
			ImpersonationTimeout: time.Hour,
			MailCodeIsFactor:     true,
		}
	case 0, L2:
		return Settings{
			PasswordMinSingle: 15, PasswordMinMulti: 8,
			IdleTimeout: time.Hour, AbsoluteTimeout: 24 * time.Hour,
			CodeLifetime: 10 * time.Minute, TrustedBrowser: 14 * 24 * time.Hour,
			FreshFor: 5 * time.Minute, MaxSessions: 10, ResetLifetime: 30 * time.Minute,
			InvitationLifetime: 72 * time.Hour, ImpersonationTimeout: 30 * time.Minute,
			SecondFactor: true,
		}
	default:
		return Settings{
			PasswordMinSingle: 15, PasswordMinMulti: 8,
			IdleTimeout: 15 * time.Minute, AbsoluteTimeout: 12 * time.Hour,
			CodeLifetime: 5 * time.Minute, SecondFactor: true,
			FreshFor: 5 * time.Minute, MaxSessions: 3, ResetLifetime: 10 * time.Minute,
			InvitationLifetime: 24 * time.Hour, ImpersonationTimeout: 15 * time.Minute,
		}
	}
}

// String gives "L1", "L2" or "L3".
func (p Profile) String() string {
	if p == 0 {
		p = L2
	}
	return fmt.Sprintf("L%d", uint8(p))
}
