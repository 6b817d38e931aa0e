-- Accounts. login_index is a keyed hash of the e-mail address, unique over all tenants; profile is the sealed
-- address and name. version rises when the password or the state changes.
CREATE TABLE ps_account (
	id            VARCHAR(64) COLLATE "C"  NOT NULL PRIMARY KEY,
	tenant        VARCHAR(255) COLLATE "C" NOT NULL,
	login_index   BYTEA                    NOT NULL UNIQUE,
	profile       BYTEA                    NOT NULL,
	password_hash VARCHAR(512) COLLATE "C" NOT NULL,
	disabled      BOOLEAN                  NOT NULL,
	version       BIGINT                   NOT NULL,
	created_at    BIGINT                   NOT NULL,
	last_login_at BIGINT                   NOT NULL
);
CREATE INDEX ps_account_tenant ON ps_account (tenant, id);

-- Logins whose password was right and whose second factor is still to come. The token's SHA-256 is the key.
CREATE TABLE ps_pending_login (
	token_hash BYTEA                   NOT NULL PRIMARY KEY,
	account_id VARCHAR(64) COLLATE "C" NOT NULL,
	version    BIGINT                  NOT NULL,
	next       VARCHAR(16) COLLATE "C" NOT NULL,
	proven_at  BIGINT                  NOT NULL,
	expires_at BIGINT                  NOT NULL
);
CREATE INDEX ps_pending_login_expires ON ps_pending_login (expires_at);
