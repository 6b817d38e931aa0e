-- Accounts. login_index is a keyed hash of the e-mail address, unique over all tenants; profile is the sealed
-- address and name. version rises when the password or the state changes.
CREATE TABLE IF NOT EXISTS ps_account (
	id            VARCHAR(64)    NOT NULL PRIMARY KEY,
	tenant        VARCHAR(255)   NOT NULL,
	login_index   VARBINARY(255) NOT NULL UNIQUE,
	profile       BLOB           NOT NULL,
	password_hash VARCHAR(512)   NOT NULL,
	disabled      BOOLEAN        NOT NULL,
	version       BIGINT         NOT NULL,
	created_at    BIGINT         NOT NULL,
	last_login_at BIGINT         NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE INDEX IF NOT EXISTS ps_account_tenant ON ps_account (tenant, id);

-- Logins whose password was right and whose second factor is still to come. The token's SHA-256 is the key.
CREATE TABLE IF NOT EXISTS ps_pending_login (
	token_hash VARBINARY(32) NOT NULL PRIMARY KEY,
	account_id VARCHAR(64)   NOT NULL,
	version    BIGINT        NOT NULL,
	next       VARCHAR(16)   NOT NULL,
	proven_at  BIGINT        NOT NULL,
	expires_at BIGINT        NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE INDEX IF NOT EXISTS ps_pending_login_expires ON ps_pending_login (expires_at);
