-- Who holds which role where. from_at and until_at are microseconds since 1970; until_at 0 means without end.
-- Tenant, subject and scope are bytes: as text of up to four bytes a character they would be too long for one index.
CREATE TABLE IF NOT EXISTS ps_rbac_assignment (
	id       VARCHAR(64)    NOT NULL PRIMARY KEY,
	tenant   VARBINARY(255) NOT NULL,
	subject  VARBINARY(255) NOT NULL,
	role     VARCHAR(100)   NOT NULL,
	scope    VARBINARY(255) NOT NULL,
	from_at  BIGINT         NOT NULL,
	until_at BIGINT         NOT NULL,
	grantor  VARCHAR(255)   NOT NULL,
	reason   VARCHAR(500)   NOT NULL,
	UNIQUE (tenant, subject, role, scope)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- One row. Every change of the table above counts it up first, in the same transaction: that also puts the
-- writers in a row.
CREATE TABLE IF NOT EXISTS ps_rbac_version (
	id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	version BIGINT  NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
INSERT INTO ps_rbac_version (id, version) VALUES (1, 0) ON DUPLICATE KEY UPDATE id = id;
