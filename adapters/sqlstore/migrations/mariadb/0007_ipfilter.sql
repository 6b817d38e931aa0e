-- The network rules of the portal: one row, made here, so that replacing the rules is a single UPDATE that
-- compares the version. The rules are JSON as package ipfilter encodes them; version 0 means never stored.
CREATE TABLE IF NOT EXISTS ps_network_rules (
	id      INTEGER    PRIMARY KEY CHECK (id = 1),
	version BIGINT     NOT NULL,
	rules   MEDIUMTEXT NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
INSERT INTO ps_network_rules (id, version, rules) VALUES (1, 0, '{}') ON DUPLICATE KEY UPDATE id = id;
