//! Strata's embedded tier of truth: rows in a SQLite file, with versions and the log of commits.
//!
//! [`SqliteTier::open`] takes a path, or a [`SqliteConfig`] for the rest. The database is an ordinary SQLite file with strict tables that other
//! programs may read and, while they keep transactions short, write. Several processes may use one file on a local disk.
//!
//! - **Durability.** The file uses a write-ahead log with `synchronous = FULL`: a write that was acknowledged survives `kill -9` and power cuts.
//!   [`Synchronous::Normal`] gives up the latter for speed.
//! - **Concurrency.** One thread writes; readers, each on a thread of its own, neither wait for it nor it for them. Async threads never touch the
//!   file. A write whose future is dropped happens whole or not at all. A stream shows one moment of the database; while it is open, the
//!   write-ahead log grows with what is written beside it.
//! - **Types.** Whole numbers, booleans (0 and 1) and times (microseconds since 1970) are INTEGER, floating-point numbers REAL, text and JSON TEXT,
//!   bytes and UUIDs BLOB. NaN is refused, since SQLite would store NULL; minus zero is stored as the zero it is equal to.
//! - **Versions** are drawn from a counter in the table `_strata_version`; `_strata_log` names every key that was written, for whoever follows.
//! - **Processes.** Tiers on one file, in one process or in several, follow each other's commits: whoever listens notices one within about 20 ms. What need
//!   be done once for all of them is done by one, the holder of a lock on an empty file beside the database (`app.db-leader`), which is made when a
//!   leader is first sought. The file stays; leave it alone while a process has the database open.

#![doc(test(attr(deny(warnings))))]

mod asker;
mod bulk;
mod collations;
mod commit;
mod conditional;
mod config;
mod connection;
mod constraints;
mod declared;
mod diagnosis;
mod error;
mod file;
mod files;
mod indexes;
mod journals;
mod layout;
mod leader;
mod log;
mod migrations;
mod plan;
mod read;
mod rebuilding;
mod records;
mod survey;
mod tables;
mod tier;
mod transaction;
mod value;
mod wakes;
mod workers;
mod write;

pub use config::{SqliteConfig, Synchronous};
pub use tier::SqliteTier;
