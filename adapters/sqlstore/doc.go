// SPDX-License-Identifier: Apache-2.0

// Package sqlstore keeps the state of the SDK's packages in a SQL database, through database/sql.
//
// Start with [Open], which brings the schema up to date, and take each package's store from the [DB] that it
// gives. The caller imports the driver and owns the *sql.DB, with its number of connections and their lifetime.
//
// # Databases
//
// [SQLite], with modernc.org/sqlite and the settings of [SQLiteDSN], is for one machine: several processes may share
// the file. Transactions take the write lock at their start.
//
// [PostgreSQL], with github.com/jackc/pgx/v5/stdlib, needs a database in UTF-8. The tables are made in the first schema
// of the search_path. Open refuses another encoding.
//
// [MariaDB], with github.com/go-sql-driver/mysql, needs clientFoundRows=true in the data source name, the character set
// utf8mb4 (the driver's default) and a strict sql_mode (the server's default). Open refuses connections without them:
// without the first the stores would be wrong about who was first. parseTime is not needed. Transactions are
// tried again after a deadlock as this driver reports it; with another driver they fail.
//
// Transactions choose their isolation themselves, READ COMMITTED on the two servers, whatever the default is. All
// connections must go to one server that takes the writes: on a replica, what was ended a moment ago would still hold,
// and in a cluster whose members all take writes the locks do not reach the others.
//
// # Schema
//
// All tables start with "ps_", so an application's own tables can stand in the same database. Times are
// stored as microseconds since 1970 in UTC. Text is compared byte by byte on all databases. Open applies the missing
// migrations in their order and notes each in ps_migration; several processes may do so at once, and one that is
// killed leaves what the next one goes on with. On SQLite and PostgreSQL all is one transaction; MariaDB commits with
// each statement, so there Open repeats the statements of the migration that was cut short. For Open to
// migrate, the database's user needs the right to create and change tables; when the schema is up to date, reading and
// writing rows is enough. A program refuses a schema newer than its own, so upgrade all processes
// before the first one goes back. Make a backup before an upgrade: there is no way down.
//
// # Failure
//
// A store returns an error when the database does not answer in the time of the context, and the act is not done:
// what a server still has in its queue was not committed. Only when the connection is lost, or the context ends, while
// the commit itself is under way can the act have been done all the same.
//
// # Backups
//
// What is ended or consumed comes back with a restored backup: sessions, one-time tokens, recovery codes and TOTP
// steps. End all sessions and remove the rows of ps_one_time after a restore. A subject's key that was shredded
// is in older backups, and on PostgreSQL and MariaDB also in the files and logs of the server until these are
// overwritten: its shredding is complete when they are gone. SQLiteDSN has the file overwritten at once.
//
// The package protects nothing by itself: what must be unreadable in the database is sealed before it gets here.
package sqlstore
