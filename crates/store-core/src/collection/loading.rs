//! Reads that load what no tier holds.

use std::borrow::Borrow;
use std::sync::Arc;

use super::{Collection, owned_keys};
use crate::answer::Answer;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{AsKey, Key};
use crate::load::{Known, Load, LoadError, LoadResult};
use crate::pipeline::{LoadMany, LoadOne};
use crate::record::Record;
use crate::schema::Schema;

impl<T: Schema> Collection<T> {
    /// The record of a key; where no tier holds one within its life time, what `loader` answers, which the tiers then keep.
    ///
    /// For schemas that have no tables (`cache_only`): copies of what lives elsewhere, behind an API or in a computation.
    ///
    /// - All callers of a key share one load, in this process and, as long as the shared tier lives, across processes: others wait for
    ///   [`flight_wait`](crate::Settings::flight_wait). The loader of whoever comes first runs; those of the others are dropped unused.
    /// - The load runs in a task of its own. A caller that gives up does not stop it; [`load_timeout`](crate::Settings::load_timeout) and
    ///   [`Store::close`](crate::Store::close) do.
    /// - A `set`, `delete` or `invalidate` of the key during the load, on any instance, keeps its answer out of every tier. Those who waited get it all the same.
    /// - The loader is given the last known value if it is kept beyond its end, with its source tag, and may answer that it has not been
    ///   [modified](Load::not_modified).
    /// - If the load fails, or takes longer than the soft time limit, the last known value is answered where
    ///   [`stale_on_error`](crate::Settings::stale_on_error) allows it.
    /// - A loader that asks for its own key while no tier holds it, itself or through loads that it waits for, would wait for itself: that is
    ///   [`LoadFailed`](crate::ErrorKind::LoadFailed) at once. So is a question by which loaders that different calls run would wait for each other. Neither is
    ///   noticed where the loader hands the question to another task, nor the latter between processes.
    /// - Freshness is about the store: [`Strong`](crate::Freshness::Strong) asks the shared tier for what was written or invalidated, and not the loader.
    /// - While the shared tier is away, or another process takes too long, what was loaded is kept in memory alone, for at most the freshness bound.
    ///
    /// A hit in memory costs what [`get`](Self::get) costs.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`LoadFailed`](crate::ErrorKind::LoadFailed) with the loader's error as its source, for all who shared the load; nothing is kept of
    /// it. [`InvalidQuery`](crate::ErrorKind::InvalidQuery) for a schema with tables.
    ///
    /// ```
    /// use std::time::Duration;
    /// use store_core::{Known, Load};
    /// # #[derive(store_derive::Schema)] #[schema(cache_only)] struct Page { #[schema(primary_key)] path: String, body: String }
    /// # struct Response { status: u16, body: String, etag: String }
    /// # async fn request(path: &str, etag: Option<&str>) -> std::io::Result<Response> {
    /// #     let _ = (path, etag);
    /// #     Ok(Response { status: 200, body: "Hello".into(), etag: "\"1\"".into() })
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
    /// # let store = store_core::Store::builder().tier(store_testkit::ModelRecords::new()).schema::<Page>().build().await?;
    /// let pages = store.collection::<Page>()?;
    /// let page = pages
    ///     .get_or_load("/", |known: Option<Known<Page>>| async move {
    ///         let response = request("/", known.as_ref().and_then(Known::source_tag)).await?;
    ///         Ok(match response.status {
    ///             304 => Load::not_modified(),
    ///             404 => Load::absent(),
    ///             _ => Load::value(Page { path: "/".into(), body: response.body })
    ///                 .source_tag(response.etag)
    ///                 .ttl(Duration::from_secs(60)),
    ///         })
    ///     })
    ///     .await?;
    /// assert_eq!(page.map(|page| page.body.clone()), Some("Hello".into()));
    /// # Ok(()) }
    /// ```
    pub async fn get_or_load<F, L>(&self, key: impl AsKey<T::Key>, loader: F) -> Result<Option<Arc<T>>>
    where
        F: FnOnce(Option<Known<T>>) -> L + Send + 'static,
        L: Future<Output = LoadResult<T>> + Send + 'static,
    {
        let key = key.as_key();
        self.check_untagged("get_or_load")?;
        self.pipeline.before_get("get_or_load", &key)?;
        if let Some(record) = self.pipeline.peek_loaded(&key, &self.freshness) {
            self.pipeline.after_get_records([&record]);
            if self.pipeline.begins_renewal(&key, &record) {
                self.pipeline.renew(key.into_owned(), LoadOne::new(loader));
            }
            return Ok(Some(record.into_model()));
        }
        let key = key.into_owned();
        let loaded = Box::pin(async move {
            let text = key.to_text();
            self.pipeline.call_for("get_or_load", text, self.pipeline.get_or_load(key, LoadOne::new(loader), &self.freshness)).await
        });
        let found = loaded.await?.map(|loaded| loaded.record);
        self.pipeline.after_get_records(&found);
        Ok(found.map(Record::into_model))
    }

