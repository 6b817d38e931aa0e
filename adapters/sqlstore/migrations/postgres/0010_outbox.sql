-- Letters that wait for a mail server, and those that were given up. Times are 0 where there is none. A letter is
-- leased while leased_until is to come; lease is empty again once what became of it is written.
CREATE TABLE ps_outbox (
	id           VARCHAR(64) COLLATE "C"  NOT NULL PRIMARY KEY,
	kind         VARCHAR(64) COLLATE "C"  NOT NULL,
	tenant       VARCHAR(255) COLLATE "C" NOT NULL,
	account_id   VARCHAR(255) COLLATE "C" NOT NULL,
	sealed       BYTEA                    NOT NULL,
	created_at   BIGINT                   NOT NULL,
	expires_at   BIGINT                   NOT NULL,
	due_at       BIGINT                   NOT NULL,
	tries        INTEGER                  NOT NULL,
	tried_at     BIGINT                   NOT NULL,
	reason       VARCHAR(32) COLLATE "C"  NOT NULL,
	failed_at    BIGINT                   NOT NULL,
	lease        VARCHAR(64) COLLATE "C"  NOT NULL,
	leased_until BIGINT                   NOT NULL
);
CREATE INDEX ps_outbox_due ON ps_outbox (failed_at, due_at);
