// SPDX-License-Identifier: Apache-2.0

// Package crypto keeps fields and files unreadable to who gets hold of the database, the disk or a backup.
//
// Start with [OpenKeyFile] and [New], which give a [Keyring]. [Keyring.Field] seals the values of one column
// and finds rows by a blind index; [Keyring.Files] keeps encrypted files that [net/http.ServeContent] can
// serve. [Keyring.Shred] makes everything about one person unreadable for good.
//
// # Keys
//
// A root key, wrapped by the key file, wraps one key for each tenant, which wraps one for each data subject.
// All are random and made at their first use; deleting the one record of a subject's key is the erasure of all
// that is sealed under it. What a value is sealed with is derived from its key by HKDF-SHA-256, a different
// one for each purpose. Each record carries a commitment to its key, so that nobody can put a second key
// behind the same ID.
//
// Every sealed value is bound to its tenant, subject, table, column and row. Moved anywhere else it does not
// open, nor does it with one bit changed, and the attempt is recorded.
//
// # What it does not protect against
//
// Who reads the process's memory, or has both the key file and the database. Values do not hide their
// length, nor equal blind indexes that the values are equal. An old value put back into its own row opens. A
// backup of the database still holds the keys of subjects shredded since. Keys are cleared from memory where
// that is easy, and no more is promised.
//
// # Stored format
//
// All integers are big-endian. tuple(a, b, ...) is each part after its length in 4 bytes. subkey(k, purpose)
// is HKDF-SHA-256 of k with no salt and the info tuple("portalsec/crypto/v1/subkey", purpose), 32 bytes.
//
// A value is
//
//	suite 0x01 (1) | key ID (8) | selector (12) | nonce (12) | ciphertext | tag (16)
//
// where everything after the key ID is XAES-256-GCM (c2sp.org/XAES-256-GCM) with the nonce selector|nonce, the
// key subkey(key, "value") and the associated data tuple("portalsec/crypto/v1/value", suite, key ID, tenant,
// table, column, row ID, "value").
//
// A file is
//
//	suite 0x81 (1) | key ID (8) | salt (24) | commitment (32) | chunks
//
// where everything after the key ID is Cobblestone-256 (c2sp.org/chunked-encryption) with the input key
// subkey(key, "file") and the context tuple("portalsec/crypto/v1/file", suite, key ID, tenant, "", "", row ID,
// "file"). Its name is SHA-256 of tuple("portalsec/crypto/v1/file name", tenant, row ID) in hexadecimal, with
// a slash after the second digit.
//
// A blind index is version (1) | the first 16 bytes of HMAC-SHA-256 of the normalised value, under
// HKDF-SHA-256 of the tenant's index key with the info tuple("portalsec/crypto/v1/index", table, column).
//
// docs/crypto.md has the form of key records and key files. What is written with one version opens with every
// later one.
package crypto
