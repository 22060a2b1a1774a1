//! Transactions of the tier of truth.

mod state;

pub use state::TransactionState;
pub(crate) use state::limit_passed;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use super::{AppliedPlace, Condition, Count, DeadLetter, Select, Touched};
use crate::error::Result;
use crate::query::Filter;
use crate::record::StoredRow;
use crate::schema::BoundSchema;
use crate::value::Row;
use crate::version::Version;

/// How far a transaction is kept apart from those beside it.
///
/// SQLite has one writer at a time, so that each of its transactions is serializable, whatever is asked for.
///
/// ```
/// use store_core::Isolation;
///
/// assert_eq!(Isolation::default(), Isolation::ReadCommitted);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Isolation {
    /// Each read sees what was committed when it began. Two reads of one key may differ; lock what is read to be written.
    #[default]
    ReadCommitted,
    /// All reads see what was committed when the first of them began. A write of what others changed since then fails as
    /// [`TransactionFailed`](crate::ErrorKind::TransactionFailed), and may succeed in another run.
    RepeatableRead,
    /// As if the transactions ran one after the other. Whatever would break that fails as [`TransactionFailed`](crate::ErrorKind::TransactionFailed), at the
    /// latest when the transaction is committed, and may succeed in another run.
    Serializable,
}

/// How a transaction begins.
///
/// ```
/// use std::time::Duration;
/// use store_core::{Isolation, facet::Begin};
///
/// let begin = Begin { isolation: Isolation::Serializable, limit: Duration::from_secs(5) };
/// assert!(begin.limit > Duration::ZERO);
/// ```
#[derive(Debug, Clone)]
pub struct Begin {
    /// How far it is kept apart from others.
    pub isolation: Isolation,
    /// The most time from the call on until the commit is asked for.
    pub limit: Duration,
}

/// Whether rows that are read are locked until the transaction ends.
///
/// ```
/// use store_core::facet::RowLock;
///
/// assert_eq!(RowLock::default(), RowLock::None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RowLock {
    /// They are not.
    #[default]
    None,
    /// Nobody else may write them, or lock them, before the transaction ends.
    ForUpdate,
}

