//! The tables facet.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use store_core::facet::{Begin, Condition, Count, Select, Tables, Touched, Transaction};
use store_core::{BoundSchema, Filter, ReplicaHealth, Result, Row, StoredRow, Version};

use super::faults::Ordered;
use super::transaction::FaultyTransaction;
use super::{Fault, Faults, Operation};

#[derive(Debug)]
pub(super) struct FaultyTables {
    pub(super) inner: Arc<dyn Tables>,
    pub(super) faults: Faults,
}

#[async_trait]
impl Tables for FaultyTables {
    async fn get_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<StoredRow>>> {
        self.faults.run(Operation::GetMany, self.inner.get_many(schema, keys)).await
    }

    async fn exists_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<bool>> {
        self.faults.run(Operation::ExistsMany, self.inner.exists_many(schema, keys)).await
    }

    async fn put_many(&self, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
        self.faults.run(Operation::PutMany, self.inner.put_many(schema, rows)).await
    }

    async fn put_if(&self, schema: &BoundSchema, row: &Row<'_>, condition: Condition) -> Result<Option<StoredRow>> {
        self.faults.run(Operation::PutIf, self.inner.put_if(schema, row, condition)).await
    }

    async fn delete_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>> {
        self.faults.run(Operation::DeleteMany, self.inner.delete_many(schema, keys)).await
    }

    async fn delete_where(&self, schema: &BoundSchema, filter: &Filter) -> Result<Vec<Touched>> {
        self.faults.run(Operation::DeleteWhere, self.inner.delete_where(schema, filter)).await
    }

    async fn update_where(&self, schema: &BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Vec<Touched>> {
        self.faults.run(Operation::UpdateWhere, self.inner.update_where(schema, changes, filter)).await
    }

    fn select(self: Arc<Self>, schema: Arc<BoundSchema>, select: Select) -> BoxStream<'static, Result<StoredRow>> {
        let inner = Arc::clone(&self.inner);
        let rows = move || inner.select(schema, select);
        match self.faults.draw(Operation::Select) {
            None => rows(),
            Some(Ordered::Fail(Fault::FailBefore(kind))) => stream::iter([Err(self.faults.error(kind))]).boxed(),
            Some(Ordered::Fail(Fault::Conflict)) => stream::iter([Err(self.faults.conflict())]).boxed(),
            Some(Ordered::Fail(Fault::FailAfter(kind))) => rows().chain(stream::iter([Err(self.faults.error(kind))])).boxed(),
            Some(Ordered::HoldBefore(gate)) => {
                let held = async move {
                    gate.pass().await;
                    rows()
                };
                stream::once(held).flatten().boxed()
            }
            Some(Ordered::HoldAfter(gate)) => {
                let held = async move {
                    let rows: Vec<Result<StoredRow>> = rows().collect().await;
                    gate.pass().await;
                    stream::iter(rows)
                };
                stream::once(held).flatten().boxed()
            }
        }
    }

    fn reads_from_replica(&self) -> bool {
        self.inner.reads_from_replica()
    }

    fn replicas(&self) -> Vec<ReplicaHealth> {
        self.inner.replicas()
    }

    async fn count(&self, schema: &BoundSchema, count: Count) -> Result<u64> {
        self.faults.run(Operation::Count, self.inner.count(schema, count)).await
    }

    async fn begin(&self, begin: &Begin) -> Result<Box<dyn Transaction>> {
        let inner = self.faults.run(Operation::Begin, self.inner.begin(begin)).await?;
        Ok(Box::new(FaultyTransaction { inner, faults: self.faults.clone() }))
    }
}
