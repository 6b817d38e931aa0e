-- The portal's own tables. Columns with sealed content are BLOBs; see store.go for what is sealed.

-- What kind of portal this is; one row.
CREATE TABLE portal_setting (
	only INTEGER PRIMARY KEY CHECK (only = 1),
	demo BOOLEAN NOT NULL
);

-- The operator is the organisation that runs the portal: what holds for all organisations is its to decide.
CREATE TABLE portal_organisation (
	tenant   TEXT PRIMARY KEY,
	name     TEXT NOT NULL,
	operator BOOLEAN NOT NULL
);

CREATE TABLE portal_contact (
	account_id TEXT PRIMARY KEY,
	tenant     TEXT NOT NULL,
	phone      BLOB NOT NULL,
	address    BLOB NOT NULL
);

CREATE TABLE portal_ticket (
	id          TEXT PRIMARY KEY,
	tenant      TEXT NOT NULL,
	customer_id TEXT NOT NULL,
	subject     BLOB NOT NULL,
	status      TEXT NOT NULL CHECK (status IN ('open', 'closed')),
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL,
	closed_at   BIGINT,
	CHECK ((status = 'closed') = (closed_at IS NOT NULL))
);
CREATE INDEX portal_ticket_list ON portal_ticket (tenant, updated_at DESC, id DESC);
CREATE INDEX portal_ticket_own ON portal_ticket (tenant, customer_id, updated_at DESC, id DESC);
CREATE INDEX portal_ticket_status ON portal_ticket (tenant, status, customer_id);
CREATE INDEX portal_ticket_closed ON portal_ticket (closed_at, id);

CREATE TABLE portal_message (
	id         TEXT PRIMARY KEY,
	ticket_id  TEXT NOT NULL REFERENCES portal_ticket (id) ON DELETE CASCADE,
	author_id  TEXT NOT NULL,
	body       BLOB NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX portal_message_ticket ON portal_message (ticket_id, created_at, id);

CREATE TABLE portal_attachment (
	id         TEXT PRIMARY KEY,
	ticket_id  TEXT NOT NULL REFERENCES portal_ticket (id) ON DELETE CASCADE,
	author_id  TEXT NOT NULL,
	name       BLOB NOT NULL,
	media_type TEXT NOT NULL,
	size       BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX portal_attachment_ticket ON portal_attachment (ticket_id, created_at, id);

CREATE TABLE portal_appointment (
	id          TEXT PRIMARY KEY,
	tenant      TEXT NOT NULL,
	customer_id TEXT NOT NULL,
	topic       BLOB NOT NULL,
	starts_at   BIGINT NOT NULL,
	status      TEXT NOT NULL CHECK (status IN ('booked', 'cancelled')),
	created_at  BIGINT NOT NULL
);
-- One desk for each organisation: the database itself refuses a slot that is taken.
CREATE UNIQUE INDEX portal_appointment_slot ON portal_appointment (tenant, starts_at) WHERE status = 'booked';
CREATE INDEX portal_appointment_list ON portal_appointment (tenant, starts_at, id);
CREATE INDEX portal_appointment_own ON portal_appointment (tenant, customer_id, starts_at);
