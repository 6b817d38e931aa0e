// SPDX-License-Identifier: Apache-2.0

package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/mfa"
	"github.com/pquerna/otp/totp"
)

func Example() {
	ctx := context.Background()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	factors, err := mfa.New(mfa.Config{
		Store:  mfa.NewMemory(), // sqlstore's Factors() in a real portal
		Sealer: newSealer(),     // keyring.Field("mfa", "secret") in a real portal
		Issuer: "Acme Portal",
		Audit:  audit.Discard,
		Clock:  func() time.Time { return now },
	})
	if err != nil {
		log.Fatal(err)
	}

	// The user scans the QR code and types the first code that the app shows.
	user := mfa.User{Tenant: "acme", ID: "u-17", Label: "ann@example.com", Visit: "session 1"}
	enrolment, err := factors.BeginTOTP(ctx, user)
	if err != nil {
		log.Fatal(err)
	}
	picture, _ := enrolment.PNG(256)
	fmt.Println("QR code:", len(picture) > 0)
	first, _ := totp.GenerateCode(enrolment.Secret, now) // the app's part
	recovery, err := factors.ConfirmTOTP(ctx, user, first)
	fmt.Println("recovery codes:", len(recovery), err)

	// At the next login, after the password.
	_, err = factors.Verify(ctx, user, first)
	fmt.Println("the same code again:", errors.Is(err, mfa.ErrCode))
	now = now.Add(30 * time.Second)
	next, _ := totp.GenerateCode(enrolment.Secret, now)
	proof, err := factors.Verify(ctx, user, next)
	fmt.Println("the next code:", proof.Kind, err)

	// Output:
	// QR code: true
	// recovery codes: 10 <nil>
	// the same code again: true
	// the next code: totp <nil>
}
