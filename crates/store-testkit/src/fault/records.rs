//! The records facet.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use store_core::facet::{Fetched, Fill, FillLease, Mark, PutOver, Records, Relay, Slot, TagEras};
use store_core::{BoundSchema, EncodedRecord, Result, Version};

use super::{Faults, Operation};

#[derive(Debug)]
pub(super) struct FaultyRecords {
    pub(super) inner: Arc<dyn Records>,
    pub(super) faults: Faults,
}

#[async_trait]
impl Records for FaultyRecords {
    async fn fetch(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Slot>> {
        self.faults.run(Operation::Fetch, self.inner.fetch(schema, keys, lease)).await
    }

    async fn fetch_marked(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Fetched>> {
        self.faults.run(Operation::Fetch, self.inner.fetch_marked(schema, keys, lease)).await
    }

    async fn take_over(
        &self,
        schema: &BoundSchema,
        records: &[(String, EncodedRecord)],
        lease: Duration,
    ) -> Result<Vec<Option<FillLease>>> {
        self.faults.run(Operation::TakeOver, self.inner.take_over(schema, records, lease)).await
    }

    async fn fill(&self, schema: &BoundSchema, fills: &[Fill]) -> Result<Vec<bool>> {
        self.faults.run(Operation::Fill, self.inner.fill(schema, fills)).await
    }

    async fn replace(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<bool>> {
        self.faults.run(Operation::Replace, self.inner.replace(schema, records)).await
    }

    async fn remove(&self, schema: &BoundSchema, keys: &[String]) -> Result<()> {
        self.faults.run(Operation::Remove, self.inner.remove(schema, keys)).await
    }

    async fn clear(&self, schema: &BoundSchema) -> Result<u64> {
        self.faults.run(Operation::Clear, self.inner.clear(schema)).await
    }

    async fn marks(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<Vec<Option<Mark>>>> {
        self.faults.run(Operation::Marks, self.inner.marks(schemas)).await
    }

    async fn relay(&self, relay: &Relay) -> Result<()> {
        self.faults.run(Operation::Relay, self.inner.relay(relay)).await
    }

    async fn tag_eras(&self, schema: &BoundSchema, key: &str, tags: &[String]) -> Result<Option<TagEras>> {
        self.faults.run(Operation::TagEras, self.inner.tag_eras(schema, key, tags)).await
    }

    async fn invalidate_tags(&self, schema: &BoundSchema, tags: &[String]) -> Result<()> {
        self.faults.run(Operation::InvalidateTags, self.inner.invalidate_tags(schema, tags)).await
    }

    async fn put(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<Version>> {
        self.faults.run(Operation::Put, self.inner.put(schema, records)).await
    }

    async fn put_over(&self, schema: &BoundSchema, puts: &[PutOver]) -> Result<Vec<Option<Version>>> {
        self.faults.run(Operation::PutOver, self.inner.put_over(schema, puts)).await
    }

    async fn drop_loaded(&self, schema: &BoundSchema, keys: Option<&[String]>) -> Result<u64> {
        self.faults.run(Operation::DropLoaded, self.inner.drop_loaded(schema, keys)).await
    }

    async fn delete(&self, schema: &BoundSchema, keys: &[String]) -> Result<Vec<Option<Version>>> {
        self.faults.run(Operation::Delete, self.inner.delete(schema, keys)).await
    }
}
