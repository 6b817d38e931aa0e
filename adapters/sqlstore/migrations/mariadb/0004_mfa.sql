-- Second factors. secret is sealed for kind "totp" and a salt for kind "recovery"; step is the last TOTP step used.
CREATE TABLE IF NOT EXISTS ps_mfa_factor (
	id         VARCHAR(36)  NOT NULL PRIMARY KEY,
	tenant     VARCHAR(100) NOT NULL,
	user_id    VARCHAR(100) NOT NULL,
	kind       VARCHAR(20)  NOT NULL,
	secret     BLOB         NOT NULL,
	step       BIGINT       NOT NULL,
	created_at BIGINT       NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE INDEX IF NOT EXISTS ps_mfa_factor_user ON ps_mfa_factor (tenant, user_id);

-- Recovery codes by their hash. used_at is 0 until the code is used.
CREATE TABLE IF NOT EXISTS ps_mfa_recovery_code (
	factor_id VARCHAR(36)   NOT NULL REFERENCES ps_mfa_factor (id) ON DELETE CASCADE,
	hash      VARBINARY(64) NOT NULL,
	used_at   BIGINT        NOT NULL,
	PRIMARY KEY (factor_id, hash)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- Enrolments that await their first code, one for a user. visit is the session or pending login that began it.
CREATE TABLE IF NOT EXISTS ps_mfa_pending (
	tenant     VARCHAR(100) NOT NULL,
	user_id    VARCHAR(100) NOT NULL,
	id         VARCHAR(36)  NOT NULL,
	visit      VARCHAR(100) NOT NULL,
	secret     BLOB         NOT NULL,
	expires_at BIGINT       NOT NULL,
	PRIMARY KEY (tenant, user_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- Tries since the last success, and when the next one is allowed.
CREATE TABLE IF NOT EXISTS ps_mfa_tries (
	tenant     VARCHAR(100) NOT NULL,
	user_id    VARCHAR(100) NOT NULL,
	tries      BIGINT       NOT NULL,
	not_before BIGINT       NOT NULL,
	PRIMARY KEY (tenant, user_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- Who must have a second factor. roles is a JSON array of names.
CREATE TABLE IF NOT EXISTS ps_mfa_policy (
	tenant   VARCHAR(100) NOT NULL PRIMARY KEY,
	everyone BOOLEAN      NOT NULL,
	roles    TEXT         NOT NULL,
	since    BIGINT       NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
