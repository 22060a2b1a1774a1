//! The typed handle of one schema.

mod bulk;
mod cached;
mod conditional;
mod loading;
mod peek;

pub use conditional::UpdateOutcome;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use futures_core::stream::BoxStream;

use crate::behind::RoomWait;
use crate::error::{Error, ErrorKind, Result};
use crate::freshness::Freshness;
use crate::key::{AsKey, Key};
use crate::page::Page;
use crate::pipeline::{Pipeline, View, WarmProgress};
use crate::query::{Columns, Projection, Query};
use crate::reader::Reader;
use crate::record::Record;
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::tier::Role;

/// The records of one model. Cheap to clone, and to keep.
///
/// Reads come from the nearest tier that holds the record and fill the tiers above it. Writes reach the truth first, then every nearer tier, before the call
/// returns. Dropping a call's future never leaves the tiers apart: a write that began is finished.
///
/// A call on a single key takes at most [`operation_timeout`](crate::Settings::operation_timeout); so do batches that write behind and are
/// [acknowledged by the truth](crate::Acknowledge::Truth). Other batches, searches and streams are bounded by their tiers' own limits.
///
/// Every call fails with [`Closed`](ErrorKind::Closed) once the store was closed or the runtime that it was built in has ended, and with
/// [`MissingPrimaryKey`](ErrorKind::MissingPrimaryKey) for an empty key.
///
/// ```
/// use store_core::{Collection, Store};
/// # use store_derive::Schema;
/// # use store_testkit::ModelRecords;
///
/// #[derive(Schema)]
/// #[schema(cache_only)]
/// struct Session {
///     #[schema(primary_key)]
///     id: String,
///     user: i64,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> store_core::Result<()> {
/// # let redis = ModelRecords::new();
/// # let store = Store::builder().tier(redis).schema::<Session>().build().await?;
/// let sessions: Collection<Session> = store.collection()?;
/// sessions.set(Session { id: "s1".into(), user: 7 }).await?;
/// assert!(sessions.exists("s1").await?);
/// assert_eq!(sessions.get_or_err("s1").await?.user, 7);
/// assert!(sessions.delete("s1").await?);
/// assert!(sessions.get("s1").await?.is_none());
/// # Ok(()) }
/// ```
pub struct Collection<T: Schema> {
    pipeline: Arc<Pipeline<T>>,
    pub(crate) freshness: Freshness,
    pub(crate) tags: CallTags,
}

impl<T: Schema> Collection<T> {
    pub(crate) fn new(pipeline: Arc<Pipeline<T>>) -> Self {
        let freshness = Freshness::Bounded(pipeline.shared.settings.freshness);
        Collection { pipeline, freshness, tags: CallTags::default() }
    }

    pub(crate) fn pipeline(&self) -> &Arc<Pipeline<T>> {
        &self.pipeline
    }

