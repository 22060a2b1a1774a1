//! Filling the caches before the first readers come.

use std::borrow::Borrow;
use std::sync::Arc;

use futures_util::TryStreamExt;

use super::{Pipeline, View};
use crate::error::Result;
use crate::freshness::Freshness;
use crate::key::Key;
use crate::query::Query;
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::value::{Row, Value};

const CHUNK: usize = 1_000;

/// How far a warm-up has come.
///
/// ```
/// use store_core::WarmProgress;
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
/// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
/// let percent = |progress: WarmProgress| progress.loaded * 100 / progress.total.max(1);
/// cities.warm_with(None, |progress| println!("{} % of the cities", percent(progress))).await?;
/// # Ok(())
/// # }
/// # let _ = example;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmProgress {
    /// Records that the caches hold now.
    pub loaded: u64,
    /// Records that they will hold in the end, if no other writer changes their number meanwhile.
    pub total: u64,
}

impl<T: Schema> Pipeline<T> {
    /// Reads up to `limit` records, in the order of their keys, through the tiers. The keys are streamed, so the table may be larger than memory.
    pub(crate) async fn warm(self: &Arc<Self>, limit: Option<u64>, tags: &CallTags, mut progress: impl FnMut(WarmProgress)) -> Result<u64> {
        tags.check()?;
        let count = self.count(None, &Freshness::Strong).await?;
        let total = limit.map_or(count, |limit| limit.min(count));
        let mut select = Query::<T>::new().to_select(limit)?;
        select.columns = Some(self.schema.definition().key_positions().to_vec());
        let rows = self.rows(select, View::Truth, &Freshness::Strong).await?;
        let positions = self.schema.definition().key_positions();
        let mut chunks = rows.try_chunks(CHUNK);
        let mut loaded = 0;
        loop {
            let chunk = match chunks.try_next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(loaded),
                Err(error) => return Err(error.1),
            };
            let mut keys = Vec::with_capacity(chunk.len());
            for mut stored in chunk {
                let values: Row<'static> =
                    positions.iter().map(|&position| std::mem::replace(&mut stored.row[position], Value::Unset)).collect();
                let key = T::Key::from_values(values)?;
                // Another program may have written a row that no reader can ask for.
                if !<T::Key as Key>::is_empty(key.borrow()) {
                    keys.push(key);
                }
            }
            loaded += self.get_many(keys, &self.usual_freshness(), tags).await?.iter().flatten().count() as u64;
            progress(WarmProgress { loaded, total: total.max(loaded) });
        }
    }
}
