//! An append-only log of opaque entries: checksummed, in segments of bounded size, made durable by group commit.
//!
//! [`Log::append`] is acknowledged when its entry is durable. Whoever appends while the disk is busy shares the next `fdatasync`, so that many writers cost hardly more than
//! one. After a crash [`Log::open`] finds every acknowledged entry, in order, and each batch whole or not at all.
//!
//! ```
//! use store_log::{Log, LogConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let log = Log::open(directory.path(), LogConfig::default())?;
//! let first = log.append(b"one").wait()?; // or `.await`
//! log.append_batch([b"two", b"six"]).wait()?;
//!
//! let entries: Vec<_> = log.entries(first).collect::<Result<_, _>>()?;
//! assert_eq!(entries[2].payload, b"six");
//! log.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! - **Sequences.** Entries are numbered from 1 without gaps. [`Log::read`] and [`Log::entries`] go by these numbers, also while others append.
//! - **Room.** [`Log::release`] drops whole segments. Where `max_bytes` or the disk leaves no room, an append fails, changes nothing, and may be tried again: once all entries are
//!   released there is room, however large the segments are.
//! - **Damage.** What a crash left unfinished at the very end is cut off and told by [`Log::recovery`]. Anything else that does not check is an error which names the file, the
//!   byte, the entries and the way on; nothing is skipped but what [`LogConfig::skip_damage_up_to`] allows.
//! - **A failed sync.** Nobody can tell what the disk holds then, so the log acknowledges nothing more until it is opened again.
//! - **Owner.** One `Log` at a time owns a directory, by a file lock that ends with its process.
//!
//! The format is described byte by byte in `docs/log-format.md`.

#![doc(test(attr(deny(warnings))))]

mod commit;
mod config;
mod create;
mod entries;
mod error;
mod files;
mod format;
mod log;
mod queue;
mod recovery;
mod scan;
mod segment;
mod shared;
#[cfg(test)]
mod tests;
mod writer;

pub use commit::Commit;
pub use config::LogConfig;
pub use entries::{Entries, Entry};
pub use error::{LogError, LogErrorKind};
pub use log::Log;
pub use recovery::{Cut, Recovery, Skipped};

/// The result of every fallible call.
pub type Result<T, E = LogError> = std::result::Result<T, E>;
