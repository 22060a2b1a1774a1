//! The log of commits, that invalidations are fed from.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::version::Version;

/// Transactions above this many keys are one row of the log, for the whole schema.
pub const BULK_LOG_LIMIT: usize = 1_000;

/// What a row of the log says.
///
/// ```
/// use store_core::facet::LogKind;
///
/// fn changed_data(kind: LogKind) -> bool {
///     matches!(kind, LogKind::Put | LogKind::Delete)
/// }
/// assert!(!changed_data(LogKind::Invalidate));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogKind {
    /// A record was inserted or updated.
    Put,
    /// A record was deleted.
    Delete,
    /// A cached copy is to be dropped; the record itself did not change.
    Invalidate,
    /// The cached copies with a tag are to be dropped. The entry's key is the tag.
    InvalidateTag,
}

/// One row of the log.
///
/// ```
/// use store_core::Version;
/// use store_core::facet::{LogEntry, LogKind};
///
/// // As it is appended: the tier draws the version.
/// let whole_schema = LogEntry { schema: "city".into(), key: None, version: Version::default(), kind: LogKind::Invalidate, columns: None };
/// assert_eq!(whole_schema.version.get(), 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The schema's name.
    pub schema: String,
    /// The key's text form, or the tag of [`InvalidateTag`](LogKind::InvalidateTag); `None` for the whole schema.
    pub key: Option<String>,
    /// The version that the write drew.
    pub version: Version,
    /// What happened.
    pub kind: LogKind,
    /// Of a [`Put`](LogKind::Put) of a record that was there, the names of the columns that it set; all others are as before. `None` where nothing is known of that.
    pub columns: Option<Vec<String>>,
}

/// What stands between a key and the names of columns. No key's text form holds a control character.
const SEPARATOR: char = '\u{1}';

impl LogEntry {
    /// A key with the names of the columns that a write of it set, as one text: for tiers whose log has no other place for them.
    ///
    /// ```
    /// use store_core::facet::LogEntry;
    ///
    /// let text = LogEntry::join_columns("7", &["name", "population"]);
    /// assert_eq!(LogEntry::split_columns(text), ("7".into(), Some(vec!["name".into(), "population".into()])));
    /// assert_eq!(LogEntry::split_columns("7".into()), ("7".into(), None));
    /// ```
    pub fn join_columns(key: &str, columns: &[&str]) -> String {
        columns.iter().fold(key.to_owned(), |mut text, column| {
            text.push(SEPARATOR);
            text.push_str(column);
            text
        })
    }

    /// What [`join_columns`](Self::join_columns) has joined.
    pub fn split_columns(mut text: String) -> (String, Option<Vec<String>>) {
        let Some(end) = text.find(SEPARATOR) else { return (text, None) };
        let columns = text[end + 1..].split(SEPARATOR).map(str::to_owned).collect();
        text.truncate(end);
        (text, Some(columns))
    }
}

