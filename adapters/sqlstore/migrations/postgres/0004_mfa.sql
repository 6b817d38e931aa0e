-- Second factors. secret is sealed for kind "totp" and a salt for kind "recovery"; step is the last TOTP step used.
CREATE TABLE ps_mfa_factor (
	id         VARCHAR(36) COLLATE "C"  NOT NULL PRIMARY KEY,
	tenant     VARCHAR(100) COLLATE "C" NOT NULL,
	user_id    VARCHAR(100) COLLATE "C" NOT NULL,
	kind       VARCHAR(20) COLLATE "C"  NOT NULL,
	secret     BYTEA                    NOT NULL,
	step       BIGINT                   NOT NULL,
	created_at BIGINT                   NOT NULL
);
CREATE INDEX ps_mfa_factor_user ON ps_mfa_factor (tenant, user_id);

-- Recovery codes by their hash. used_at is 0 until the code is used.
CREATE TABLE ps_mfa_recovery_code (
	factor_id VARCHAR(36) COLLATE "C" NOT NULL REFERENCES ps_mfa_factor (id) ON DELETE CASCADE,
	hash      BYTEA                   NOT NULL,
	used_at   BIGINT                  NOT NULL,
	PRIMARY KEY (factor_id, hash)
);

-- Enrolments that await their first code, one for a user. visit is the session or pending login that began it.
CREATE TABLE ps_mfa_pending (
	tenant     VARCHAR(100) COLLATE "C" NOT NULL,
	user_id    VARCHAR(100) COLLATE "C" NOT NULL,
	id         VARCHAR(36) COLLATE "C"  NOT NULL UNIQUE,
	visit      VARCHAR(100) COLLATE "C" NOT NULL,
	secret     BYTEA                    NOT NULL,
	expires_at BIGINT                   NOT NULL,
	PRIMARY KEY (tenant, user_id)
);

-- Tries since the last success, and when the next one is allowed.
CREATE TABLE ps_mfa_tries (
	tenant     VARCHAR(100) COLLATE "C" NOT NULL,
	user_id    VARCHAR(100) COLLATE "C" NOT NULL,
	tries      BIGINT                   NOT NULL,
	not_before BIGINT                   NOT NULL,
	PRIMARY KEY (tenant, user_id)
);

-- Who must have a second factor. roles is a JSON array of names.
CREATE TABLE ps_mfa_policy (
	tenant   VARCHAR(100) COLLATE "C" NOT NULL PRIMARY KEY,
	everyone BOOLEAN                  NOT NULL,
	roles    TEXT COLLATE "C"         NOT NULL,
	since    BIGINT                   NOT NULL
);