    /// As [`get_or_load`](Self::get_or_load), with the version, the tier that answered ([`Truth`](crate::Role::Truth) for the loader), the age, and whether it is
    /// the last known value because the load failed.
    ///
    /// A value that the shared tier did not take has the version of the one before it, or 0.
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load).
    pub async fn read_or_load<F, L>(&self, key: impl AsKey<T::Key>, loader: F) -> Result<Option<Answer<T>>>
    where
        F: FnOnce(Option<Known<T>>) -> L + Send + 'static,
        L: Future<Output = LoadResult<T>> + Send + 'static,
    {
        let key = key.as_key().into_owned();
        let pipeline = &self.pipeline;
        self.check_untagged("read_or_load")?;
        pipeline.before_get("read_or_load", key.borrow())?;
        let loaded = match pipeline.peek_loaded(key.borrow(), &self.freshness) {
            Some(record) => {
                if pipeline.begins_renewal(key.borrow(), &record) {
                    pipeline.renew(key, LoadOne::new(loader));
                }
                Some(pipeline.loaded_near(record))
            }
            None => {
                let text = key.to_text();
                let load = pipeline.get_or_load(key, LoadOne::new(loader), &self.freshness);
                Box::pin(pipeline.call_for("read_or_load", text, load)).await?
            }
        };
        pipeline.after_get_records(loaded.as_ref().map(|loaded| &loaded.record));
        Ok(loaded.map(|loaded| pipeline.answer(loaded)))
    }

    /// As [`get_or_load`](Self::get_or_load) for many keys, in their order, with one call of the loader for all that are missing.
    ///
    /// The loader is given each missing key once, with its last known value. A key that it does not mention is [absent](Load::absent); to mention one that was
    /// not missing, or one twice, is an error. Keys that somebody else is loading, alone or in another batch, are not asked for but waited for, and a caller of one of these keys
    /// waits for this batch. Where another process was loading some keys and has not filled them in time, a clone of the loader is called for those.
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load), for the first key that could not be loaded; the others are kept all the same.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use store_core::{Known, Load};
    /// # #[derive(store_derive::Schema)] #[schema(cache_only)] struct Rate { #[schema(primary_key)] currency: String, rate: f64 }
    /// # async fn request(currencies: Vec<String>) -> std::io::Result<Vec<(String, f64)>> {
    /// #     Ok(currencies.into_iter().filter(|currency| currency != "ZZZ").map(|currency| (currency, 1.5)).collect())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
    /// # let store = store_core::Store::builder().tier(store_testkit::ModelRecords::new()).schema::<Rate>().build().await?;
    /// let rates = store.collection::<Rate>()?;
    /// let found = rates
    ///     .get_or_load_many(["EUR", "ZZZ"], |missing: Vec<(String, Option<Known<Rate>>)>| async move {
    ///         let currencies = missing.into_iter().map(|(currency, _)| currency).collect();
    ///         let rates = request(currencies).await?.into_iter();
    ///         Ok(rates
    ///             .map(|(currency, rate)| (currency.clone(), Load::value(Rate { currency, rate })))
    ///             .collect::<HashMap<_, _>>())
    ///     })
    ///     .await?;
    /// assert_eq!(found[0].as_ref().map(|rate| rate.rate), Some(1.5));
    /// assert!(found[1].is_none());
    /// # Ok(()) }
    /// ```
    pub async fn get_or_load_many<K, F, L, A>(&self, keys: impl IntoIterator<Item = K>, loader: F) -> Result<Vec<Option<Arc<T>>>>
    where
        K: AsKey<T::Key>,
        F: FnOnce(Vec<(T::Key, Option<Known<T>>)>) -> L + Clone + Send + 'static,
        L: Future<Output = Result<A, LoadError>> + Send + 'static,
        A: IntoIterator<Item = (T::Key, Load<T>)> + Send,
    {
        let keys = owned_keys::<T, K>(keys);
        self.check_untagged("get_or_load_many")?;
        self.pipeline.before_get_many("get_or_load_many", &keys)?;
        let load = self.pipeline.get_or_load_many(keys, LoadMany::new(loader), &self.freshness);
        let records: Vec<Option<Record<T>>> = Box::pin(self.pipeline.call("get_or_load_many", load)).await?;
        self.pipeline.after_get_records(records.iter().flatten());
        Ok(records.into_iter().map(|record| record.map(Record::into_model)).collect())
    }

    /// Refuses tags that what a loader brings would not have.
    fn check_untagged(&self, operation: &'static str) -> Result<()> {
        if self.tags.is_empty() {
            return Ok(());
        }
        let message = "the collection is one `with_tags`, and what a loader brings has the tags that the loader gives; give them with `Load::tags`, and call this \
                       on the collection without tags";
        Err(self.pipeline.report(operation, Error::new(ErrorKind::InvalidQuery, message)))
    }
}
