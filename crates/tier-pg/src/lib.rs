//! Strata's tier of truth on PostgreSQL: [`PgTier`], configured by [`PgConfig`].
//!
//! It keeps rows in tables, draws a version for each write and writes each commit to a log in the same transaction, from which caches everywhere learn what
//! changed. Searches and counts may go to a read replica; who must read its own writes is answered by one that has replayed them, or by the primary.
//! Triggers bring the writes of other programs into the log, if that is asked for.

mod bulk;
mod catalog;
mod closing;
mod conditional;
mod config;
mod connect;
mod delete;
mod diagnosis;
mod error;
mod files;
mod journals;
mod json;
mod leader;
mod log;
mod migrations;
mod missing;
mod orphans;
mod pool;
mod read;
mod records;
mod replica;
mod scope;
mod select;
mod snapshot;
mod statements;
mod steps;
mod survey;
mod tier;
mod tls;
mod transaction;
mod triggers;
mod turn;
mod url;
mod value;
mod violation;
mod wakes;
mod write;

pub use config::{PgConfig, SslMode};
pub use tier::PgTier;
