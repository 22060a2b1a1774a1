//! Transactions over records of several models.

mod bulk;
mod conditional;
mod options;
mod queued;
mod run;
mod tags;

pub use options::TransactionOptions;
pub use queued::QueuedTransaction;
pub use tags::TaggedTransaction;

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::facet::{self, RowLock};
use crate::key::AsKey;
use crate::pipeline::{Change, Changes, Pipeline};
use crate::query::Query;
use crate::record::Record;
use crate::schema::Schema;
use crate::store::Store;
use crate::tag::CallTags;

/// A transaction that is open; [`Store::transaction`] gives it to the work that it is for.
///
/// Its reads go to the tier of truth, past all caches, and see what it has written so far; they load every column, and fill nothing. What it writes is seen by
/// nobody else before the commit, in the caches neither.
///
/// After a call that the tier of truth refused, a violated rule among others, the transaction can only be rolled back: return the error, or take what may fail into a
/// [`savepoint`](Self::savepoint). The same holds after a call whose future was dropped midway.
///
/// ```
/// # #[derive(store_derive::Schema)] struct Account { #[schema(primary_key)] id: i64, balance: i64 }
/// use store_core::{Error, ErrorKind, Result, Transaction};
///
/// async fn move_money(tx: &mut Transaction, from: i64, to: i64, amount: i64) -> Result<()> {
///     let mut accounts = tx.get_many_for_update::<Account>([from, to]).await?.into_iter().flatten();
///     let (Some(mut from), Some(mut to)) = (accounts.next(), accounts.next()) else {
///         return Err(Error::new(ErrorKind::NotFound, "one of the accounts does not exist"));
///     };
///     from.balance -= amount;
///     to.balance += amount;
///     tx.set_many([from, to]).await?;
///     Ok(())
/// }
/// # let _ = move_money;
/// ```
pub struct Transaction {
    inner: Box<dyn facet::Transaction>,
    store: Store,
    /// What was written, by schema.
    changes: Vec<Box<dyn Change>>,
    /// Those that calls give what they write.
    tags: CallTags,
    /// Why there is no way on: a savepoint's work was given up midway, or could not be taken back, or it is not known what was written.
    lost: Option<Error>,
    /// Whether the truth rolled back because of others.
    is_in_conflict: bool,
}

impl Transaction {
    fn new(store: &Store, inner: Box<dyn facet::Transaction>) -> Self {
        Transaction { inner, store: store.clone(), changes: Vec::new(), tags: CallTags::default(), lost: None, is_in_conflict: false }
    }

