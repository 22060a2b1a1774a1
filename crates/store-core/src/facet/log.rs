//! The log of commits, that invalidations are fed from.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::version::Version;

/// Transactions above this many keys are one row of the log, for the whole schema.
pub const BULK_LOG_LIMIT: usize = 1_000;

/// What a row of the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogKind {
    /// A record was inserted or updated.
    Put,
    /// A record was deleted.
    Delete,
    /// A cached copy is to be dropped; the record itself did not change.
    Invalidate,
}

/// One row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The schema's name.
    pub schema: String,
    /// The key's text form; `None` for the whole schema.
    pub key: Option<String>,
    /// The version that the write drew.
    pub version: Version,
    /// What happened.
    pub kind: LogKind,
}

/// A follower's place in the log. Only the tier that made it can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCursor(String);

impl LogCursor {
    /// Wraps a tier's own notation.
    pub fn new(position: impl Into<String>) -> Self {
        LogCursor(position.into())
    }

    /// The tier's own notation.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What was committed between two places of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBatch {
    /// The entries, in no order that means anything across keys.
    pub entries: Vec<LogEntry>,
    /// The place after them.
    pub cursor: LogCursor,
    /// Whether entries between the cursor and the batch were pruned: the follower must drop everything that they might concern.
    pub gap: bool,
}

/// The log of commits in the tier of truth.
///
/// Implementations MUST answer every commit exactly once between two cursors, however transactions overlap: a transaction that was open at the first
/// cursor and committed before the second is in the batch between them, whatever its number.
#[async_trait]
pub trait Log: Debug + Send + Sync {
    /// The present end of the log.
    async fn end(&self) -> Result<LogCursor>;

    /// Everything committed since a cursor.
    async fn read(&self, after: &LogCursor) -> Result<LogBatch>;

    /// Writes entries that stand for no data, in a transaction of their own: invalidations.
    /// Each draws a version; that in the given entries is ignored.
    async fn append(&self, entries: &[LogEntry]) -> Result<()>;

    /// Drops entries older than `age` and returns how many. Followers that had not read them learn of a gap.
    async fn prune(&self, age: Duration) -> Result<u64>;
}
