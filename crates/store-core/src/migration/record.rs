//! What migrations have done.

use std::time::{Duration, SystemTime};

use super::plan::Drift;
use crate::error::{Error, ErrorKind, Result};
use crate::tier::Role;
use crate::timestamp::Timestamp;

/// Where an SQL file failed, or was cut off.
///
/// ```
/// use store_core::DirtyMark;
///
/// let mark = DirtyMark { statement: 2, text: "DROP TABLE old".into(), error: "it is still used".into(), blocks: true, done: None };
/// assert!(mark.blocks, "it is for somebody to decide how to go on");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirtyMark {
    /// The number of the statement in the file, from 1.
    pub statement: u32,
    /// The statement's text.
    pub text: String,
    /// What the database said; where nothing was heard of it, that it was cut off.
    pub error: String,
    /// Whether no SQL file is run until this is [resolved](crate::Store::resolve_migration). A file that is one transaction left nothing, and is just run again.
    pub blocks: bool,
    /// The checksum of the statements in front, where these took effect and are not to be run again.
    pub done: Option<String>,
}

/// One change that a migration made, or an SQL file that it ran.
///
/// ```
/// use std::time::Duration;
/// use store_core::{MigrationRecord, Timestamp};
///
/// let record = MigrationRecord {
///     id: 7,
///     schema: Some("player".into()),
///     file_name: None,
///     what: "add the column `level`".into(),
///     applied_at: Timestamp::from_microseconds(1_767_225_600_000_000)?,
///     took: Duration::from_millis(3),
///     checksum: None,
///     dirty: None,
/// };
/// assert!(record.is_applied());
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationRecord {
    /// Its number: later ones are higher.
    pub id: u64,
    /// The schema's name; `None` for SQL files and for what is Strata's own.
    pub schema: Option<String>,
    /// The name of the SQL file, without its directory; `None` for what a model asked for.
    pub file_name: Option<String>,
    /// What it did, in words; of a file, its description.
    pub what: String,
    /// When it was done, or failed.
    pub applied_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// The checksum of an SQL file as it was run. Line ends do not count.
    pub checksum: Option<String>,
    /// Where it failed.
    pub dirty: Option<DirtyMark>,
}

impl MigrationRecord {
    /// The record of what was done now, which has no number yet.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`](ErrorKind::InvalidValue) where the system's clock stands outside of what a time can be.
    pub fn new(schema: Option<String>, what: String, took: Duration) -> Result<Self> {
        // To the microsecond, as it is stored.
        let took = Duration::from_micros(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let applied_at = Timestamp::from_system_time(SystemTime::now())?;
        Ok(MigrationRecord { id: 0, schema, file_name: None, what, applied_at, took, checksum: None, dirty: None })
    }

    /// Whether it was done to its end.
    pub fn is_applied(&self) -> bool {
        self.dirty.is_none()
    }

    /// The record of a file that stopped in its middle, among those of a database, changed as somebody decided.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) if the file is not one of these. One that is a single transaction never is: nothing of it is left.
    pub fn resolved(records: Vec<Self>, file: &str, resolution: Resolution) -> Result<Self> {
        let is_stopped = |record: &Self| record.dirty.as_ref().is_some_and(|mark| mark.blocks || mark.done.is_some());
        let record = records.into_iter().find(|record| record.file_name.as_deref() == Some(file) && is_stopped(record));
        let Some(mut record) = record else {
            let message = format!("`{file}` is no SQL file that stopped in its middle; `migration_status` names those");
            return Err(Error::new(ErrorKind::InvalidConfig, message).with_tier(Role::Truth));
        };
        match (resolution, &mut record.dirty) {
            (Resolution::Resume, Some(mark)) => mark.blocks = false,
            (Resolution::Restart, Some(mark)) => (mark.blocks, mark.done) = (false, None),
            // The file may be changed to what was done, so that its next checksum is the one to keep.
            (Resolution::Applied, dirty) => (*dirty, record.checksum) = (None, None),
            (_, None) => {}
        }
        Ok(record)
    }
}

/// What a migration did.
///
/// ```
/// assert!(store_core::MigrationReport::default().is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// What was done, in its order.
    pub applied: Vec<MigrationRecord>,
    /// What differs and was left as it is.
    pub drift: Vec<Drift>,
}

impl MigrationReport {
    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.applied.is_empty()
    }
}

/// How an SQL file goes on that stopped in its middle.
///
/// ```
/// use store_core::Resolution;
///
/// # async fn example(store: store_core::Store) -> store_core::Result<()> {
/// store.resolve_migration("004_indexes.sql", Resolution::Resume).await?;
/// store.migrate_from("migrations").await?;
/// # Ok(()) } let _ = example;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolution {
    /// The next run begins with the statement at which it stopped. That one and those behind it may be changed, those in front may not.
    Resume,
    /// The next run begins with the first statement; the file may be changed.
    Restart,
    /// It counts as done: the rest was done by hand. The file may be changed to what was done.
    Applied,
}
