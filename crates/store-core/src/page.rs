//! Pages of a search.

use std::sync::Arc;

use crate::query::Cursor;

/// One page of a search.
///
/// ```
/// use store_core::Query;
/// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
/// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
/// let page = cities.page(Query::new().order_by(City::name())).await?;
/// println!("{} cities{}", page.records.len(), if page.next.is_some() { ", and more" } else { "" });
/// # Ok(()) } let _ = example;
/// ```
#[derive(Debug)]
pub struct Page<T> {
    /// The records.
    pub records: Vec<Arc<T>>,
    /// Where the next page begins, for [`Query::after`](crate::Query::after); `None` if this page is not full, and so the last.
    pub next: Option<Cursor>,
}
