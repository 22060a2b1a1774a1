//! The records facet.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Guard;
use crate::error::Result;
use crate::facet::{Fetched, Fill, FillLease, Mark, PutOver, Records, Relay, Slot, TagEras};
use crate::record::EncodedRecord;
use crate::schema::BoundSchema;
use crate::version::Version;

#[derive(Debug)]
pub(super) struct GuardedRecords {
    pub(super) inner: Arc<dyn Records>,
    pub(super) guard: Guard,
}

/// A lease that a repeated call meets may be its own, granted by the answer that was lost. To wait for its holder would be to wait for its end.
fn wait_for_nobody(made: u32, slot: &mut Slot) {
    if made > 0 && *slot == Slot::Busy {
        *slot = Slot::Empty;
    }
}

#[async_trait]
impl Records for GuardedRecords {
    async fn fetch(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Slot>> {
        let fetch = async |made| {
            let mut slots = self.inner.fetch(schema, keys, lease).await?;
            slots.iter_mut().for_each(|slot| wait_for_nobody(made, slot));
            Ok(slots)
        };
        self.guard.repeatable(fetch).await
    }

    async fn fetch_marked(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Fetched>> {
        let fetch = async |made| {
            let mut fetched = self.inner.fetch_marked(schema, keys, lease).await?;
            fetched.iter_mut().for_each(|fetched| wait_for_nobody(made, &mut fetched.slot));
            Ok(fetched)
        };
        self.guard.repeatable(fetch).await
    }

    async fn take_over(
        &self,
        schema: &BoundSchema,
        records: &[(String, EncodedRecord)],
        lease: Duration,
    ) -> Result<Vec<Option<FillLease>>> {
        self.guard.once(self.inner.take_over(schema, records, lease)).await
    }

    async fn fill(&self, schema: &BoundSchema, fills: &[Fill]) -> Result<Vec<bool>> {
        self.guard.once(self.inner.fill(schema, fills)).await
    }

    async fn replace(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<bool>> {
        self.guard.repeatable(|_| self.inner.replace(schema, records)).await
    }

    async fn remove(&self, schema: &BoundSchema, keys: &[String]) -> Result<()> {
        self.guard.repeatable(|_| self.inner.remove(schema, keys)).await
    }

    // The number that is returned would be that of the second attempt alone.
    async fn clear(&self, schema: &BoundSchema) -> Result<u64> {
        self.guard.once(self.inner.clear(schema)).await
    }

    async fn marks(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<Vec<Option<Mark>>>> {
        self.guard.repeatable(|_| self.inner.marks(schemas)).await
    }

    async fn relay(&self, relay: &Relay) -> Result<()> {
        self.guard.repeatable(|_| self.inner.relay(relay)).await
    }

    async fn tag_eras(&self, schema: &BoundSchema, key: &str, tags: &[String]) -> Result<Option<TagEras>> {
        self.guard.repeatable(|_| self.inner.tag_eras(schema, key, tags)).await
    }

    async fn invalidate_tags(&self, schema: &BoundSchema, tags: &[String]) -> Result<()> {
        self.guard.repeatable(|_| self.inner.invalidate_tags(schema, tags)).await
    }

    async fn put(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<Version>> {
        self.guard.once(self.inner.put(schema, records)).await
    }

    async fn put_over(&self, schema: &BoundSchema, puts: &[PutOver]) -> Result<Vec<Option<Version>>> {
        self.guard.once(self.inner.put_over(schema, puts)).await
    }

    async fn drop_loaded(&self, schema: &BoundSchema, keys: Option<&[String]>) -> Result<u64> {
        // The number would be that of the second attempt alone, but nobody counts single keys.
        match keys {
            Some(_) => self.guard.repeatable(|_| self.inner.drop_loaded(schema, keys)).await,
            None => self.guard.once(self.inner.drop_loaded(schema, keys)).await,
        }
    }

    async fn delete(&self, schema: &BoundSchema, keys: &[String]) -> Result<Vec<Option<Version>>> {
        self.guard.once(self.inner.delete(schema, keys)).await
    }
}
