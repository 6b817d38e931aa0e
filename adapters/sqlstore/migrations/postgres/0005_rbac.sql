-- Who holds which role where. from_at and until_at are microseconds since 1970; until_at 0 means without end.
CREATE TABLE ps_rbac_assignment (
	id       VARCHAR(64) COLLATE "C"  NOT NULL PRIMARY KEY,
	tenant   VARCHAR(255) COLLATE "C" NOT NULL,
	subject  VARCHAR(255) COLLATE "C" NOT NULL,
	role     VARCHAR(100) COLLATE "C" NOT NULL,
	scope    VARCHAR(255) COLLATE "C" NOT NULL,
	from_at  BIGINT                   NOT NULL,
	until_at BIGINT                   NOT NULL,
	grantor  VARCHAR(255) COLLATE "C" NOT NULL,
	reason   VARCHAR(500) COLLATE "C" NOT NULL,
	UNIQUE (tenant, subject, role, scope)
);

-- One row. Every change of the table above counts it up first, in the same transaction: that also puts the
-- writers in a row.
CREATE TABLE ps_rbac_version (
	id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	version BIGINT  NOT NULL
);
INSERT INTO ps_rbac_version (id, version) VALUES (1, 0);
