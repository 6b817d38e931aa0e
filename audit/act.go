// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// finishTimeout bounds an act that goes on after its request has ended.
const finishTimeout = 15 * time.Second

// Act records e as a success and then does what it tells of: nothing is done that the log does not know of. act goes
// on when ctx ends meanwhile, as under [Finishing]. When it returns an error, or sets result.Outcome because somebody
// else was first, the log tells of an act that did not happen, so Act records result too. That is e with the outcome
// [Error], and with whatever act has changed in it, such as the reason.
//
// When e cannot be recorded, act is not called. Errors of act and of the recorder are returned joined.
func Act(ctx context.Context, rec Recorder, e Event, act func(ctx context.Context, result *Event) error) error {
	e.Outcome = Success
	if err := record(ctx, rec, e); err != nil {
		return err
	}
	acting, cancel := Finishing(ctx)
	defer cancel()
	result := e
	err := act(acting, &result)
	if err != nil && result.Outcome == Success {
		result.Outcome = Error
	}
	if result.Outcome == Success {
		return nil
	}
	return errors.Join(err, record(ctx, rec, result))
}

func record(ctx context.Context, rec Recorder, e Event) error {
	if err := rec.Record(ctx, e); err != nil {
		return fmt.Errorf("audit: record %s: %w", e.Kind, err)
	}
	return nil
}

// Finishing gives a context for an act that a client who goes away must not leave half done, such as a new password
// beside the sessions of the old one. It has the values of ctx, does not end with it, and lasts 15 seconds.
func Finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
}
