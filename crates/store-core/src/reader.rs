//! Reads that begin below memory.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use futures_core::stream::BoxStream;

use crate::collection::owned_keys;
use crate::error::Result;
use crate::freshness::Freshness;
use crate::key::{AsKey, Key};
use crate::pipeline::{Pipeline, View};
use crate::query::Query;
use crate::record::Record;
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::tier::Role;

/// Reads that begin at the tier that [`Collection::from`](crate::Collection::from) named.
///
/// From [`Role::Shared`] on, a key is looked up in the shared tier and then in the truth, and memory takes in what was found; fields marked `omit_l1` are
/// loaded. From [`Role::Truth`] on, nothing but the primary of the truth is asked, no cache is filled, and every deferred field is loaded.
///
/// ```
/// use store_core::{Role, Store};
/// # use store_derive::Schema;
/// # use store_testkit::ModelRecords;
/// # #[derive(Schema)]
/// # #[schema(cache_only)]
/// # struct Session {
/// #     #[schema(primary_key)]
/// #     id: String,
/// #     user: i64,
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> store_core::Result<()> {
/// # let redis = ModelRecords::new();
/// # let store = Store::builder().tier(redis).schema::<Session>().build().await?;
/// let sessions = store.collection::<Session>()?;
/// let written = sessions.set(Session { id: "s1".into(), user: 7 }).await?;
///
/// let below_memory = sessions.from(Role::Shared);
/// let read = below_memory.get("s1").await?;
/// assert_eq!(read.map(|session| session.version()), Some(written.version()));
/// # Ok(())
/// # }
/// ```
pub struct Reader<T: Schema> {
    pipeline: Arc<Pipeline<T>>,
    role: Role,
    tags: CallTags,
}

impl<T: Schema> Reader<T> {
    pub(crate) fn new(pipeline: Arc<Pipeline<T>>, role: Role, tags: CallTags) -> Self {
        Reader { pipeline, role, tags }
    }

    fn view(&self) -> View {
        match self.role {
            Role::Near | Role::Shared => View::Shared,
            Role::Truth | Role::Ledger => View::Truth,
        }
    }

    fn freshness(&self) -> Freshness {
        match self.view() {
            View::Truth => Freshness::Strong,
            View::Near | View::Shared => Freshness::Bounded(self.pipeline.shared.settings.freshness),
        }
    }

    /// The record of a key, or `None`.
    ///
    /// # Errors
    ///
    /// As [`Collection::get`](crate::Collection::get).
    pub async fn get(&self, key: impl AsKey<T::Key>) -> Result<Option<Record<T>>> {
        let key = key.as_key().into_owned();
        self.pipeline.before_get("get", key.borrow())?;
        let text = key.to_text();
        let found = self.pipeline.call_for("get", text, self.pipeline.get_from(self.role, key, &self.tags)).await?;
        self.pipeline.after_get_records(&found);
        Ok(found)
    }

    /// The records of many keys, in their order.
    ///
    /// # Errors
    ///
    /// As [`Collection::get`](crate::Collection::get).
    pub async fn get_many<K: AsKey<T::Key>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Option<Record<T>>>> {
        let keys = owned_keys::<T, K>(keys);
        self.pipeline.before_get_many("get_many", &keys)?;
        let found = self.pipeline.call("get_many", self.pipeline.get_many_from(self.role, keys, &self.tags)).await?;
        self.pipeline.after_get_records(found.iter().flatten());
        Ok(found)
    }

    /// The records that a query finds.
    ///
    /// # Errors
    ///
    /// As [`Collection::search`](crate::Collection::search).
    pub async fn search(&self, query: Query<T>) -> Result<Vec<Record<T>>> {
        self.pipeline.call("search", self.pipeline.search(&query, self.view(), &self.freshness(), &self.tags)).await
    }

    /// As [`search`](Self::search), answered from memory where it keeps the answer: see
    /// [`Collection::search_cached`](crate::Collection::search_cached). Below [`Role::Shared`] nothing is, and the truth is asked.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub async fn search_cached(&self, query: &Query<T>) -> Result<Vec<Record<T>>> {
        self.pipeline.call("search_cached", self.pipeline.search_cached(query, self.view(), true, &self.freshness(), &self.tags)).await
    }

    /// The records that a query finds, one by one.
    ///
    /// # Errors
    ///
    /// As [`Collection::stream`](crate::Collection::stream).
    pub fn stream(&self, query: Query<T>) -> Result<BoxStream<'static, Result<Arc<T>>>> {
        self.pipeline.stream(&query, self.view(), &self.freshness()).map_err(|error| self.pipeline.report("stream", error))
    }

    /// The number of records that a query's conditions hold for.
    ///
    /// # Errors
    ///
    /// As [`Collection::count`](crate::Collection::count).
    pub async fn count(&self, query: Query<T>) -> Result<u64> {
        self.pipeline.call("count", self.pipeline.count(query.condition(), &self.freshness())).await
    }
}

impl<T: Schema> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("schema", &self.pipeline.schema.name()).field("role", &self.role).finish_non_exhaustive()
    }
}
