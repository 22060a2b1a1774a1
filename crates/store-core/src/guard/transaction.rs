//! A transaction, whose connection the breaker let through when it began.

use async_trait::async_trait;

use super::Guard;
use crate::error::Result;
use crate::facet::{AppliedPlace, Condition, Count, DeadLetter, RowLock, Select, Touched, Transaction};
use crate::query::Filter;
use crate::record::StoredRow;
use crate::schema::BoundSchema;
use crate::value::Row;
use crate::version::Version;

#[derive(Debug)]
pub(super) struct GuardedTransaction {
    pub(super) inner: Box<dyn Transaction>,
    pub(super) guard: Guard,
}

#[async_trait]
impl Transaction for GuardedTransaction {
    async fn get_many(&mut self, schema: &BoundSchema, keys: &[Row<'_>], lock: RowLock) -> Result<Vec<Option<StoredRow>>> {
        self.guard.within(self.inner.get_many(schema, keys, lock)).await
    }

    async fn put_many(&mut self, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
        self.guard.within(self.inner.put_many(schema, rows)).await
    }

    async fn put_many_if(&mut self, schema: &BoundSchema, rows: &[Row<'_>], conditions: &[Condition]) -> Result<Vec<Option<StoredRow>>> {
        self.guard.within(self.inner.put_many_if(schema, rows, conditions)).await
    }

    async fn delete_many(&mut self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>> {
        self.guard.within(self.inner.delete_many(schema, keys)).await
    }

    async fn delete_where(&mut self, schema: &BoundSchema, filter: &Filter) -> Result<Vec<Touched>> {
        self.guard.within(self.inner.delete_where(schema, filter)).await
    }

    async fn update_where(&mut self, schema: &BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Vec<Touched>> {
        self.guard.within(self.inner.update_where(schema, changes, filter)).await
    }

    async fn advance_journal(&mut self, journal: &str, from: u64, to: AppliedPlace) -> Result<bool> {
        self.guard.within(self.inner.advance_journal(journal, from, to)).await
    }

    async fn put_dead_letter(&mut self, letter: &DeadLetter) -> Result<()> {
        self.guard.within(self.inner.put_dead_letter(letter)).await
    }

    async fn remove_dead_letter(&mut self, journal: &str, sequence: u64) -> Result<bool> {
        self.guard.within(self.inner.remove_dead_letter(journal, sequence)).await
    }

    async fn check_deferred(&mut self) -> Result<()> {
        self.guard.within(self.inner.check_deferred()).await
    }

    async fn select(&mut self, schema: &BoundSchema, select: &Select) -> Result<Vec<StoredRow>> {
        self.guard.within(self.inner.select(schema, select)).await
    }

    async fn count(&mut self, schema: &BoundSchema, count: &Count) -> Result<u64> {
        self.guard.within(self.inner.count(schema, count)).await
    }

    async fn savepoint(&mut self) -> Result<()> {
        self.guard.within(self.inner.savepoint()).await
    }

    async fn release(&mut self) -> Result<()> {
        self.guard.within(self.inner.release()).await
    }

    async fn roll_back_to_savepoint(&mut self) -> Result<()> {
        self.guard.within(self.inner.roll_back_to_savepoint()).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.guard.within(self.inner.commit()).await
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        self.guard.within(self.inner.rollback()).await
    }
}