    /// The record of a key, or `None`.
    ///
    /// A hit in memory costs no allocation and no lock that a writer of another shelf could hold.
    ///
    /// # Errors
    ///
    /// What the tiers below say once none of them can answer: [`L3Unavailable`](ErrorKind::L3Unavailable), [`Timeout`](ErrorKind::Timeout),
    /// [`DecodeFailed`](ErrorKind::DecodeFailed). A failing shared tier is read past. [`HookPanic`](ErrorKind::HookPanic) if a hook panicked before the read or over
    /// what was read.
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] #[schema(cache_only)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
    /// # let store = store_core::Store::builder().tier(store_testkit::ModelRecords::new()).schema::<City>().build().await?;
    /// let cities = store.collection::<City>()?;
    /// # cities.set(City { id: 7, name: "Lima".into() }).await?;
    /// let lima = cities.get(7).await?;
    /// assert_eq!(lima.map(|city| city.name.clone()), Some("Lima".into()));
    /// assert!(cities.get(8).await?.is_none());
    /// # Ok(()) }
    /// ```
    pub async fn get(&self, key: impl AsKey<T::Key>) -> Result<Option<Arc<T>>> {
        let key = key.as_key();
        self.pipeline.before_get("get", &key)?;
        if let Some(record) = self.pipeline.peek(&key, &self.freshness, &self.tags) {
            self.pipeline.after_get_records([&record]);
            return Ok(Some(record.into_model()));
        }
        let key = key.into_owned();
        Box::pin(self.below(key)).await.map(|record| record.map(Record::into_model))
    }

    /// As [`get`](Self::get), with the version.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn get_record(&self, key: impl AsKey<T::Key>) -> Result<Option<Record<T>>> {
        let key = key.as_key();
        self.pipeline.before_get("get", &key)?;
        if let Some(record) = self.pipeline.peek(&key, &self.freshness, &self.tags) {
            self.pipeline.after_get_records([&record]);
            return Ok(Some(record));
        }
        let key = key.into_owned();
        Box::pin(self.below(key)).await
    }

    async fn below(&self, key: T::Key) -> Result<Option<Record<T>>> {
        let text = key.to_text();
        let found = self.pipeline.call_for("get", text, self.pipeline.get_below(key, &self.freshness, &self.tags)).await;
        let found = found?.map(|loaded| loaded.record);
        self.pipeline.after_get_records(&found);
        Ok(found)
    }

    /// As [`get`](Self::get), for callers to whom a missing record is an error.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`NotFound`](ErrorKind::NotFound).
    pub async fn get_or_err(&self, key: impl AsKey<T::Key>) -> Result<Arc<T>> {
        let found = self.get(&key).await?;
        found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no tier holds it; write it first, or use `get` where it may be missing")
                .with_schema(self.pipeline.schema.name())
                .with_key(key.as_key().into_owned().to_text())
                .with_operation("get_or_err")
        })
    }

    /// The records of many keys, in their order, with one batched call to each tier for every 5,000 keys.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] #[schema(cache_only)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
    /// # let store = store_core::Store::builder().tier(store_testkit::ModelRecords::new()).schema::<City>().build().await?;
    /// let cities = store.collection::<City>()?;
    /// # cities.set(City { id: 7, name: "Lima".into() }).await?;
    /// let found = cities.get_many([8, 7]).await?;
    /// assert!(found[0].is_none());
    /// assert_eq!(found[1].as_ref().map(|city| city.name.as_str()), Some("Lima"));
    /// # Ok(()) }
    /// ```
    pub async fn get_many<K: AsKey<T::Key>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Option<Arc<T>>>> {
        let keys = owned_keys::<T, K>(keys);
        self.pipeline.before_get_many("get_many", &keys)?;
        let records = self.pipeline.call("get_many", self.pipeline.get_many(keys, &self.freshness, &self.tags)).await?;
        self.pipeline.after_get_records(records.iter().flatten());
        Ok(records.into_iter().map(|record| record.map(Record::into_model)).collect())
    }

    /// Writes a record, and answers it as it is stored: with its stamps, defaults and version; in [write-behind](crate::WriteMode::WriteBehind), as it is
    /// [pending](Record::is_pending).
    ///
    /// # Errors
    ///
    /// [`UniqueViolation`](ErrorKind::UniqueViolation) and [`ConstraintViolation`](ErrorKind::ConstraintViolation) name the column;
    /// [`InvalidValue`](ErrorKind::InvalidValue) for what the truth cannot hold exactly. After [`L3Unavailable`](ErrorKind::L3Unavailable) or
    /// [`Timeout`](ErrorKind::Timeout) the write may have been stored or not; after [`DecodeFailed`](ErrorKind::DecodeFailed) it was, but the table has been
    /// changed since the store was built, and what it returned cannot be read. [`Refused`](ErrorKind::Refused) or [`HookPanic`](ErrorKind::HookPanic) by a hook
    /// before the write, of which nothing is written then. The error says so where a `Timeout`, or a `HookPanic` of `after_load`, comes before a write of write-behind is taken.
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] #[schema(cache_only)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
    /// # let store = store_core::Store::builder().tier(store_testkit::ModelRecords::new()).schema::<City>().build().await?;
    /// let cities = store.collection::<City>()?;
    /// let first = cities.set(City { id: 7, name: "Lima".into() }).await?;
    /// let second = cities.set(City { id: 7, name: "Lima Metropolitana".into() }).await?;
    /// assert_eq!(second.name, "Lima Metropolitana");
    /// assert!(second.version() > first.version());
    /// # Ok(()) }
    /// ```
    pub async fn set(&self, model: T) -> Result<Record<T>> {
        let mut models = vec![model];
        self.pipeline.before_set(&mut models).map_err(|error| self.pipeline.report("set", error))?;
        let key = models.first().map(Schema::key);
        let room = RoomWait::default();
        let write = self.pipeline.within_pending_limit(&room, self.pipeline.set_many(models, &self.tags, &room));
        let rowless = || Error::new(ErrorKind::Internal, "the truth answered a write without its row");
        let write = async {
            let written = write.await.and_then(|written| written.into_iter().next().ok_or_else(rowless));
            // The text of the key is made for an error alone.
            written.map_err(|error| error.with_key(key.map(|key| key.to_text()).unwrap_or_default()))
        };
        self.pipeline.call("set", write).await
    }

    /// Writes many records, all or none, with one batched call to each tier. Of several with one key the last wins, and each of them is answered with it.
    /// With write-behind they are taken over all or none, and then [each stands for itself](crate::WriteMode::WriteBehind).
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] #[schema(cache_only)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
    /// # let store = store_core::Store::builder().tier(store_testkit::ModelRecords::new()).schema::<City>().build().await?;
    /// let cities = store.collection::<City>()?;
    /// let stored = cities.set_many([City { id: 7, name: "Lima".into() }, City { id: 8, name: "Cusco".into() }]).await?;
    /// assert_eq!(stored.len(), 2);
    /// assert_eq!(cities.delete_many([7, 8, 9]).await?, 2);
    /// # Ok(()) }
    /// ```
    pub async fn set_many(&self, models: impl IntoIterator<Item = T>) -> Result<Vec<Record<T>>> {
        let mut models: Vec<T> = models.into_iter().collect();
        self.pipeline.before_set(&mut models).map_err(|error| self.pipeline.report("set_many", error))?;
        let room = RoomWait::default();
        let write = self.pipeline.set_many(models, &self.tags, &room);
        self.pipeline.call("set_many", self.pipeline.within_batch_limit(&room, write)).await
    }

    /// Deletes a record from every tier, and answers whether there was one: in [write-behind](crate::WriteMode::WriteBehind), as far as memory knows. Deleting what is missing
    /// succeeds.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn delete(&self, key: impl AsKey<T::Key>) -> Result<bool> {
        let key = key.as_key().into_owned();
        let text = key.to_text();
        let room = RoomWait::default();
        let delete = self.pipeline.within_pending_limit(&room, self.pipeline.delete_many(vec![key], &room));
        Ok(self.pipeline.call_for("delete", text, delete).await? > 0)
    }

    /// Deletes many records, all or none, and answers how many there were.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn delete_many<K: AsKey<T::Key>>(&self, keys: impl IntoIterator<Item = K>) -> Result<u64> {
        let keys = owned_keys::<T, K>(keys);
        let room = RoomWait::default();
        let delete = self.pipeline.delete_many(keys, &room);
        self.pipeline.call("delete_many", self.pipeline.within_batch_limit(&room, delete)).await
    }

    /// Whether any tier holds a record of the key. Fills nothing.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn exists(&self, key: impl AsKey<T::Key>) -> Result<bool> {
        let key = key.as_key().into_owned();
        let text = key.to_text();
        self.pipeline.call_for("exists", text, self.pipeline.exists(key, &self.freshness)).await
    }

    /// The number of records that a query's conditions hold for, from the truth. Limit, offset, order and cursor do not matter.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](ErrorKind::InvalidQuery), also for a `cache_only` schema, and what the truth says.
    pub async fn count(&self, query: Query<T>) -> Result<u64> {
        self.pipeline.call("count", self.pipeline.count(query.condition(), &self.freshness)).await
    }

    /// The records that a query finds in the truth; memory takes them in as well. At most [`DEFAULT_LIMIT`](crate::DEFAULT_LIMIT) unless the query says otherwise.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](ErrorKind::InvalidQuery), also for a `cache_only` schema, and what the truth says.
    ///
    /// ```
    /// use store_core::Query;
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let large = Query::new().filter(City::population().gt(1_000_000)).order_by(City::name()).limit(20);
    /// for city in cities.search(large).await? {
    ///     println!("{}: {}", city.name, city.population);
    /// }
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn search(&self, query: Query<T>) -> Result<Vec<Arc<T>>> {
        self.found("search", &query).await
    }

    async fn found(&self, operation: &'static str, query: &Query<T>) -> Result<Vec<Arc<T>>> {
        let records = self.pipeline.call(operation, self.pipeline.search(query, View::Near, &self.freshness, &self.tags)).await?;
        Ok(records.into_iter().map(Record::into_model).collect())
    }

    /// As [`search`](Self::search), with the cursor that the next page begins at.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    ///
    /// ```
    /// use store_core::Query;
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let mut query = Query::new().order_by(City::population().desc()).limit(50);
    /// loop {
    ///     let page = cities.page(query.clone()).await?;
    ///     page.records.iter().for_each(|city| println!("{}", city.name));
    ///     let Some(next) = page.next else { break };
    ///     query = query.after(next);
    /// }
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn page(&self, query: Query<T>) -> Result<Page<T>> {
        let records = self.found("page", &query).await?;
        let is_full = query.search_limit().is_some_and(|limit| records.len() as u64 >= limit);
        let next = match records.last().filter(|_| is_full) {
            Some(last) => Some(query.cursor_behind(last).map_err(|error| self.pipeline.report("page", error))?),
            None => None,
        };
        Ok(Page { records, next })
    }

    /// The records that a query finds, one by one as the reader takes them, so that a result may be larger than memory. Fills nothing, and has no limit
    /// unless the query has one. Dropping the stream ends the query.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search), at once or within the stream.
    ///
    /// ```
    /// use futures_util::TryStreamExt;
    /// use store_core::Query;
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let mut all = cities.stream(Query::new())?;
    /// let mut inhabitants = 0;
    /// while let Some(city) = all.try_next().await? {
    ///     inhabitants += city.population;
    /// }
    /// println!("{inhabitants} in all cities");
    /// # Ok(()) } let _ = example;
    /// ```
    pub fn stream(&self, query: Query<T>) -> Result<BoxStream<'static, Result<Arc<T>>>> {
        self.pipeline.stream(&query, View::Near, &self.freshness).map_err(|error| self.pipeline.report("stream", error))
    }

    /// Some columns of the records that a query finds, as a tuple each: `cities.select(query, (City::name(), City::population()))`. Fills nothing.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    ///
    /// ```
    /// use store_core::Query;
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let largest = Query::new().order_by(City::population().desc()).limit(10);
    /// for (name, population) in cities.select(largest, (City::name(), City::population())).await? {
    ///     println!("{name}: {population}");
    /// }
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn select<C: Columns<T>>(&self, query: Query<T>, columns: C) -> Result<Vec<C::Output>> {
        let decode = |values| columns.decode(values);
        self.pipeline.call("select", self.pipeline.project(&query, &self.freshness, columns.names(), decode)).await
    }

    /// Some columns of the records that a query finds, as a struct that derives `Projection`. Fills nothing.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    ///
    /// ```
    /// use store_core::Query;
    /// # use store_derive::Projection;
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    ///
    /// #[derive(Projection)]
    /// #[projection(of = City)]
    /// struct Label {
    ///     name: String,
    /// }
    ///
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let labels: Vec<Label> = cities.select_as(Query::new().limit(10)).await?;
    /// println!("{:?}", labels.first().map(|label| &label.name));
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn select_as<P: Projection<T>>(&self, query: Query<T>) -> Result<Vec<P>> {
        let rows = self.pipeline.project(&query, &self.freshness, P::columns(), P::from_values);
        self.pipeline.call("select_as", rows).await
    }

    /// Drops the copies that memory and the shared tier hold of a key. The truth keeps the record, and the next read brings it back. In a schema without tables,
    /// what a [loader](Self::get_or_load) brought is such a copy, and what was written is not.
    ///
    /// # Errors
    ///
    /// [`L3Unavailable`](ErrorKind::L3Unavailable) or [`Timeout`](ErrorKind::Timeout) if it could not be written to the log, from which the other instances and
    /// the shared tier learn of it; without tables, [`L2Unavailable`](ErrorKind::L2Unavailable) if the shared tier could not be told. This instance has dropped
    /// its copy all the same.
    pub async fn invalidate(&self, key: impl AsKey<T::Key>) -> Result<()> {
        let key = key.as_key().into_owned();
        let text = key.to_text();
        self.pipeline.call_for("invalidate", text, self.pipeline.within_write_limit(self.pipeline.invalidate(key))).await
    }

    /// Drops the copies that memory and the shared tier hold of every record, and answers how many slots this call emptied; another instance, or the relayer,
    /// may have been before it.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn invalidate_all(&self) -> Result<u64> {
        self.pipeline.call("invalidate_all", self.pipeline.invalidate_all()).await
    }

    /// Fills memory and the shared tier with up to `limit` records (`None` for all), in the order of their keys, and answers how many.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search). What was filled before stays.
    pub async fn warm(&self, limit: impl Into<Option<u64>>) -> Result<u64> {
        self.warm_with(limit, |_| {}).await
    }

    /// As [`warm`](Self::warm), telling `progress` after each batch.
    ///
    /// # Errors
    ///
    /// As [`warm`](Self::warm).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let loaded = cities
    ///     .warm_with(50_000, |progress| println!("{} of {}", progress.loaded, progress.total))
    ///     .await?;
    /// println!("{loaded} cities are in memory now");
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn warm_with(&self, limit: impl Into<Option<u64>>, progress: impl FnMut(WarmProgress)) -> Result<u64> {
        self.pipeline.call("warm", self.pipeline.warm(limit.into(), &self.tags, progress)).await
    }

    /// Reads that begin at a lower tier: [`Role::Shared`] skips memory, [`Role::Truth`] skips every cache and replica. They show the deferred columns that the
    /// tier holds.
    ///
    /// ```
    /// use store_core::Role;
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// // With every deferred column, and as the primary has it now.
    /// let city = cities.from(Role::Truth).get(7).await?;
    /// println!("{:?}", city.map(|city| city.version()));
    /// # Ok(()) } let _ = example;
    /// ```
    pub fn from(&self, role: Role) -> Reader<T> {
        Reader::new(Arc::clone(&self.pipeline), role, self.tags.clone())
    }
}

pub(crate) fn owned_keys<T: Schema, K: AsKey<T::Key>>(keys: impl IntoIterator<Item = K>) -> Vec<T::Key> {
    keys.into_iter().map(|key| Cow::into_owned(key.as_key())).collect()
}

impl<T: Schema> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Collection { pipeline: Arc::clone(&self.pipeline), freshness: self.freshness.clone(), tags: self.tags.clone() }
    }
}

impl<T: Schema> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection").field("schema", &self.pipeline.schema.name()).finish_non_exhaustive()
    }
}
