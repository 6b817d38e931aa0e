-- Sessions. token_hash is the SHA-256 of the cookie's token; id is public. client holds device, address and
-- country, sealed where the portal seals them. The primary key is what never changes: a row that moves to another
-- primary key is missed by a statement that waits for it, which here would be the end of a session.
CREATE TABLE IF NOT EXISTS ps_session (
	token_hash   VARBINARY(32) NOT NULL UNIQUE,
	id           VARCHAR(64)   NOT NULL PRIMARY KEY,
	tenant       VARCHAR(255)  NOT NULL,
	user_id      VARCHAR(255)  NOT NULL,
	impersonator VARCHAR(255)  NOT NULL,
	factors      TEXT          NOT NULL,
	client       BLOB          NOT NULL,
	created_at   BIGINT        NOT NULL,
	auth_at      BIGINT        NOT NULL,
	last_seen_at BIGINT        NOT NULL,
	expires_at   BIGINT        NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE INDEX IF NOT EXISTS ps_session_user ON ps_session (tenant, user_id);
CREATE INDEX IF NOT EXISTS ps_session_last_seen ON ps_session (last_seen_at);
CREATE INDEX IF NOT EXISTS ps_session_expires ON ps_session (expires_at);

-- One row for each user whose sessions were ever all ended at once. A login that began before the version
-- rose gets no session. Users without a row have version 1.
CREATE TABLE IF NOT EXISTS ps_session_version (
	tenant  VARCHAR(255) NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	version BIGINT       NOT NULL,
	PRIMARY KEY (tenant, user_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
