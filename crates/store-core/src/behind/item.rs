//! Pending writes, as those see them who need not know the models.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::base::Base;
use super::entry::Entry;
use crate::error::{Error, Result};
use crate::facet::DeadLetter;
use crate::record::StoredRow;
use crate::schema::BoundSchema;
use crate::value::{Row, Value};
use crate::version::Version;

/// A pending write, as a flush sends it.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) key: Row<'static>,
    /// The key's text form.
    pub(crate) text: String,
    /// `None` for a deletion.
    pub(crate) row: Option<Arc<Row<'static>>>,
    /// Whether the key was deleted first, so that nothing of what is there is kept.
    pub(crate) replaces: bool,
    pub(crate) base: Base,
    /// The places of the first and the last write of the key that it stands for.
    pub(crate) first: u64,
    pub(crate) sequence: u64,
    /// Whether somebody relies on it.
    pub(crate) is_acknowledged: bool,
}

impl Item {
    /// What it is sorted by among the others of a flush: records are there before what points to them, and go after it.
    pub(crate) fn order(&self) -> u64 {
        if self.row.is_some() { self.first } else { self.sequence }
    }

    pub(crate) fn row(&self) -> Option<Row<'_>> {
        self.row.as_ref().map(|row| row.iter().map(Value::as_borrowed).collect())
    }
}

/// What became of a pending write.
#[derive(Debug)]
pub(crate) enum Outcome {
    Stored(StoredRow),
    /// The version of the deletion, if there was a row.
    Deleted(Option<Version>),
    /// It was merged with what another instance had written, and this became of both.
    Merged(Box<Outcome>),
    /// The truth refused it for its own sake.
    Refused(Error),
}

/// What a conflict ends with.
#[derive(Debug)]
pub(crate) enum Resolution {
    /// This row shall be there, or none.
    Write(Option<Row<'static>>),
    /// As [`Write`](Self::Write), if what is there is what was looked at.
    Merge(Option<Row<'static>>),
    Refuse(Error),
}

/// What the write of a dead letter may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// What the truth held when it refused the write.
    Same,
    /// Whatever it holds.
    Any,
}

/// The pending writes of one schema.
pub(crate) trait Overlay: Send + Sync {
    fn schema(&self) -> &Arc<BoundSchema>;

    /// All that is pending; `None` if nothing is.
    fn take(self: Arc<Self>) -> Result<Option<Box<dyn Batch>>>;

    /// Makes pending what a journal held.
    fn restore(&self, entry: Entry<'_>, sequence: u64) -> Result<()>;

    /// Lets what a journal held of a key, by its text form, be based on nothing known.
    fn forget_base(&self, key: &str) -> Result<()>;

    /// Tells the user's hook of every pending write behind a place that flushes go on failing.
    fn tell(&self, error: &Error, behind: u64);

    /// Writes what a dead letter holds, and removes the letter.
    fn revive(self: Arc<Self>, letter: DeadLetter, over: Over) -> BoxFuture<'static, Result<()>>;
}

/// The writes of one schema that a flush has taken.
#[async_trait]
pub(crate) trait Batch: Send + Sync {
    fn schema(&self) -> &Arc<BoundSchema>;

    fn items(&self) -> &[Item];

    /// Whether this instance itself has written the key, or is about to, since the write was taken.
    fn is_contended(&self, index: usize) -> bool;

    /// Decides a conflict with what is stored.
    fn resolve(&self, index: usize, stored: Option<StoredRow>) -> Resolution;

    /// The write in the journal's form, based on what the truth holds: this version, or no record.
    fn entry(&self, index: usize, stored: Option<Version>) -> Result<Vec<u8>>;

    fn outcome(&self, index: usize) -> Option<&Outcome>;

    fn decide(&mut self, index: usize, outcome: Outcome);

    /// Hears of the commit: from here on nothing older is read from the caches. It waits for nothing.
    fn hear(&mut self);

    /// Brings the caches up to date, and lets what was decided be pending no more.
    async fn publish(self: Box<Self>);
}
