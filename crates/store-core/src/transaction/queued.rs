//! Writes that are queued and committed together.

use std::fmt;

use futures_util::future::BoxFuture;

use super::Transaction;
use crate::error::Result;
use crate::key::AsKey;
use crate::schema::Schema;
use crate::store::Store;

type Step = Box<dyn for<'a> FnOnce(&'a mut Transaction) -> BoxFuture<'a, Result<()>> + Send>;

/// Writes of any models that are done in one transaction, all or none, by [`commit`](Self::commit). Until then nothing is done.
///
/// What reads and decides in between is a [`Store::transaction`].
///
/// ```
/// # #[derive(store_derive::Schema)] struct Player { #[schema(primary_key)] id: String, level: i64 }
/// # #[derive(store_derive::Schema)] struct Session { #[schema(primary_key)] id: String }
/// # async fn example(store: store_core::Store) -> store_core::Result<()> {
/// store.tx().set(Player { id: "p1".into(), level: 99 }).delete::<Session>("old-session").commit().await
/// # } let _ = example;
/// ```
#[must_use = "nothing is written before `commit`"]
pub struct QueuedTransaction {
    store: Store,
    steps: Vec<Step>,
}

impl Store {
    /// Starts to queue writes that are to be committed together.
    pub fn tx(&self) -> QueuedTransaction {
        QueuedTransaction { store: self.clone(), steps: Vec::new() }
    }
}

impl QueuedTransaction {
    /// Queues a write.
    pub fn set<T: Schema>(self, model: T) -> Self {
        self.then(move |transaction| Box::pin(async move { transaction.set(model).await.map(drop) }))
    }

    /// Queues the deletion of what a key holds. Nothing there is no error.
    pub fn delete<T: Schema>(self, key: impl AsKey<T::Key>) -> Self {
        let key = key.as_key().into_owned();
        self.then(move |transaction| Box::pin(async move { transaction.erase::<T>("delete", vec![key]).await.map(drop) }))
    }

    fn then(mut self, step: impl for<'a> FnOnce(&'a mut Transaction) -> BoxFuture<'a, Result<()>> + Send + 'static) -> Self {
        self.steps.push(Box::new(step));
        self
    }

    /// Does the writes in their order, and commits. The caches change only then.
    ///
    /// # Errors
    ///
    /// As [`Store::transaction`]; nothing was written, unless the error leaves open whether the commit took effect.
    pub async fn commit(self) -> Result<()> {
        let QueuedTransaction { store, steps } = self;
        let write_all = async move |transaction: &mut Transaction| {
            for step in steps {
                step(transaction).await?;
            }
            Ok(())
        };
        store.run_once(write_all).await
    }
}

impl fmt::Debug for QueuedTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedTransaction").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}
