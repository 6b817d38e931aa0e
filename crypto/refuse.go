// SPDX-License-Identifier: Apache-2.0

package crypto

import (
	"context"
	"errors"

	"github.com/portalsec/portalsec/audit"
)

// refuseKey gives the answer to who opened something whose key find did not give.
func (k *Keyring) refuseKey(ctx context.Context, what string, row Row, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return k.refuse(ctx, what, row, "unknown-key")
	case errors.Is(err, ErrOpen):
		return k.refuse(ctx, what, row, "wrong-key")
	default: // shredded, or the store failed
		return err
	}
}

// refuse records why something did not open, and gives the answer that does not say why.
func (k *Keyring) refuse(ctx context.Context, what string, row Row, reason string) error {
	e := audit.Event{
		Kind: audit.CryptoOpenRefused, Outcome: audit.Denied, Reason: reason, Severity: audit.Warning,
		Tenant: row.Tenant, Target: &audit.Target{Type: what, ID: row.ID},
	}
	if row.Subject != "" {
		e.Subjects = []audit.Pseudonym{audit.Pseudonym(row.Subject)}
	}
	// It is refused either way, and a recorder that loses the event raises its own alarm.
	_ = k.cfg.Audit.Record(ctx, e)
	return ErrOpen
}
