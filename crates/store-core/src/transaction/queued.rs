//! Writes that are queued and committed together.

use std::fmt;

use futures_util::future::BoxFuture;

use super::Transaction;
use crate::error::Result;
use crate::key::AsKey;
use crate::query::{Changes, Query};
use crate::schema::Schema;
use crate::store::Store;
use crate::tag::CallTags;
use crate::version::Version;

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
    /// Each with the tags that its writes give.
    steps: Vec<(CallTags, Step)>,
    tags: CallTags,
}

impl Store {
    /// Starts to queue writes that are to be committed together.
    pub fn tx(&self) -> QueuedTransaction {
        QueuedTransaction { store: self.clone(), steps: Vec::new(), tags: CallTags::default() }
    }
}

impl QueuedTransaction {
    /// Queues a write: [`Transaction::set`].
    pub fn set<T: Schema>(self, model: T) -> Self {
        self.then(move |transaction| Box::pin(async move { transaction.set(model).await.map(drop) }))
    }

    /// Queues writes, of which the last one of a key wins: [`Transaction::set_many`].
    pub fn set_many<T: Schema>(self, models: impl IntoIterator<Item = T>) -> Self {
        let models: Vec<T> = models.into_iter().collect();
        self.then(move |transaction| Box::pin(async move { transaction.set_many(models).await.map(drop) }))
    }

    /// Queues a write of what must not be there yet: [`Transaction::insert_only`]. If it is, the commit fails as [`Conflict`](crate::ErrorKind::Conflict).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct Coupon { #[schema(primary_key)] code: String, player: i64 }
    /// # #[derive(store_derive::Schema)] struct Player { #[schema(primary_key)] id: i64, is_premium: bool }
    /// # async fn example(store: store_core::Store) -> store_core::Result<()> {
    /// // Nobody redeems it twice.
    /// let coupon = Coupon { code: "spring".into(), player: 7 };
    /// store.tx().insert_only(coupon).patch(7, Player::is_premium().set(true)).commit().await
    /// # } let _ = example;
    /// ```
    pub fn insert_only<T: Schema>(self, model: T) -> Self {
        self.then(move |transaction| Box::pin(async move { transaction.insert_only(model).await.map(drop) }))
    }

    /// Queues a write of what must have this version: [`Transaction::set_if_version`]. If it has not, the commit fails as [`Conflict`](crate::ErrorKind::Conflict).
    pub fn set_if_version<T: Schema>(self, model: T, version: Version) -> Self {
        self.then(move |transaction| Box::pin(async move { transaction.set_if_version(model, version).await.map(drop) }))
    }

    /// Queues a change of some columns of a record: [`Transaction::patch`]. Nothing there is no error.
    pub fn patch<T: Schema>(self, key: impl AsKey<T::Key>, columns: impl Into<Changes<T>>) -> Self {
        let (key, columns) = (key.as_key().into_owned(), columns.into());
        self.then(move |transaction| Box::pin(async move { transaction.patch_key(key, columns).await.map(drop) }))
    }

    /// Queues a change of some columns of the records that the conditions hold for: [`Transaction::update_where`].
    pub fn update_where<T: Schema>(self, query: impl Into<Query<T>>, columns: impl Into<Changes<T>>) -> Self {
        let (query, columns) = (query.into(), columns.into());
        self.then(move |transaction| Box::pin(async move { transaction.update_where(query, columns).await.map(drop) }))
    }

    /// Queues the deletion of what a key holds. Nothing there is no error.
    pub fn delete<T: Schema>(self, key: impl AsKey<T::Key>) -> Self {
        let key = key.as_key().into_owned();
        self.then(move |transaction| Box::pin(async move { transaction.erase::<T>("delete", vec![key]).await.map(drop) }))
    }

    /// Queues the deletion of what many keys hold. Nothing there is no error.
    pub fn delete_many<T: Schema>(self, keys: impl IntoIterator<Item = impl AsKey<T::Key>>) -> Self {
        let keys = keys.into_iter().map(|key| key.as_key().into_owned()).collect();
        self.then(move |transaction| Box::pin(async move { transaction.erase::<T>("delete_many", keys).await.map(drop) }))
    }

    /// Queues the deletion of the records that the conditions hold for: [`Transaction::delete_where`].
    pub fn delete_where<T: Schema>(self, query: impl Into<Query<T>>) -> Self {
        let query = query.into();
        self.then(move |transaction| Box::pin(async move { transaction.delete_where(query).await.map(drop) }))
    }

    /// Lets `queue` queue writes that give these tags to the copies that they leave in the caches: [`Transaction::with_tags`].
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// # async fn example(store: store_core::Store) -> store_core::Result<()> {
    /// let (lima, cusco) = (City { id: 7, name: "Lima".into() }, City { id: 8, name: "Cusco".into() });
    /// store.tx().with_tags(["front-page"], |tx| tx.set(lima)).set(cusco).commit().await?;
    /// store.collection::<City>()?.invalidate_tag("front-page").await // Drops the copy of one of them.
    /// # } let _ = example;
    /// ```
    pub fn with_tags<G: Into<String>>(mut self, tags: impl IntoIterator<Item = G>, queue: impl FnOnce(Self) -> Self) -> Self {
        let before = self.tags.clone();
        self.tags = CallTags::new(tags.into_iter().map(Into::into)).with(&before);
        QueuedTransaction { tags: before, ..queue(self) }
    }

    fn then(mut self, step: impl for<'a> FnOnce(&'a mut Transaction) -> BoxFuture<'a, Result<()>> + Send + 'static) -> Self {
        self.steps.push((self.tags.clone(), Box::new(step)));
        self
    }

    /// Does the writes in their order, and commits. The caches change only then.
    ///
    /// # Errors
    ///
    /// As [`Store::transaction`]; nothing was written, unless the error leaves open whether the commit took effect.
    pub async fn commit(self) -> Result<()> {
        let QueuedTransaction { store, steps, .. } = self;
        let write_all = async move |transaction: &mut Transaction| {
            for (tags, step) in steps {
                transaction.tags = tags;
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
