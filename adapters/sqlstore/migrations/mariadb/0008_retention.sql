-- One row for each policy that was approved or run: who approved which plan, and who may run it now. The
-- epoch rises with each runner that takes over, so that an earlier one's batch no longer commits.
CREATE TABLE IF NOT EXISTS ps_retention_policy (
	policy        VARCHAR(64)  NOT NULL PRIMARY KEY,
	approved_hash VARCHAR(64)  NOT NULL,
	approved_by   VARCHAR(255) NOT NULL,
	approved_at   BIGINT       NOT NULL,
	seen_at       BIGINT       NOT NULL,
	epoch         BIGINT       NOT NULL,
	leased_until  BIGINT       NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- The runs: how far each came, and what it deleted. A run that is not finished is continued.
CREATE TABLE IF NOT EXISTS ps_retention_run (
	id          VARCHAR(64) NOT NULL PRIMARY KEY,
	policy      VARCHAR(64) NOT NULL,
	hash        VARCHAR(64) NOT NULL,
	cutoff      BIGINT      NOT NULL,
	progress    TEXT        NOT NULL,
	batches     BIGINT      NOT NULL,
	deleted     BIGINT      NOT NULL,
	cascaded    TEXT        NOT NULL,
	started_at  BIGINT      NOT NULL,
	finished_at BIGINT      NOT NULL,
	remaining   BIGINT      NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE INDEX IF NOT EXISTS ps_retention_run_policy ON ps_retention_run (policy, finished_at, started_at);
