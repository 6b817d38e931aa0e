-- password_set_at and frozen_until are 0 where there is no password and nothing is frozen. When the password of an
-- account from before was set is not known; it was not before the account was made.
ALTER TABLE ps_account ADD COLUMN password_set_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ps_account ADD COLUMN frozen_until BIGINT NOT NULL DEFAULT 0;
UPDATE ps_account SET password_set_at = created_at WHERE password_hash <> '';

-- Earlier password hashes. version is the account's when the hash was replaced: it puts them in order.
CREATE TABLE ps_password_history (
	account_id    VARCHAR(64)  NOT NULL,
	version       BIGINT       NOT NULL,
	password_hash VARCHAR(512) NOT NULL,
	set_at        BIGINT       NOT NULL,
	PRIMARY KEY (account_id, version)
);

-- One-time tokens by their SHA-256: logins under way and what mailed links carry. They take the place of the
-- pending logins, which live for minutes: whoever is between password and second factor signs in again.
CREATE TABLE ps_one_time (
	token_hash BLOB        NOT NULL PRIMARY KEY,
	purpose    VARCHAR(32) NOT NULL,
	id         VARCHAR(64) NOT NULL,
	account_id VARCHAR(64) NOT NULL,
	version    BIGINT      NOT NULL,
	data       BLOB        NOT NULL,
	created_at BIGINT      NOT NULL,
	expires_at BIGINT      NOT NULL
);
CREATE INDEX ps_one_time_account ON ps_one_time (account_id);
CREATE INDEX ps_one_time_expires ON ps_one_time (expires_at);
DROP TABLE ps_pending_login;

-- stamp sums up what the session may do, data is the application's.
ALTER TABLE ps_session ADD COLUMN stamp VARCHAR(64) NOT NULL DEFAULT '';
ALTER TABLE ps_session ADD COLUMN data BLOB NOT NULL DEFAULT x'';
CREATE INDEX ps_session_impersonator ON ps_session (tenant, impersonator);
