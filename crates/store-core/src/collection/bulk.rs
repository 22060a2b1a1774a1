//! Writes of the records that a condition holds for.

use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::Collection;
use crate::behind::RoomWait;
use crate::error::Result;
use crate::import::Import;
use crate::query::{Changes, Query};
use crate::schema::Schema;

impl<T: Schema> Collection<T> {
    /// Writes any number of models, so many in each transaction, and tells how far it has come: see [`Import`]. Models of which one key has several are
    /// written in order.
    ///
    /// [`set_many`](Self::set_many) writes its models all or none; this keeps what it has written when it fails, and can go on from there.
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let models = (1..=1_000_000).map(|id| City { id, name: format!("City {id}") });
    /// let stored = cities.import(models).on_progress(|stored| println!("{stored} of 1000000")).run().await?;
    /// # let _ = stored; Ok(()) } let _ = example;
    /// ```
    pub fn import<I: IntoIterator<Item = T>>(&self, models: I) -> Import<'_, T, impl Stream<Item = Result<T>> + use<I, T>> {
        Import::new(self, stream::iter(models).map(Ok))
    }

    /// As [`import`](Self::import), of models that arrive one by one, from a file or another database. An error among them ends the import behind the models
    /// before it, which are stored.
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// # #[derive(Clone, store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// # async fn example(from: store_core::Collection<City>, to: store_core::Collection<City>) -> store_core::Result<()> {
    /// let all = from.stream(store_core::Query::new())?.map(|city| city.map(|city| City::clone(&city)));
    /// to.import_stream(all).run().await?;
    /// # Ok(()) } let _ = example;
    /// ```
    pub fn import_stream<S: Stream<Item = Result<T>>>(&self, models: S) -> Import<'_, T, S> {
        Import::new(self, models)
    }

    pub(crate) async fn set_chunk(&self, mut models: Vec<T>) -> Result<()> {
        self.pipeline.before_set(&mut models).map_err(|error| self.pipeline.report("import", error))?;
        let room = RoomWait::default();
        let write = self.pipeline.set_many(models, &self.tags, &room);
        self.pipeline.call("import", self.pipeline.within_batch_limit(&room, write)).await.map(drop)
    }

    /// Deletes the records that the conditions hold for, all or none, with one statement on the truth. Answers their keys.
    ///
    /// The copies of exactly these records leave every cache; those of other instances as well, unless there are more than 1,000 records: then the log has one
    /// row for all of them, and the other instances drop all their copies of the model.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](crate::ErrorKind::InvalidQuery) for a query without conditions, one with an order, limit, offset or cursor, and for a `cache_only` schema. Else
    /// as [`set`](Self::set); where it is not known whether the write was stored, this instance drops all its copies of the model.
    ///
    /// ```
    /// use store_core::{Query, params};
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let ids: Vec<i64> = cities.delete_where(City::population().lt(1_000)).await?;
    /// println!("{} places are gone", ids.len());
    /// cities.delete_where(Query::new().where_sql("length(name) < $1", params![2])).await?;
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn delete_where(&self, query: impl Into<Query<T>>) -> Result<Vec<T::Key>> {
        self.pipeline.call("delete_where", self.pipeline.delete_where(query.into())).await
    }

    /// Sets columns of the records that the conditions hold for, all or none. Answers their keys.
    ///
    /// Copies leave the caches as with [`delete_where`](Self::delete_where). The store's stamps are set as by any write.
    ///
    /// # Errors
    ///
    /// As [`delete_where`](Self::delete_where) and [`patch`](Self::patch).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, country: Option<String>, population: i64 }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let nowhere = City::country().eq("").and(City::population().eq(0));
    /// let ids = cities.update_where(nowhere, City::country().set(None)).await?;
    /// println!("{} were mended", ids.len());
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn update_where(&self, query: impl Into<Query<T>>, changes: impl Into<Changes<T>>) -> Result<Vec<T::Key>> {
        self.pipeline.call("update_where", self.pipeline.update_where(query.into(), changes.into())).await
    }
}
