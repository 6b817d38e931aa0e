-- One row is one counter of attempts. Keys are HMAC-SHA-256 values: the table names no person and no address.
CREATE TABLE ps_attempt (
	lane_key    BYTEA                   NOT NULL PRIMARY KEY,
	kind        VARCHAR(16) COLLATE "C" NOT NULL,
	account_key BYTEA,
	failures    BIGINT                  NOT NULL,
	since_at    BIGINT                  NOT NULL,
	last_at     BIGINT                  NOT NULL
);
CREATE INDEX ps_attempt_account ON ps_attempt (account_key);
CREATE INDEX ps_attempt_last ON ps_attempt (kind, last_at);
