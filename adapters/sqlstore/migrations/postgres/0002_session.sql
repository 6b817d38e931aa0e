-- Sessions. token_hash is the SHA-256 of the cookie's token; id is public. client holds device, address and
-- country, sealed where the portal seals them.
CREATE TABLE ps_session (
	token_hash   BYTEA                    NOT NULL PRIMARY KEY,
	id           VARCHAR(64) COLLATE "C"  NOT NULL UNIQUE,
	tenant       VARCHAR(255) COLLATE "C" NOT NULL,
	user_id      VARCHAR(255) COLLATE "C" NOT NULL,
	impersonator VARCHAR(255) COLLATE "C" NOT NULL,
	factors      TEXT COLLATE "C"         NOT NULL,
	client       BYTEA                    NOT NULL,
	created_at   BIGINT                   NOT NULL,
	auth_at      BIGINT                   NOT NULL,
	last_seen_at BIGINT                   NOT NULL,
	expires_at   BIGINT                   NOT NULL
);
CREATE INDEX ps_session_user ON ps_session (tenant, user_id);
CREATE INDEX ps_session_last_seen ON ps_session (last_seen_at);
CREATE INDEX ps_session_expires ON ps_session (expires_at);

-- One row for each user whose sessions were ever all ended at once. A login that began before the version
-- rose gets no session. Users without a row have version 1.
CREATE TABLE ps_session_version (
	tenant  VARCHAR(255) COLLATE "C" NOT NULL,
	user_id VARCHAR(255) COLLATE "C" NOT NULL,
	version BIGINT                   NOT NULL,
	PRIMARY KEY (tenant, user_id)
);