/// A transaction that is open. It owns its connection.
///
/// Implementations MUST keep these rules:
///
/// - Reads see what was written before in the same transaction; nobody else does before the commit.
/// - What holds for the writes of [`Tables`](super::Tables) holds here: versions are drawn with the row's lock held, which stays held, so that versions of one
///   key rise in the order of commits; log rows belong to the transaction, with one row for the schema where a call writes more than
///   [`BULK_LOG_LIMIT`](super::BULK_LOG_LIMIT) keys, and with the columns that an update of a present row sets; the keys of one call are distinct; errors tell the same.
/// - After a call that failed, or whose future was dropped, every further one but the ends and, after a failure, the way back to a savepoint is refused as
///   [`TransactionFailed`](crate::ErrorKind::TransactionFailed). [`TransactionState`] keeps that for all tiers alike.
/// - A transaction that the database rolled back because of others (a serialization failure, a deadlock) fails as
///   [`TransactionFailed`](crate::ErrorKind::TransactionFailed) and is retryable.
/// - When [`Begin::limit`] passes, the tier rolls back by itself, also between calls, and gives everything back that others wait for; calls from then on
///   fail as [`TransactionTimeout`](crate::ErrorKind::TransactionTimeout). A commit that was asked for before takes the time that it needs.
/// - Dropping it before it ended rolls back, and discards the connection where that is not certain to be whole.
///
/// ```
/// use std::time::Duration;
/// use store_core::facet::{Begin, RowLock, Tables};
/// use store_core::{BoundSchema, Isolation, Result, Row};
///
/// /// Moves a row to another key.
/// async fn rename(tables: &dyn Tables, schema: &BoundSchema, from: Row<'_>, to: fn(Row<'static>) -> Row<'static>) -> Result<()> {
///     let mut transaction = tables.begin(&Begin { isolation: Isolation::ReadCommitted, limit: Duration::from_secs(5) }).await?;
///     let key = [from];
///     let Some(stored) = transaction.get_many(schema, &key, RowLock::ForUpdate).await?.remove(0) else {
///         return transaction.rollback().await;
///     };
///     transaction.delete_many(schema, &key).await?;
///     transaction.put_many(schema, &[to(stored.row)]).await?;
///     transaction.commit().await
/// }
/// # let _ = rename;
/// ```
#[async_trait]
pub trait Transaction: Debug + Send {
    /// Reads rows by key.
    async fn get_many(&mut self, schema: &BoundSchema, keys: &[Row<'_>], lock: RowLock) -> Result<Vec<Option<StoredRow>>>;

    /// As [`Tables::put_many`](super::Tables::put_many).
    async fn put_many(&mut self, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>>;

    /// As [`put_many`](Self::put_many), each row only if its own condition holds once the row's lock is held: there are as many conditions as rows. `None` for
    /// each row that was not written because its condition did not hold, which is no failure. What is sent for a batch is about as much as for `put_many`.
    ///
    /// As with [`Tables::put_if`](super::Tables::put_if), a row that no insert would take may be refused also where its condition does not hold.
    async fn put_many_if(&mut self, schema: &BoundSchema, rows: &[Row<'_>], conditions: &[Condition]) -> Result<Vec<Option<StoredRow>>>;

    /// As [`Tables::delete_many`](super::Tables::delete_many).
    async fn delete_many(&mut self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>>;

    /// As [`Tables::delete_where`](super::Tables::delete_where).
    async fn delete_where(&mut self, schema: &BoundSchema, filter: &Filter) -> Result<Vec<Touched>>;

    /// As [`Tables::update_where`](super::Tables::update_where).
    async fn update_where(&mut self, schema: &BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Vec<Touched>>;

    /// Notes that a journal is applied up to `to`, that place included, unless it is noted already to be applied further than `from`, as far as the caller knows of, or than `to`: then
    /// nothing changes. Whether it was noted. Either way the journal's note is locked until the transaction ends.
    ///
    /// [`Journals::applied`](super::Journals::applied) answers it from the commit on. A place beyond `i64::MAX` is refused as [`InvalidValue`](crate::ErrorKind::InvalidValue), here
    /// as in every call that names one.
    async fn advance_journal(&mut self, journal: &str, from: u64, to: AppliedPlace) -> Result<bool>;

    /// Keeps a dead letter, in place of one with the same journal and sequence number. Where the database's text cannot hold the character NUL, U+FFFD stands for
    /// it in the texts.
    async fn put_dead_letter(&mut self, letter: &DeadLetter) -> Result<()>;

    /// Removes a dead letter, and tells whether there was one.
    async fn remove_dead_letter(&mut self, journal: &str, sequence: u64) -> Result<bool>;

    /// Runs a query. The rows are held in memory: give it a limit.
    async fn select(&mut self, schema: &BoundSchema, select: &Select) -> Result<Vec<StoredRow>>;

    /// Counts rows.
    async fn count(&mut self, schema: &BoundSchema, count: &Count) -> Result<u64>;

    /// Has the database check at once what it would else check at the commit alone, of all that was written so far: it fails as the commit would. From here on, whatever can be deferred
    /// is checked by the next call, or by the commit. SQLite cannot: foreign keys that were declared `DEFERRABLE INITIALLY DEFERRED` by hand are checked by the commit all the same.
    async fn check_deferred(&mut self) -> Result<()>;

    /// Sets a savepoint, within those that are set.
    async fn savepoint(&mut self) -> Result<()>;

    /// Gives up the last savepoint and keeps what was done since.
    async fn release(&mut self) -> Result<()>;

    /// Undoes what was done since the last savepoint, also after a failure, and gives the savepoint up.
    async fn roll_back_to_savepoint(&mut self) -> Result<()>;

    /// Commits. An error of the kinds [`TransactionFailed`](crate::ErrorKind::TransactionFailed),
    /// [`TransactionTimeout`](crate::ErrorKind::TransactionTimeout) and those of violations says that nothing was committed; any other leaves it open.
    async fn commit(self: Box<Self>) -> Result<()>;

    /// Rolls back, and gives the connection back. To roll back what has ended already is no error.
    async fn rollback(self: Box<Self>) -> Result<()>;
}
