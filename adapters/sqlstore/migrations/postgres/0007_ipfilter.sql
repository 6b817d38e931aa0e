-- The network rules of the portal: one row, made here, so that replacing the rules is a single UPDATE that
-- compares the version. The rules are JSON as package ipfilter encodes them; version 0 means never stored.
CREATE TABLE ps_network_rules (
	id      INTEGER          PRIMARY KEY CHECK (id = 1),
	version BIGINT           NOT NULL,
	rules   TEXT COLLATE "C" NOT NULL
);
INSERT INTO ps_network_rules (id, version, rules) VALUES (1, 0, '{}');
