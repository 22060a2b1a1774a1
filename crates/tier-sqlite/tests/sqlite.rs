//! The SQLite tier, on files of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "sqlite/crash.rs"]
mod crash;
#[path = "sqlite/life.rs"]
mod life;
#[path = "sqlite/outside.rs"]
mod outside;
#[path = "sqlite/processes.rs"]
mod processes;
#[path = "sqlite/rebuilding.rs"]
mod rebuilding;
#[path = "sqlite/streams.rs"]
mod streams;
#[path = "sqlite/support.rs"]
mod support;
#[path = "sqlite/wakes.rs"]
mod wakes;

use support::database;

store_testkit::tables_suite!(database);
store_testkit::log_suite!(database);
store_testkit::transactions_suite!(database);
store_testkit::journals_suite!(database);
