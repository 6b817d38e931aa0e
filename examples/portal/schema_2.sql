-- Whether visitors may register as customers of an organisation.
ALTER TABLE portal_organisation ADD COLUMN open BOOLEAN NOT NULL DEFAULT FALSE;

-- What users have reported as not theirs, until somebody has dealt with it. It names nobody but by number.
CREATE TABLE portal_report (
	id         TEXT PRIMARY KEY,
	tenant     TEXT NOT NULL,
	kind       TEXT NOT NULL,
	account_id TEXT NOT NULL,
	session_id TEXT NOT NULL,
	note       TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	closed_at  BIGINT,
	closed_by  TEXT
);
CREATE INDEX portal_report_list ON portal_report (tenant, created_at DESC, id DESC);
