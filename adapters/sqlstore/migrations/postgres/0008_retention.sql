-- One row for each policy that was approved or run: who approved which plan, and who may run it now. The
-- epoch rises with each runner that takes over, so that an earlier one's batch no longer commits.
CREATE TABLE ps_retention_policy (
	policy        VARCHAR(64) COLLATE "C"  NOT NULL PRIMARY KEY,
	approved_hash VARCHAR(64) COLLATE "C"  NOT NULL,
	approved_by   VARCHAR(255) COLLATE "C" NOT NULL,
	approved_at   BIGINT                   NOT NULL,
	seen_at       BIGINT                   NOT NULL,
	epoch         BIGINT                   NOT NULL,
	leased_until  BIGINT                   NOT NULL
);

-- The runs: how far each came, and what it deleted. A run that is not finished is continued.
CREATE TABLE ps_retention_run (
	id          VARCHAR(64) COLLATE "C" NOT NULL PRIMARY KEY,
	policy      VARCHAR(64) COLLATE "C" NOT NULL,
	hash        VARCHAR(64) COLLATE "C" NOT NULL,
	cutoff      BIGINT                  NOT NULL,
	progress    TEXT COLLATE "C"        NOT NULL,
	batches     BIGINT                  NOT NULL,
	deleted     BIGINT                  NOT NULL,
	cascaded    TEXT COLLATE "C"        NOT NULL,
	started_at  BIGINT                  NOT NULL,
	finished_at BIGINT                  NOT NULL,
	remaining   BIGINT                  NOT NULL
);

CREATE INDEX ps_retention_run_policy ON ps_retention_run (policy, finished_at, started_at);
