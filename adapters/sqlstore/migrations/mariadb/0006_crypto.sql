-- Wrapped keys. Row of the key table with slot 1 fills its scope (kind, tenant, subject): either the active
-- key or, once the subject was shredded, a tombstone. The unique index thereby holds both rules on any
-- database: at most one active key in a scope, and none ever again after shredding.
CREATE TABLE IF NOT EXISTS ps_crypto_key (
	id          VARCHAR(16)  NOT NULL PRIMARY KEY, -- 8 bytes in hex
	kind        VARCHAR(16)  NOT NULL,             -- root, tenant, index, subject
	tenant      VARCHAR(200) NOT NULL,
	subject     VARCHAR(200) NOT NULL,
	version     INTEGER      NOT NULL,             -- of the keys of one scope, from 1; 0 for a tombstone without a key
	slot        INTEGER,                           -- 1 or NULL
	parent      VARCHAR(200) NOT NULL,             -- which key wraps this one
	wrapped     BLOB,                              -- NULL: shredded
	commitment  BLOB,                              -- NULL: shredded
	created_at  BIGINT       NOT NULL,
	shredded_at BIGINT       NOT NULL,             -- 0: not shredded
	UNIQUE (kind, tenant, subject, slot),
	UNIQUE (kind, tenant, subject, version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
