// SPDX-License-Identifier: Apache-2.0

// Package sqlstore keeps the state of the SDK's packages in a SQL database, through database/sql.
//
// Start with [Open], which brings the schema up to date, and take each package's store from the [DB] that it
// gives. The caller imports the driver and owns the *sql.DB. SQLite is supported, with the driver
// modernc.org/sqlite and the settings of [SQLiteDSN].
//
// All tables start with "ps_", so an application's own tables can stand in the same database. Times are
// stored as microseconds since 1970 in UTC. The package protects nothing by itself: what must be unreadable
// in the database is sealed before it gets here.
package sqlstore
