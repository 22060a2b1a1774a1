//! The typed handle of one schema.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use futures_core::stream::BoxStream;

use crate::error::{Error, ErrorKind, Result};
use crate::key::{AsKey, Key};
use crate::pipeline::{Pipeline, View, WarmProgress};
use crate::query::{Columns, Cursor, Projection, Query};
use crate::reader::Reader;
use crate::record::Record;
use crate::schema::Schema;
use crate::tier::Role;

/// The records of one model. Cheap to clone, and to keep.
///
/// Reads come from the nearest tier that holds the record and fill the tiers above it. Writes reach the truth first, then every nearer tier, before the call
/// returns. Dropping a call's future never leaves the tiers apart: a write that began is finished.
///
/// Every call fails with [`Closed`](ErrorKind::Closed) once the store was closed, and with
/// [`MissingPrimaryKey`](ErrorKind::MissingPrimaryKey) for an empty key.
pub struct Collection<T: Schema> {
    pipeline: Arc<Pipeline<T>>,
}

/// One page of a search.
#[derive(Debug)]
pub struct Page<T> {
    /// The records.
    pub records: Vec<Arc<T>>,
    /// Where the next page begins, for [`Query::after`]; `None` behind the last one.
    pub next: Option<Cursor>,
}

impl<T: Schema> Collection<T> {
    pub(crate) fn new(pipeline: Arc<Pipeline<T>>) -> Self {
        Collection { pipeline }
    }

    /// The record of a key, or `None`.
    ///
    /// A hit in memory costs no allocation and no lock that a writer of another shelf could hold.
    ///
    /// # Errors
    ///
    /// What the tiers below say once none of them can answer: [`L3Unavailable`](ErrorKind::L3Unavailable), [`Timeout`](ErrorKind::Timeout),
    /// [`DecodeFailed`](ErrorKind::DecodeFailed). A failing shared tier is read past.
    pub async fn get(&self, key: impl AsKey<T::Key>) -> Result<Option<Arc<T>>> {
        let key = key.as_key();
        if let Some(record) = self.pipeline.peek(&key) {
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
        if let Some(record) = self.pipeline.peek(&key) {
            return Ok(Some(record));
        }
        let key = key.into_owned();
        Box::pin(self.below(key)).await
    }

    async fn below(&self, key: T::Key) -> Result<Option<Record<T>>> {
        let text = key.to_text();
        self.pipeline.get_below(key).await.map_err(|error| self.pipeline.report("get", error.with_key(text)))
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

    /// The records of many keys, in their order, with one batched call to each tier.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn get_many<K: AsKey<T::Key>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Option<Arc<T>>>> {
        let keys = owned_keys::<T, K>(keys);
        let records = self.pipeline.get_many(keys).await.map_err(|error| self.pipeline.report("get_many", error))?;
        Ok(records.into_iter().map(|record| record.map(Record::into_model)).collect())
    }

    /// The record of a key if memory holds it; no other tier is asked.
    pub fn peek(&self, key: impl AsKey<T::Key>) -> Option<Arc<T>> {
        self.pipeline.peek(&key.as_key()).map(Record::into_model)
    }

    /// Shows the record of a key to `visit` if memory holds it, without touching a reference count.
    ///
    /// `visit` must be quick and must not call the store: the shelf may be locked meanwhile.
    pub fn peek_with<R>(&self, key: impl AsKey<T::Key>, visit: impl FnOnce(&T) -> R) -> Option<R> {
        let near = self.pipeline.near.as_ref()?;
        let (mut visit, mut answer) = (Some(visit), None);
        let found = near.peek_with(&key.as_key(), &mut |model, _| {
            if let Some(visit) = visit.take() {
                answer = Some(visit(model));
            }
        });
        let counters = self.pipeline.counters();
        if found {
            counters.l1_hits.add(1)
        } else {
            counters.l1_misses.add(1)
        }
        answer
    }

    /// Writes a record, and answers it as it is stored: with its stamps, defaults and version.
    ///
    /// # Errors
    ///
    /// [`UniqueViolation`](ErrorKind::UniqueViolation) and [`ConstraintViolation`](ErrorKind::ConstraintViolation) name the column;
    /// [`InvalidValue`](ErrorKind::InvalidValue) for what the truth cannot hold exactly. After [`L3Unavailable`](ErrorKind::L3Unavailable) or
    /// [`Timeout`](ErrorKind::Timeout) the write may have been stored or not.
    pub async fn set(&self, model: T) -> Result<Record<T>> {
        let text = model.key().to_text();
        let write = async {
            let written = self.pipeline.set_many(vec![model]).await?;
            written.into_iter().next().ok_or_else(|| Error::new(ErrorKind::Internal, "the truth answered a write without its row"))
        };
        self.pipeline.within_limit(write).await.map_err(|error| self.pipeline.report("set", error.with_key(text)))
    }

    /// Writes many records, all or none, with one batched call to each tier. Of several with one key the last wins, and each of them is answered with it.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn set_many(&self, models: impl IntoIterator<Item = T>) -> Result<Vec<Record<T>>> {
        let models = models.into_iter().collect();
        self.pipeline.set_many(models).await.map_err(|error| self.pipeline.report("set_many", error))
    }