/// A follower's place in the log. Only the tier that made it can read it.
///
/// ```
/// use store_core::facet::LogCursor;
///
/// let cursor = LogCursor::new("1042:");
/// assert_eq!(cursor.as_str(), "1042:");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
///
/// ```
/// use store_core::facet::{LogBatch, LogCursor, LogEntry};
///
/// /// What a follower must drop: these entries, or (`None`) all it has.
/// fn to_drop(batch: LogBatch) -> Option<Vec<LogEntry>> {
///     (!batch.gap).then_some(batch.entries)
/// }
/// let batch = LogBatch { entries: Vec::new(), cursor: LogCursor::new("7"), gap: true };
/// assert_eq!(to_drop(batch), None);
/// ```
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
/// An entry of a kind that a build does not know is answered as an invalidation of the whole schema.
///
/// Implementations MUST answer every commit exactly once between two cursors, however transactions overlap: a transaction that was open at the first
/// cursor and committed before the second is in the batch between them, whatever its number.
///
/// Errors are of kind [`L3Unavailable`](crate::ErrorKind::L3Unavailable), [`Timeout`](crate::ErrorKind::Timeout) or
/// [`AccessDenied`](crate::ErrorKind::AccessDenied). Dropping a call's future leaves all of what it would have written, or nothing.
///
/// ```
/// use std::sync::{Mutex, PoisonError};
/// use std::time::Duration;
/// use store_core::facet::{Log, LogBatch, LogCursor, LogEntry};
/// use store_core::{Error, ErrorKind, Result, Version};
/// # use store_core::facet::LogKind;
///
/// /// A log in memory that keeps everything, of a tier whose commits never overlap. Its cursor is a position in the list.
/// #[derive(Debug, Default)]
/// struct ListLog(Mutex<Vec<LogEntry>>);
///
/// #[async_trait::async_trait]
/// impl Log for ListLog {
///     async fn end(&self) -> Result<LogCursor> {
///         let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         Ok(LogCursor::new(entries.len().to_string()))
///     }
///
///     async fn read(&self, after: &LogCursor) -> Result<LogBatch> {
///         let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         let new = after.as_str().parse().ok().and_then(|start: usize| entries.get(start..));
///         let new = new.ok_or_else(|| Error::new(ErrorKind::InvalidQuery, "the cursor is not of this log; start from its end"))?;
///         Ok(LogBatch { entries: new.to_vec(), cursor: LogCursor::new(entries.len().to_string()), gap: false })
///     }
///
///     fn covers(&self, place: &LogCursor, earlier: &LogCursor) -> bool {
///         let number = |place: &LogCursor| place.as_str().parse::<usize>().ok();
///         number(place).zip(number(earlier)).is_some_and(|(place, earlier)| place >= earlier)
///     }
///
///     async fn append(&self, entries: &[LogEntry]) -> Result<Vec<Version>> {
///         let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         let mut versions = Vec::new();
///         for entry in entries {
///             let version = Version::new(list.len() as u64 + 1);
///             list.push(LogEntry { version, ..entry.clone() });
///             versions.push(version);
///         }
///         Ok(versions)
///     }
///
///     async fn prune(&self, _: Duration) -> Result<u64> {
///         Ok(0)
///     }
///
///     async fn lead(&self, names: &[String]) -> Result<Vec<bool>> {
///         Ok(vec![true; names.len()])
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # let entry = LogEntry { schema: "city".into(), key: Some("7".into()), version: Version::default(), kind: LogKind::Invalidate, columns: None };
/// let log = ListLog::default();
/// let start = log.end().await?;
/// log.append(&[entry]).await?;
/// assert_eq!(log.read(&start).await?.entries[0].version, Version::new(1));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Log: Debug + Send + Sync {
    /// The present end of the log.
    async fn end(&self) -> Result<LogCursor>;

    /// Everything committed since a cursor. One that is not of this tier's log is refused as [`InvalidQuery`](crate::ErrorKind::InvalidQuery).
    async fn read(&self, after: &LogCursor) -> Result<LogBatch>;

    /// Whether a follower at `place` has read everything that one at `earlier` had. `false` if that cannot be said, as of places of different histories.
    fn covers(&self, place: &LogCursor, earlier: &LogCursor) -> bool;

    /// Writes entries that stand for no data, in a transaction of their own: invalidations.
    /// Each draws a version, which is returned; that in the given entries is ignored.
    async fn append(&self, entries: &[LogEntry]) -> Result<Vec<Version>>;

    /// Drops entries older than `age` and returns how many. Followers that had not read them learn of a gap.
    async fn prune(&self, age: Duration) -> Result<u64>;

    /// Seeks or confirms leaderships by name, among all tiers on the same log: `true` for each that this tier now leads.
    ///
    /// A leadership lasts until the tier is closed or loses touch with its backend, which this call finds out. It saves work and promises nothing: for a
    /// moment two may believe that they lead.
    async fn lead(&self, names: &[String]) -> Result<Vec<bool>>;
}
