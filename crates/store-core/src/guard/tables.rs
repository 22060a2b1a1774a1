//! The tables facet.

use std::sync::Arc;
use std::task::{Poll, ready};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::stream::{self, StreamExt};

use super::Guard;
use super::transaction::GuardedTransaction;
use crate::breaker::Pass;
use crate::error::Result;
use crate::facet::{Begin, Condition, Count, ReadPreference, Select, Tables, Touched, Transaction};
use crate::health::ReplicaHealth;
use crate::query::Filter;
use crate::record::StoredRow;
use crate::schema::BoundSchema;
use crate::value::Row;
use crate::version::Version;

#[derive(Debug)]
pub(super) struct GuardedTables {
    pub(super) inner: Arc<dyn Tables>,
    pub(super) guard: Guard,
}

impl GuardedTables {
    /// Whether an answer is certainly the primary's. The breaker is the primary's: what a replica answers says nothing of it.
    fn is_of_primary(&self, preference: &ReadPreference) -> bool {
        *preference == ReadPreference::Primary || !self.inner.reads_from_replica()
    }

    /// Lets a query through; one that any replica may answer goes past a breaker that holds calls back, to a replica.
    fn admit(&self, preference: &mut ReadPreference) -> Result<Option<Pass>> {
        match self.guard.admit() {
            Err(_) if *preference == ReadPreference::Replica && self.inner.reads_from_replica() => {
                *preference = ReadPreference::Late;
                Ok(None)
            }
            admitted => admitted.map(Some),
        }
    }
}

#[async_trait]
impl Tables for GuardedTables {
    async fn get_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<StoredRow>>> {
        self.guard.repeatable(|_| self.inner.get_many(schema, keys)).await
    }

    async fn exists_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<bool>> {
        self.guard.repeatable(|_| self.inner.exists_many(schema, keys)).await
    }

    async fn put_many(&self, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
        self.guard.once(self.inner.put_many(schema, rows)).await
    }

    async fn put_if(&self, schema: &BoundSchema, row: &Row<'_>, condition: Condition) -> Result<Option<StoredRow>> {
        self.guard.once(self.inner.put_if(schema, row, condition)).await
    }

    async fn delete_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>> {
        self.guard.once(self.inner.delete_many(schema, keys)).await
    }

    async fn delete_where(&self, schema: &BoundSchema, filter: &Filter) -> Result<Vec<Touched>> {
        self.guard.once(self.inner.delete_where(schema, filter)).await
    }

    async fn update_where(&self, schema: &BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Vec<Touched>> {
        self.guard.once(self.inner.update_where(schema, changes, filter)).await
    }

    fn select(self: Arc<Self>, schema: Arc<BoundSchema>, select: Select) -> BoxStream<'static, Result<StoredRow>> {
        let is_of_primary = self.is_of_primary(&select.preference);
        let mut asked = Some((schema, select));
        let mut running = None;
        let rows = stream::poll_fn(move |context| {
            if let Some((schema, mut select)) = asked.take() {
                let pass = match self.admit(&mut select.preference) {
                    Ok(pass) => pass,
                    Err(refused) => return Poll::Ready(Some(Err(refused))),
                };
                running = Some((pass, Arc::clone(&self.inner).select(schema, select)));
            }
            let Some((pass, rows)) = &mut running else { return Poll::Ready(None) };
            let row = ready!(rows.poll_next_unpin(context));
            match (&row, pass) {
                (Some(row), Some(pass)) if is_of_primary || row.is_err() => pass.tell(row),
                (None, Some(pass)) if is_of_primary => pass.answered(),
                _ => {}
            }
            Poll::Ready(row)
        });
        rows.boxed()
    }

    fn reads_from_replica(&self) -> bool {
        self.inner.reads_from_replica()
    }

    fn replicas(&self) -> Vec<ReplicaHealth> {
        self.inner.replicas()
    }

    async fn count(&self, schema: &BoundSchema, count: Count) -> Result<u64> {
        if self.is_of_primary(&count.preference) {
            return self.guard.repeatable(|_| self.inner.count(schema, count.clone())).await;
        }
        let mut count = count;
        let pass = self.admit(&mut count.preference)?;
        let counted = self.inner.count(schema, count).await;
        if let Some(mut pass) = pass.filter(|_| counted.is_err()) {
            pass.tell(&counted);
        }
        counted
    }

    async fn begin(&self, begin: &Begin) -> Result<Box<dyn Transaction>> {
        let inner = self.guard.repeatable(|_| self.inner.begin(begin)).await?;
        Ok(Box::new(GuardedTransaction { inner, guard: self.guard.clone() }))
    }
}
