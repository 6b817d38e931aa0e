// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/adapters/sqlstore"
	"github.com/portalsec/portalsec/auth"
	"github.com/portalsec/portalsec/auth/session"
	"github.com/portalsec/portalsec/auth/throttle"
	"github.com/portalsec/portalsec/crypto"
	"github.com/stretchr/testify/require"
)

// explained is a connection that has a function see each statement before it is carried out.
type explained struct {
	mortal
	see func(query string, args []driver.NamedValue)
}

func (e *explained) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	e.see(query, args)
	return e.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (e *explained) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	e.see(query, args)
	return e.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

type explainer struct {
	mortals
	see func(query string, args []driver.NamedValue)
}

func (e explainer) Connect(context.Context) (driver.Conn, error) {
	c, err := e.from.Open(e.dsn)
	return &explained{mortal{Conn: c}, e.see}, err
}

// scans gives the tables of which a statement reads every row, or every entry of an index.
func (b backend) scans(t *testing.T, db *sql.DB, query string, args []any) (tables []string) {
	t.Helper()
	explain := `EXPLAIN `
	if b.dialect == sqlstore.SQLite {
		explain = `EXPLAIN QUERY PLAN `
	}
	// MariaDB looks a row up to explain, and would wait for itself.
	rows, err := db.Query(explain+strings.TrimSuffix(query, " FOR UPDATE"), args...)
	require.NoError(t, err, query)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		dest := make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		require.NoError(t, rows.Scan(dest...))
		row := map[string]string{}
		for i, c := range columns {
			row[c] = values[i].String
		}
		switch b.dialect {
		case sqlstore.SQLite: // id, parent, notused, detail
			if table, found := strings.CutPrefix(row["detail"], "SCAN "); found {
				tables = append(tables, table)
			}
		case sqlstore.PostgreSQL:
			if m := regexp.MustCompile(`Seq Scan on (\w+)`).FindStringSubmatch(row["QUERY PLAN"]); m != nil {
				tables = append(tables, m[1])
			}
		case sqlstore.MariaDB:
			if row["type"] == "ALL" || row["type"] == "index" {
				tables = append(tables, row["table"])
			}
		}
	}
	require.NoError(t, rows.Err())
	return tables
}

func hash(kind string, i int) [32]byte { return sha256.Sum256(fmt.Append(nil, kind, i)) }

// fill puts many rows into each table that grows with the portal.
func (b backend) fill(t *testing.T, db *sql.DB) {
	t.Helper()
	const n = 3000
	bytes := func(kind string, i int) string {
		h := hash(kind, i)
		return b.literal(string(h[:]))
	}
	for _, f := range []struct {
		table string
		row   func(i int) string
	}{
		{"ps_account (id, tenant, login_index, profile, password_hash, disabled, version, created_at, last_login_at)", func(i int) string {
			return fmt.Sprintf(`'a%d', 't%d', %s, %s, 'hash', FALSE, 1, 1, 1`, i, i%20, bytes("login", i), b.literal("profile"))
		}},
		{"ps_password_history (account_id, version, password_hash, set_at)", func(i int) string {
			return fmt.Sprintf(`'a%d', %d, 'hash', 1`, i/3, -(i % 3))
		}},
		{"ps_one_time (token_hash, purpose, id, account_id, version, data, created_at, expires_at)", func(i int) string {
			return fmt.Sprintf(`%s, 'reset', 'i%d', 'a%d', 1, %s, 1, 9`, bytes("token", i), i, i, b.literal(""))
		}},
		{"ps_session (token_hash, id, tenant, user_id, impersonator, factors, client, created_at, auth_at, last_seen_at, expires_at)", func(i int) string {
			return fmt.Sprintf(`%s, 's%d', 't%d', 'a%d', '', '[]', %s, 1000000, 1000000, 1000000, 9000000`, bytes("session", i), i, i%20, i, b.literal("client"))
		}},
		{"ps_session_version (tenant, user_id, version)", func(i int) string { return fmt.Sprintf(`'t%d', 'a%d', 1`, i%20, i) }},
		{"ps_attempt (lane_key, kind, account_key, failures, since_at, last_at)", func(i int) string {
			return fmt.Sprintf(`%s, 'account', %s, 1, 1, 1`, bytes("lane", i), bytes("account", i))
		}},
		{"ps_mfa_factor (id, tenant, user_id, kind, secret, step, created_at)", func(i int) string {
			return fmt.Sprintf(`'f%d', 't%d', 'a%d', 'totp', %s, 1, 1`, i, i%20, i, b.literal("secret"))
		}},
		{"ps_mfa_recovery_code (factor_id, hash, used_at)", func(i int) string {
			return fmt.Sprintf(`'f%d', %s, 0`, i, bytes("code", i))
		}},
		{"ps_mfa_pending (tenant, user_id, id, visit, secret, expires_at)", func(i int) string {
			return fmt.Sprintf(`'t%d', 'a%d', 'p%d', 'v', %s, 9`, i%20, i, i, b.literal("secret"))
		}},
		{"ps_mfa_tries (tenant, user_id, tries, not_before)", func(i int) string { return fmt.Sprintf(`'t%d', 'a%d', 1, 1`, i%20, i) }},
		{"ps_mfa_policy (tenant, everyone, roles, since)", func(i int) string { return fmt.Sprintf(`'t%d', TRUE, '[]', 1`, i) }},
		{"ps_rbac_assignment (id, tenant, subject, role, scope, from_at, until_at, grantor, reason)", func(i int) string {
			return fmt.Sprintf(`'r%d', 't%d', 'a%d', 'agent', 't%d', 1, 0, '', ''`, i, i%20, i, i%20)
		}},
		{"ps_crypto_key (id, kind, tenant, subject, version, slot, parent, wrapped, commitment, created_at, shredded_at)", func(i int) string {
			return fmt.Sprintf(`'%016x', 'subject', 't%d', 'a%d', 1, 1, 'p', %s, %s, 1, 0`, i, i%20, i, bytes("wrapped", i), bytes("commitment", i))
		}},
	} {
		rows := make([]string, n)
		for i := range rows {
			rows[i] = f.row(i)
		}
		_, err := db.Exec(`INSERT INTO ` + f.table + ` VALUES (` + strings.Join(rows, `), (`) + `)`)
		require.NoError(t, err, f.table)
		name, _, _ := strings.Cut(f.table, " ")
		if b.dialect == sqlstore.MariaDB {
			name = "TABLE " + name
		}
		_, err = db.Exec(`ANALYZE ` + name)
		require.NoError(t, err)
	}
}

