-- One row is one counter of attempts. Keys are HMAC-SHA-256 values: the table names no person and no address.
CREATE TABLE IF NOT EXISTS ps_attempt (
	lane_key    VARBINARY(32) NOT NULL PRIMARY KEY,
	kind        VARCHAR(16)   NOT NULL,
	account_key VARBINARY(32),
	failures    BIGINT        NOT NULL,
	since_at    BIGINT        NOT NULL,
	last_at     BIGINT        NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE INDEX IF NOT EXISTS ps_attempt_account ON ps_attempt (account_key);
CREATE INDEX IF NOT EXISTS ps_attempt_last ON ps_attempt (kind, last_at);