    /// Deletes a record from every tier, and answers whether there was one. Deleting what is missing succeeds.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn delete(&self, key: impl AsKey<T::Key>) -> Result<bool> {
        let key = key.as_key().into_owned();
        let text = key.to_text();
        let delete = self.pipeline.within_limit(self.pipeline.delete_many(vec![key])).await;
        delete.map(|deleted| deleted > 0).map_err(|error| self.pipeline.report("delete", error.with_key(text)))
    }

    /// Deletes many records, all or none, and answers how many there were.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn delete_many<K: AsKey<T::Key>>(&self, keys: impl IntoIterator<Item = K>) -> Result<u64> {
        let keys = owned_keys::<T, K>(keys);
        self.pipeline.delete_many(keys).await.map_err(|error| self.pipeline.report("delete_many", error))
    }

    /// Whether any tier holds a record of the key. Fills nothing.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn exists(&self, key: impl AsKey<T::Key>) -> Result<bool> {
        let key = key.as_key().into_owned();
        let text = key.to_text();
        self.pipeline.exists(key).await.map_err(|error| self.pipeline.report("exists", error.with_key(text)))
    }

    /// The number of records that a query's conditions hold for, from the truth. Limit, offset, order and cursor do not matter.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](ErrorKind::InvalidQuery), also for a `cache_only` schema, and what the truth says.
    pub async fn count(&self, query: Query<T>) -> Result<u64> {
        self.pipeline.count(query.condition(), false).await.map_err(|error| self.pipeline.report("count", error))
    }

    /// The records that a query finds in the truth; memory takes them in as well. At most [`DEFAULT_LIMIT`](crate::DEFAULT_LIMIT) unless the query says otherwise.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](ErrorKind::InvalidQuery), also for a `cache_only` schema, and what the truth says.
    pub async fn search(&self, query: Query<T>) -> Result<Vec<Arc<T>>> {
        let records = self.pipeline.search(&query, View::Near).await.map_err(|error| self.pipeline.report("search", error))?;
        Ok(records.into_iter().map(Record::into_model).collect())
    }

    /// As [`search`](Self::search), with the cursor that the next page begins at.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub async fn page(&self, query: Query<T>) -> Result<Page<T>> {
        let records = self.search(query.clone()).await?;
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
    pub fn stream(&self, query: Query<T>) -> Result<BoxStream<'static, Result<Arc<T>>>> {
        self.pipeline.stream(&query, View::Near).map_err(|error| self.pipeline.report("stream", error))
    }

    /// Some columns of the records that a query finds, as a tuple each: `cities.select(query, (City::name(), City::population()))`. Fills nothing.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub async fn select<C: Columns<T>>(&self, query: Query<T>, columns: C) -> Result<Vec<C::Output>> {
        let decode = |values| columns.decode(values);
        self.pipeline.project(&query, columns.names(), decode).await.map_err(|error| self.pipeline.report("select", error))
    }

    /// Some columns of the records that a query finds, as a struct that derives `Projection`. Fills nothing.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub async fn select_as<P: Projection<T>>(&self, query: Query<T>) -> Result<Vec<P>> {
        self.pipeline.project(&query, P::columns(), P::from_values).await.map_err(|error| self.pipeline.report("select_as", error))
    }

    /// Drops the copies that memory and the shared tier hold of a key. The truth keeps the record, and the next read brings it back.
    ///
    /// # Errors
    ///
    /// [`L2Unavailable`](ErrorKind::L2Unavailable) if the shared tier could not be told: this instance reads past it until it has been, others may not.
    /// [`L3Unavailable`](ErrorKind::L3Unavailable) if other instances could not be told through the log.
    pub async fn invalidate(&self, key: impl AsKey<T::Key>) -> Result<()> {
        let key = key.as_key().into_owned();
        let text = key.to_text();
        let invalidate = self.pipeline.within_limit(self.pipeline.invalidate(key)).await;
        invalidate.map_err(|error| self.pipeline.report("invalidate", error.with_key(text)))
    }

    /// Drops the copies that memory and the shared tier hold of every record, and answers how many slots the shared tier emptied.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn invalidate_all(&self) -> Result<u64> {
        self.pipeline.invalidate_all().await.map_err(|error| self.pipeline.report("invalidate_all", error))
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
    pub async fn warm_with(&self, limit: impl Into<Option<u64>>, progress: impl FnMut(WarmProgress)) -> Result<u64> {
        self.pipeline.warm(limit.into(), progress).await.map_err(|error| self.pipeline.report("warm", error))
    }

    /// Reads that begin at a lower tier: [`Role::Shared`] skips memory, [`Role::Truth`] skips every cache and replica. They show the deferred columns that the
    /// tier holds.
    pub fn from(&self, role: Role) -> Reader<T> {
        Reader::new(Arc::clone(&self.pipeline), role)
    }
}

pub(crate) fn owned_keys<T: Schema, K: AsKey<T::Key>>(keys: impl IntoIterator<Item = K>) -> Vec<T::Key> {
    keys.into_iter().map(|key| Cow::into_owned(key.as_key())).collect()
}

impl<T: Schema> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Collection { pipeline: Arc::clone(&self.pipeline) }
    }
}

impl<T: Schema> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection").field("schema", &self.pipeline.schema.name()).finish_non_exhaustive()
    }
}
