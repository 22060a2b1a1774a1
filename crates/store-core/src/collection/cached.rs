//! Searches whose answers memory keeps.

use std::sync::Arc;

use super::Collection;
use crate::error::Result;
use crate::pipeline::View;
use crate::query::{Columns, Projection, Query};
use crate::record::Record;
use crate::schema::Schema;

impl<T: Schema> Collection<T> {
    /// As [`search`](Self::search), answered from memory where it keeps the answer of the same query: the same conditions with the same values, order, limit, offset,
    /// cursor and tags.
    ///
    /// What it answers is as fresh as what [`get`](Self::get) does, and never older than what this instance was told: an answer is dropped as soon as a write of any
    /// instance, an invalidation or a message could have changed it. At the latest it ends with the life time of records in the shared tier. Callers that ask for one
    /// query at a time share one search of the truth, and [`with_freshness`](Self::with_freshness) decides as everywhere, [`Strong`](crate::Freshness::Strong) always
    /// asking the truth.
    ///
    /// Each instance keeps answers of its own, in the memory of the process, up to [`query_max_entries`](crate::Settings::query_max_entries) and
    /// [`query_max_rows`](crate::Settings::query_max_rows). Where the store has no memory tier, every call asks the truth. So does a query with a condition in SQL that may
    /// read anything but the columns of its row: one that holds a query of its own, the time, or a word or function which Strata does not know.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    ///
    /// ```
    /// use store_core::Query;
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let largest = Query::new().order_by(City::population().desc()).limit(100);
    /// for city in cities.search_cached(&largest).await? {
    ///     println!("{}: {}", city.name, city.population);
    /// }
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn search_cached(&self, query: &Query<T>) -> Result<Vec<Arc<T>>> {
        let search = self.pipeline.search_cached(query, View::Near, false, &self.freshness, &self.tags);
        let records = self.pipeline.call("search_cached", search).await?;
        Ok(records.into_iter().map(Record::into_model).collect())
    }

    /// As [`select`](Self::select), answered from memory as by [`search_cached`](Self::search_cached). Columns marked `omit_cache` are asked of the truth each time.
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
    /// for (name, population) in cities.select_cached(&largest, (City::name(), City::population())).await? {
    ///     println!("{name}: {population}");
    /// }
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn select_cached<C: Columns<T>>(&self, query: &Query<T>, columns: C) -> Result<Vec<C::Output>> {
        let decode = |values| columns.decode(values);
        let rows = self.pipeline.project_cached(query, &self.freshness, &self.tags, columns.names(), decode);
        self.pipeline.call("select_cached", rows).await
    }

    /// As [`select_as`](Self::select_as), answered from memory as by [`select_cached`](Self::select_cached).
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub async fn select_as_cached<P: Projection<T>>(&self, query: &Query<T>) -> Result<Vec<P>> {
        let rows = self.pipeline.project_cached(query, &self.freshness, &self.tags, P::columns(), P::from_values);
        self.pipeline.call("select_as_cached", rows).await
    }
}
