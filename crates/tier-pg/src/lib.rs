//! Strata's tier of truth on PostgreSQL: [`PgTier`], configured by [`PgConfig`].
//!
//! It keeps rows in tables, draws a version for each write and writes each commit to a log in the same transaction, from which caches everywhere learn what
//! changed. Searches and counts may go to a read replica.

mod catalog;
mod config;
mod connect;
mod delete;
mod error;
mod json;
mod log;
mod pool;
mod prepare;
mod read;
mod select;
mod snapshot;
mod statements;
mod tier;
mod tls;
mod url;
mod value;
mod write;

pub use config::{PgConfig, SslMode};
pub use tier::PgTier;