    /// The record of a key as the transaction sees it, or `None`. It is the caller's own, to be changed and written back.
    ///
    /// Between this read and a write of the same key, others may write it, unless the transaction is isolated from that: see
    /// [`get_for_update`](Self::get_for_update).
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) for a schema without a table; [`TransactionFailed`](ErrorKind::TransactionFailed) if the transaction cannot go on, or
    /// the truth rolled it back; [`TransactionTimeout`](ErrorKind::TransactionTimeout) if its limit passed; what the truth says.
    pub async fn get<T: Schema>(&mut self, key: impl AsKey<T::Key>) -> Result<Option<T>> {
        let key = key.as_key().into_owned();
        self.read("get", vec![key], RowLock::None).await.map(|mut found| found.pop().flatten())
    }

    /// As [`get`](Self::get), and nobody else may write the record before the transaction ends.
    ///
    /// A record that is not there cannot be locked.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn get_for_update<T: Schema>(&mut self, key: impl AsKey<T::Key>) -> Result<Option<T>> {
        let key = key.as_key().into_owned();
        self.read("get_for_update", vec![key], RowLock::ForUpdate).await.map(|mut found| found.pop().flatten())
    }

    /// The records of many keys, in their order.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn get_many<T: Schema>(&mut self, keys: impl IntoIterator<Item = impl AsKey<T::Key>>) -> Result<Vec<Option<T>>> {
        let keys = keys.into_iter().map(|key| key.as_key().into_owned()).collect();
        self.read("get_many", keys, RowLock::None).await
    }

    /// As [`get_many`](Self::get_many), and nobody else may write the records before the transaction ends. They are locked in the order of their keys, so that
    /// transactions that lock by this call do not wait for each other in a circle.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn get_many_for_update<T: Schema>(&mut self, keys: impl IntoIterator<Item = impl AsKey<T::Key>>) -> Result<Vec<Option<T>>> {
        let keys = keys.into_iter().map(|key| key.as_key().into_owned()).collect();
        self.read("get_many_for_update", keys, RowLock::ForUpdate).await
    }

    async fn read<T: Schema>(&mut self, operation: &'static str, keys: Vec<T::Key>, lock: RowLock) -> Result<Vec<Option<T>>> {
        let pipeline = self.pipeline::<T>(operation)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        pipeline.before_get_many(operation, &keys)?;
        let written = self.changes.iter_mut().find_map(|change| change.as_any().downcast_mut());
        let found = pipeline.get_within(&mut *self.inner, written, &keys, lock).await;
        let found = self.told(&*pipeline, operation, found)?;
        pipeline.after_get(found.iter().flatten());
        Ok(found)
    }

    /// Writes a record and answers what is stored, with the version that it has once the transaction is committed.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and what [`Collection::set`](crate::Collection::set) says of a record.
    ///
    /// On PostgreSQL, one record that two writers insert at the same moment, with the same key and the same value of a unique column, may be refused as
    /// [`UniqueViolation`](ErrorKind::UniqueViolation) of that column although it would be an update a moment later. A write without a transaction is then repeated; a
    /// transaction cannot be, by the store: run it again.
    pub async fn set<T: Schema>(&mut self, model: T) -> Result<Record<T>> {
        let stored = self.write("set", vec![model]).await?.pop();
        stored.ok_or_else(|| Error::new(ErrorKind::Internal, "a write was not answered"))
    }

    /// Writes records and answers what is stored, in their order. Of several with one key the last wins.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn set_many<T: Schema>(&mut self, models: impl IntoIterator<Item = T>) -> Result<Vec<Record<T>>> {
        self.write("set_many", models.into_iter().collect()).await
    }

    async fn write<T: Schema>(&mut self, operation: &'static str, mut models: Vec<T>) -> Result<Vec<Record<T>>> {
        let pipeline = self.pipeline::<T>(operation)?;
        if models.is_empty() {
            return Ok(Vec::new());
        }
        pipeline.before_set(&mut models).map_err(|error| pipeline.report(operation, error))?;
        let changes = changes(&mut self.changes, &pipeline)?;
        let stored = pipeline.set_within(&mut *self.inner, changes, models, &self.tags).await;
        self.told(&*pipeline, operation, stored)
    }

    /// Deletes the record of a key, and answers whether there was one.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn delete<T: Schema>(&mut self, key: impl AsKey<T::Key>) -> Result<bool> {
        let key = key.as_key().into_owned();
        self.erase::<T>("delete", vec![key]).await.map(|deleted| deleted > 0)
    }

    /// Deletes the records of many keys, and answers how many there were.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn delete_many<T: Schema>(&mut self, keys: impl IntoIterator<Item = impl AsKey<T::Key>>) -> Result<u64> {
        let keys = keys.into_iter().map(|key| key.as_key().into_owned()).collect();
        self.erase::<T>("delete_many", keys).await
    }

    async fn erase<T: Schema>(&mut self, operation: &'static str, keys: Vec<T::Key>) -> Result<u64> {
        let pipeline = self.pipeline::<T>(operation)?;
        if keys.is_empty() {
            return Ok(0);
        }
        let changes = changes(&mut self.changes, &pipeline)?;
        let deleted = pipeline.delete_within(&mut *self.inner, changes, keys).await;
        self.told(&*pipeline, operation, deleted)
    }

    /// The records that a query finds.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`InvalidQuery`](ErrorKind::InvalidQuery) for a query that cannot be run.
    pub async fn search<T: Schema>(&mut self, query: impl Into<Query<T>>) -> Result<Vec<T>> {
        let (pipeline, query) = (self.pipeline::<T>("search")?, query.into());
        let written = self.changes.iter_mut().find_map(|change| change.as_any().downcast_mut());
        let found = pipeline.search_within(&mut *self.inner, written, &query).await;
        let found = self.told(&*pipeline, "search", found)?;
        pipeline.after_get(&found);
        Ok(found)
    }

    /// How many records a query finds, whatever its limit.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub async fn count<T: Schema>(&mut self, query: impl Into<Query<T>>) -> Result<u64> {
        let (pipeline, query) = (self.pipeline::<T>("count")?, query.into());
        let counted = pipeline.count_within(&mut *self.inner, &query).await;
        self.told(&*pipeline, "count", counted)
    }

    /// Does work that is undone alone if it fails; the transaction then goes on as it was before.
    ///
    /// # Errors
    ///
    /// What `work` says, once it is undone, and what the truth says of the savepoint itself.
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct Name { #[schema(primary_key)] id: i64, #[schema(unique)] name: String }
    /// use store_core::{ErrorKind, Result, Transaction};
    ///
    /// async fn claim(tx: &mut Transaction, id: i64, wanted: &str) -> Result<()> {
    ///     let claimed = tx.savepoint(async |tx| tx.set(Name { id, name: wanted.into() }).await).await;
    ///     match claimed {
    ///         Err(error) if error.kind() == ErrorKind::UniqueViolation => {
    ///             tx.set(Name { id, name: format!("{wanted}-{id}") }).await?;
    ///         }
    ///         claimed => drop(claimed?),
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = claim;
    /// ```
    pub async fn savepoint<R>(&mut self, work: impl AsyncFnOnce(&mut Transaction) -> Result<R>) -> Result<R> {
        self.check("savepoint")?;
        let set = self.inner.savepoint().await;
        self.noted(set)?;
        let before: Vec<usize> = self.changes.iter().map(|change| change.len()).collect();
        let was_in_conflict = self.is_in_conflict;
        let mut open = OpenSavepoint { transaction: self, has_ended: false };
        let mut result = work(open.transaction).await;
        if open.transaction.lost.is_none() {
            if result.is_ok()
                && let Err(error) = open.transaction.inner.release().await
            {
                // A call within it failed, and the work answered all the same.
                result = open.transaction.noted(Err(error));
            }
            if result.is_err() {
                match open.transaction.inner.roll_back_to_savepoint().await {
                    Ok(()) => open.transaction.forget_since(&before, was_in_conflict),
                    // The way back of an outer savepoint would lead to this one.
                    Err(error) => open.transaction.lost = Some(error),
                }
            }
        }
        open.has_ended = true;
        result
    }

    /// Forgets what was written since a savepoint that was gone back to.
    fn forget_since(&mut self, before: &[usize], was_in_conflict: bool) {
        for (index, change) in self.changes.iter_mut().enumerate() {
            change.truncate(before.get(index).copied().unwrap_or(0));
        }
        self.is_in_conflict = was_in_conflict;
    }

    /// The schema's pipeline, if a call of its model may begin.
    fn pipeline<T: Schema>(&self, operation: &'static str) -> Result<Arc<Pipeline<T>>> {
        self.check(operation)?;
        let pipeline = self.store.pipeline::<T>()?;
        pipeline.check_transactional().map_err(|error| error.with_operation(operation))?;
        Ok(pipeline)
    }

    fn check(&self, operation: &'static str) -> Result<()> {
        self.store.check_open(operation)?;
        self.lost.as_ref().map_or(Ok(()), |error| Err(error.duplicate().with_operation(operation)))
    }

    /// Adds what every error of a call should say.
    fn told<T: Schema, R>(&mut self, pipeline: &Pipeline<T>, operation: &'static str, result: Result<R>) -> Result<R> {
        self.noted(result).map_err(|error| pipeline.report(operation, error))
    }

    /// Notes whether the truth rolled back because of others.
    fn noted<R>(&mut self, result: Result<R>) -> Result<R> {
        self.is_in_conflict |= result.as_ref().is_err_and(is_conflict);
        result
    }
}

