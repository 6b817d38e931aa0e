// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/portalsec/portalsec/crypto"
)

// Keys is a [crypto.KeyStore]. What it stores is of no use without the root key.
type Keys struct {
	db *DB
}

var _ crypto.KeyStore = (*Keys)(nil)

// Keys gives the store of wrapped keys.
func (db *DB) Keys() *Keys { return &Keys{db} }

const selectKey = `SELECT id, kind, tenant, subject, version, parent, wrapped, commitment, created_at
	FROM ps_crypto_key `

// ActiveKey implements [crypto.KeyStore].
func (k *Keys) ActiveKey(ctx context.Context, s crypto.Scope) (crypto.KeyRecord, error) {
	return activeKey(ctx, k.db.read(), s)
}

// Key implements [crypto.KeyStore].
func (k *Keys) Key(ctx context.Context, id crypto.KeyID) (crypto.KeyRecord, error) {
	return scanKey(k.db.read().row(ctx, selectKey+`WHERE id = ?`, id.String()))
}

// EnsureKey implements [crypto.KeyStore]. The unique index over the scope decides between processes.
func (k *Keys) EnsureKey(ctx context.Context, c crypto.KeyRecord) (crypto.KeyRecord, error) {
	var kept crypto.KeyRecord
	err := k.db.tx(ctx, func(tx conn) error {
		_, err := tx.exec(ctx, `INSERT INTO ps_crypto_key (id, kind, tenant, subject, version, slot, parent,
			wrapped, commitment, created_at, shredded_at) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, 0)`+tx.ifAbsent("version"),
			c.ID.String(), string(c.Scope.Kind), c.Scope.Tenant, c.Scope.Subject, c.Version, c.Parent,
			notNull(c.Wrapped), c.Commitment[:], toMicros(c.Created))
		if err != nil {
			return fmt.Errorf("sqlstore: add key: %w", err)
		}
		kept, err = activeKey(ctx, tx, c.Scope)
		if errors.Is(err, crypto.ErrNotFound) {
			return fmt.Errorf("sqlstore: add key: ID %s or version %d is taken", c.ID, c.Version)
		}
		return err
	})
	return kept, err
}

// ShredSubject implements [crypto.KeyStore].
func (k *Keys) ShredSubject(ctx context.Context, tenant, subject string, tombstone crypto.KeyID, at time.Time) error {
	return k.db.tx(ctx, func(tx conn) error {
		// The tombstone of a subject without a key comes first: it waits for an EnsureKey under way, whose row then
		// holds the slot, and lets no other begin.
		_, err := tx.exec(ctx, `INSERT INTO ps_crypto_key (id, kind, tenant, subject, version, slot, parent,
			wrapped, commitment, created_at, shredded_at) VALUES (?, ?, ?, ?, 0, 1, '', NULL, NULL, ?, ?)`+tx.ifAbsent("version"),
			tombstone.String(), string(crypto.KindSubject), tenant, subject, toMicros(at), toMicros(at))
		if err != nil {
			return fmt.Errorf("sqlstore: shred key: %w", err)
		}
		if _, err := tx.exec(ctx, `UPDATE ps_crypto_key SET wrapped = NULL, commitment = NULL, shredded_at = ?
			WHERE kind = ? AND tenant = ? AND subject = ? AND wrapped IS NOT NULL`,
			toMicros(at), string(crypto.KindSubject), tenant, subject); err != nil {
			return fmt.Errorf("sqlstore: shred key: %w", err)
		}
		// Without a row in the slot the subject could have a key again.
		_, err = activeKey(ctx, tx, crypto.Scope{Kind: crypto.KindSubject, Tenant: tenant, Subject: subject})
		switch {
		case errors.Is(err, crypto.ErrShredded):
			return nil
		case errors.Is(err, crypto.ErrNotFound):
			return fmt.Errorf("sqlstore: shred key: ID %s is taken", tombstone)
		}
		return err
	})
}

func activeKey(ctx context.Context, c conn, s crypto.Scope) (crypto.KeyRecord, error) {
	return scanKey(c.row(ctx, selectKey+`WHERE kind = ? AND tenant = ? AND subject = ? AND slot = 1`,
		string(s.Kind), s.Tenant, s.Subject))
}

func scanKey(row *sql.Row) (crypto.KeyRecord, error) {
	var rec crypto.KeyRecord
	var id string
	var commitment []byte
	var created int64
	err := row.Scan(&id, &rec.Scope.Kind, &rec.Scope.Tenant, &rec.Scope.Subject, &rec.Version, &rec.Parent,
		&rec.Wrapped, &commitment, &created)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return crypto.KeyRecord{}, crypto.ErrNotFound
	case err != nil:
		return crypto.KeyRecord{}, fmt.Errorf("sqlstore: read key: %w", err)
	case rec.Wrapped == nil:
		return crypto.KeyRecord{}, crypto.ErrShredded
	case len(commitment) != len(rec.Commitment):
		return crypto.KeyRecord{}, fmt.Errorf("sqlstore: key %s has a commitment of %d bytes", id, len(commitment))
	}
	if rec.ID, err = crypto.ParseKeyID(id); err != nil {
		return crypto.KeyRecord{}, fmt.Errorf("sqlstore: read key: %w", err)
	}
	rec.Commitment = [32]byte(commitment)
	rec.Created = fromMicros(created)
	return rec, nil
}
