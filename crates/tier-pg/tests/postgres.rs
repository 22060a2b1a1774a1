//! The PostgreSQL tier on real servers.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "postgres/database.rs"]
mod database;
#[path = "postgres/diagnosis.rs"]
mod diagnosis;
#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/files.rs"]
mod files;
#[path = "postgres/leader.rs"]
mod leader;
#[path = "postgres/log.rs"]
mod log;
#[path = "postgres/partitions.rs"]
mod partitions;
#[path = "postgres/pool.rs"]
mod pool;
#[path = "postgres/prepare.rs"]
mod prepare;
#[path = "postgres/replica.rs"]
mod replica;
#[path = "postgres/replicas.rs"]
mod replicas;
#[path = "postgres/table.rs"]
mod table;
#[path = "postgres/tls.rs"]
mod tls;
#[path = "postgres/trigger_work.rs"]
mod trigger_work;
#[path = "postgres/triggers.rs"]
mod triggers;
#[path = "postgres/values.rs"]
mod values;
#[path = "postgres/versions.rs"]
mod versions;
#[path = "postgres/wakes.rs"]
mod wakes;

use database::Database;

store_testkit::tables_suite!(Database::create);
store_testkit::log_suite!(Database::create);
store_testkit::transactions_suite!(Database::create);
store_testkit::journals_suite!(Database::create);