// What every request, every login or one user's act runs finds its rows by an index.
func TestPlans(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		dsn := b.make(t)
		_, db := b.stores(t, dsn)
		b.fill(t, db)
		step, seen, tables := "", 0, map[string]bool{}
		watched := sql.OpenDB(explainer{mortals{dsn: dsn, from: db.Driver()}, func(query string, args []driver.NamedValue) {
			verb := strings.Fields(query)[0]
			if step == "" || verb != "SELECT" && verb != "UPDATE" && verb != "DELETE" {
				return
			}
			seen++
			for _, m := range regexp.MustCompile(`\bps_\w+`).FindAllString(query, -1) {
				tables[m] = true
			}
			values := make([]any, len(args))
			for i, a := range args {
				values[i] = a.Value
			}
			for _, table := range b.scans(t, db, query, values) {
				if table != "ps_rbac_version" && table != "ps_network_rules" { // they have one row
					t.Errorf("%s reads all of %s: %s", step, table, query)
				}
			}
		}})
		defer watched.Close()
		s, err := sqlstore.Open(t.Context(), watched, b.dialect)
		require.NoError(t, err)

		ctx, now := t.Context(), time.Unix(2, 0)
		lane := func(i int) throttle.Lane {
			return throttle.Lane{Key: hash("lane", i), Kind: throttle.KindAccount, Limit: throttle.Limit{Free: 100}}
		}
		login := func(i int) []byte { h := hash("login", i); return h[:] }
		for _, a := range []act{
			{name: "session by token", call: func(ctx context.Context) error {
				_, err := s.Sessions().TouchSession(ctx, hash("session", 7), session.Touch{Now: now, WriteBefore: now})
				return err
			}},
			{name: "session of another token", call: func(ctx context.Context) error {
				return s.Sessions().RotateSession(ctx, hash("session", 8), session.Record{Token: hash("next", 8)})
			}},
			{name: "session data", call: func(ctx context.Context) error {
				_, err := s.Sessions().SetSessionData(ctx, hash("session", 9), []byte("other"), nil)
				return err
			}},
			{name: "sessions of a user", call: func(ctx context.Context) error {
				_, err := s.Sessions().ListSessions(ctx, "t7", "a7")
				return err
			}},
			{name: "new session", call: func(ctx context.Context) error {
				return s.Sessions().CreateSession(ctx, session.Record{Token: hash("new", 1), ID: "new", Tenant: "t7", User: "a7"}, 1)
			}},
			{name: "end of a session", call: func(ctx context.Context) error {
				_, err := s.Sessions().DeleteSession(ctx, "t11", "a11", "s11")
				return err
			}},
			{name: "end of all sessions", call: func(ctx context.Context) error {
				_, err := s.Sessions().BumpUser(ctx, "t12", "a12", "")
				return err
			}},
			{name: "account by login", call: func(ctx context.Context) error {
				_, err := s.Accounts().AccountByLogin(ctx, [][]byte{login(5)})
				return err
			}},
			{name: "account by one of several logins", call: func(ctx context.Context) error {
				_, err := s.Accounts().AccountByLogin(ctx, [][]byte{login(5), login(-1), login(-2)})
				return err
			}},
			{name: "account by ID", call: func(ctx context.Context) error {
				_, err := s.Accounts().Account(ctx, "a5")
				return err
			}},
			{name: "accounts of a tenant", call: func(ctx context.Context) error {
				_, err := s.Accounts().ListAccounts(ctx, "t5", "a5", 10)
				return err
			}},
			{name: "new account", call: func(ctx context.Context) error {
				return s.Accounts().CreateAccount(ctx, auth.AccountRecord{ID: "new", Login: login(-3)})
			}},
			{name: "new login", call: func(ctx context.Context) error {
				_, err := s.Accounts().SetLogin(ctx, "a6", 1, login(-4), nil)
				return err
			}},
			{name: "new password", call: func(ctx context.Context) error {
				_, err := s.Accounts().SetPassword(ctx, "a7", 1, auth.NewPassword{Hash: "new", Keep: 1})
				return err
			}},
			{name: "password history", call: func(ctx context.Context) error {
				_, err := s.Accounts().PasswordHistory(ctx, "a7")
				return err
			}},
			{name: "last login", call: func(ctx context.Context) error { return s.Accounts().MarkLogin(ctx, "a7", now) }},
			{name: "end of an account", call: func(ctx context.Context) error { return s.Accounts().DeleteAccount(ctx, "a8") }},
			{name: "one-time token", call: func(ctx context.Context) error {
				_, err := s.OneTime().OneTime(ctx, auth.PurposeReset, hash("token", 5))
				return err
			}},
			{name: "use of a one-time token", call: func(ctx context.Context) error {
				_, err := s.OneTime().ConsumeOneTime(ctx, auth.PurposeReset, hash("token", 5))
				return err
			}},
			{name: "end of a user's one-time tokens", call: func(ctx context.Context) error {
				_, err := s.OneTime().RevokeOneTime(ctx, "a6", auth.PurposeReset, auth.PurposeEmail)
				return err
			}},
			{name: "attempt", call: func(ctx context.Context) error {
				_, err := s.Attempts().TakeAttempt(ctx, []throttle.Lane{lane(1), lane(2), lane(-1)}, now)
				return err
			}},
			{name: "settled attempt", call: func(ctx context.Context) error {
				return s.Attempts().SettleAttempt(ctx, []throttle.Key{hash("lane", 1)}, []throttle.Key{hash("lane", 2)})
			}},
			{name: "forgotten attempts", call: func(ctx context.Context) error { return s.Attempts().ResetAccount(ctx, hash("account", 5)) }},
			{name: "factors", call: func(ctx context.Context) error {
				_, err := s.Factors().Factors(ctx, "t5", "a5")
				return err
			}},
			{name: "pending enrolment", call: func(ctx context.Context) error {
				_, err := s.Factors().Pending(ctx, "t5", "a5", time.UnixMicro(1))
				return err
			}},
			{name: "TOTP step", call: func(ctx context.Context) error {
				_, err := s.Factors().AdvanceTOTP(ctx, "f5", 2)
				return err
			}},
			{name: "recovery code", call: func(ctx context.Context) error {
				_, err := s.Factors().ConsumeCode(ctx, "f5", []byte("hash"), now)
				return err
			}},
			{name: "try of a code", call: func(ctx context.Context) error {
				_, _, err := s.Factors().TakeTry(ctx, "t5", "a5", now, func(int) time.Duration { return 0 })
				return err
			}},
			{name: "forgotten tries", call: func(ctx context.Context) error { return s.Factors().ClearTries(ctx, "t5", "a5") }},
			{name: "removed factor", call: func(ctx context.Context) error {
				_, err := s.Factors().Remove(ctx, "t5", "a5", "f5")
				return err
			}},
			{name: "second-factor policy", call: func(ctx context.Context) error {
				_, err := s.Factors().Policy(ctx, "t5")
				return err
			}},
			{name: "assignments", call: func(ctx context.Context) error {
				_, err := s.Assignments().List(ctx, "t5", "a5")
				return err
			}},
			{name: "version of the assignments", call: func(ctx context.Context) error {
				_, err := s.Assignments().Version(ctx)
				return err
			}},
			{name: "key by scope", call: func(ctx context.Context) error {
				_, err := s.Keys().ActiveKey(ctx, crypto.Scope{Kind: crypto.KindSubject, Tenant: "t5", Subject: "a5"})
				return err
			}},
			{name: "key by ID", call: func(ctx context.Context) error {
				_, err := s.Keys().Key(ctx, crypto.KeyID{7: 5})
				return err
			}},
		} {
			step, seen = a.name, 0
			require.NoError(t, a.call(ctx), a.name)
			require.Positive(t, seen, a.name)
		}
		require.Greater(t, len(tables), 12)
		step = ""
		require.NotEmpty(t, b.scans(t, db, `SELECT * FROM ps_session WHERE client = `+b.literal("x"), nil), "a scan is found")
	})
}
