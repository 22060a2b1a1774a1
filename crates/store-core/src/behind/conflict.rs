//! What becomes of a pending write whose record another instance has written meanwhile.

use std::fmt;
use std::sync::Arc;

/// A pending write that finds another record in the truth than it was based on.
///
/// ```
/// use store_core::WriteConflict;
///
/// fn larger(conflict: WriteConflict<u64>) -> Option<u64> {
///     conflict.pending.max(conflict.stored)
/// }
/// assert_eq!(larger(WriteConflict { pending: Some(3), stored: Some(5) }), Some(5));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteConflict<T> {
    /// What this instance was about to write; `None` to delete the record. Deferred fields that the write leaves alone are not loaded.
    pub pending: Option<T>,
    /// What another wrote, with every column; `None` if it was deleted.
    pub stored: Option<T>,
}

/// What becomes of a pending write of write-behind if, when it is flushed, the truth holds another record than the one that the write was based on: the one that
/// memory held when the first pending write of the key was made. A write of a key that memory knew nothing of is based on nothing, and conflicts with nothing.
///
/// Set it by [`SchemaOptions::on_conflict`](crate::SchemaOptions::on_conflict).
///
/// ```
/// use store_core::OnConflict;
///
/// struct Score {
///     points: i64,
/// }
///
/// let highest = OnConflict::<Score>::merge(|conflict| match (conflict.pending, conflict.stored) {
///     (Some(pending), Some(stored)) => Some(if pending.points > stored.points { pending } else { stored }),
///     (pending, stored) => pending.or(stored),
/// });
/// assert!(matches!(highest, OnConflict::Merge(_)));
/// ```
#[derive(Default)]
pub enum OnConflict<T> {
    /// The truth keeps what it holds, and the write becomes a [dead letter](crate::Store::dead_letters).
    #[default]
    Reject,
    /// The write replaces what the truth holds.
    LastFlushWins,
    /// The function says what the truth shall hold: a record of the same key, or `None` for none, and then what is there is deleted. It runs within the transaction of the flush, so
    /// it should be quick and must not call the store. If it panics, or answers a record of another key, the write becomes a dead letter.
    Merge(Arc<dyn Fn(WriteConflict<T>) -> Option<T> + Send + Sync>),
}

impl<T> OnConflict<T> {
    /// [`Merge`](Self::Merge) by a function: it is given what this instance was about to write and what the truth holds, and answers what the truth shall hold. `None` is no record, in
    /// either and as the answer, which then deletes what is there.
    ///
    /// ```
    /// use store_core::{OnConflict, SchemaOptions, WriteConflict};
    /// # #[derive(store_derive::Schema)] struct Score { #[schema(primary_key)] id: i64, points: i64 }
    ///
    /// /// What was deleted stays deleted; else the better score counts.
    /// fn merged(WriteConflict { pending, stored }: WriteConflict<Score>) -> Option<Score> {
    ///     let (pending, stored) = (pending?, stored?);
    ///     Some(Score { points: pending.points.max(stored.points), ..stored })
    /// }
    ///
    /// fn options(options: &mut SchemaOptions<Score>) {
    ///     options.on_conflict(OnConflict::merge(merged));
    /// }
    /// # let _ = options;
    /// ```
    pub fn merge(merge: impl Fn(WriteConflict<T>) -> Option<T> + Send + Sync + 'static) -> Self {
        OnConflict::Merge(Arc::new(merge))
    }
}

impl<T> Clone for OnConflict<T> {
    fn clone(&self) -> Self {
        match self {
            OnConflict::Reject => OnConflict::Reject,
            OnConflict::LastFlushWins => OnConflict::LastFlushWins,
            OnConflict::Merge(merge) => OnConflict::Merge(Arc::clone(merge)),
        }
    }
}

impl<T> fmt::Debug for OnConflict<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnConflict::Reject => "Reject",
            OnConflict::LastFlushWins => "LastFlushWins",
            OnConflict::Merge(_) => "Merge",
        })
    }
}
