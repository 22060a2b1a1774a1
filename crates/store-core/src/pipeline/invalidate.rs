//! Dropping cached copies.

use std::borrow::Borrow;
use std::sync::Arc;

use super::{Backing, Pipeline};
use crate::error::Result;
use crate::facet::{LogEntry, LogKind};
use crate::schema::Schema;
use crate::tier::Role;
use crate::version::Version;

impl<T: Schema> Pipeline<T> {
    /// Drops the cached copies of one key.
    pub(crate) async fn invalidate(self: &Arc<Self>, key: T::Key) -> Result<()> {
        self.check(key.borrow())?;
        // What memory is the truth of is no copy.
        if matches!(self.backing, Backing::Memory(_)) {
            return Ok(());
        }
        let pipeline = Arc::clone(self);
        self.in_task(async move {
            pipeline.forget_near(&key);
            let text = Self::text(&key);
            let emptied = match &pipeline.cache {
                Some(cache) => cache.remove(&pipeline.schema, std::slice::from_ref(&text)).await,
                None => Ok(()),
            };
            if emptied.is_err() {
                pipeline.repairs.add([text.clone()]);
            }
            let logged = pipeline.log_invalidation(Some(text)).await;
            // A load that read the slot before it was emptied is voided only now.
            pipeline.forget_near(&key);
            emptied.and(logged)
        })
        .await
    }

    /// Drops the cached copies of every record of the schema, and answers how many the shared tier held.
    pub(crate) async fn invalidate_all(self: &Arc<Self>) -> Result<u64> {
        self.check_open()?;
        let pipeline = Arc::clone(self);
        self.in_task(async move {
            pipeline.forget_all_near();
            let emptied = match &pipeline.cache {
                Some(cache) => cache.clear(&pipeline.schema).await,
                None => Ok(0),
            };
            if emptied.is_err() {
                pipeline.repairs.add_all();
            }
            let logged = pipeline.log_invalidation(None).await;
            pipeline.forget_all_near();
            let emptied = emptied?;
            logged?;
            Ok(emptied)
        })
        .await
    }

    async fn log_invalidation(&self, key: Option<String>) -> Result<()> {
        let Backing::Tables { log: Some(log), .. } = &self.backing else { return Ok(()) };
        let entry = LogEntry { schema: self.schema.name().to_owned(), key, version: Version::default(), kind: LogKind::Invalidate };
        log.append(&[entry]).await.inspect_err(|error| {
            self.tolerate(Role::Truth, "an invalidation could not be written to the log; other instances do not learn of it", error);
        })
    }

    pub(crate) fn forget_all_near(&self) {
        // What memory is the truth of is no copy.
        if matches!(self.backing, Backing::Memory(_)) {
            return;
        }
        self.flights.forget_all();
        self.fences.touch_all();
        if let Some(near) = &self.near {
            near.clear();
        }
    }
}