/// Whether the truth rolled back for a reason that another run may not meet.
fn is_conflict(error: &Error) -> bool {
    error.kind() == ErrorKind::TransactionFailed && error.is_retryable()
}

/// What the transaction has written of one schema.
fn changes<'a, T: Schema>(all: &'a mut Vec<Box<dyn Change>>, pipeline: &Arc<Pipeline<T>>) -> Result<&'a mut Changes<T>> {
    let present = all.iter_mut().position(|change| change.as_any().is::<Changes<T>>());
    let index = present.unwrap_or_else(|| {
        all.push(Box::new(Changes::new(pipeline)));
        all.len() - 1
    });
    let change = all.get_mut(index).and_then(|change| change.as_any().downcast_mut());
    change.ok_or_else(|| Error::new(ErrorKind::Internal, "a transaction lost track of what it wrote"))
}

/// A savepoint whose work runs. If the work is dropped, nobody takes back what it wrote, so that the transaction must not be committed.
struct OpenSavepoint<'a> {
    transaction: &'a mut Transaction,
    has_ended: bool,
}

impl Drop for OpenSavepoint<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            let message = "the work of a savepoint was given up midway; begin another transaction";
            self.transaction.lost = Some(Error::new(ErrorKind::TransactionFailed, message));
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("changes", &self.changes).finish_non_exhaustive()
    }
}
