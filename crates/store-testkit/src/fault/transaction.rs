//! A transaction of the tables facet.

use async_trait::async_trait;
use store_core::facet::{AppliedPlace, Condition, Count, DeadLetter, RowLock, Select, Touched, Transaction};
use store_core::{BoundSchema, Filter, Result, Row, StoredRow, Version};

use super::{Faults, Operation};

#[derive(Debug)]
pub(super) struct FaultyTransaction {
    pub(super) inner: Box<dyn Transaction>,
    pub(super) faults: Faults,
}

#[async_trait]
impl Transaction for FaultyTransaction {
    async fn get_many(&mut self, schema: &BoundSchema, keys: &[Row<'_>], lock: RowLock) -> Result<Vec<Option<StoredRow>>> {
        self.faults.run(Operation::GetMany, self.inner.get_many(schema, keys, lock)).await
    }

    async fn put_many(&mut self, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
        self.faults.run(Operation::PutMany, self.inner.put_many(schema, rows)).await
    }

    async fn put_many_if(&mut self, schema: &BoundSchema, rows: &[Row<'_>], conditions: &[Condition]) -> Result<Vec<Option<StoredRow>>> {
        self.faults.run(Operation::PutIf, self.inner.put_many_if(schema, rows, conditions)).await
    }

    async fn delete_many(&mut self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>> {
        self.faults.run(Operation::DeleteMany, self.inner.delete_many(schema, keys)).await
    }

    async fn delete_where(&mut self, schema: &BoundSchema, filter: &Filter) -> Result<Vec<Touched>> {
        self.faults.run(Operation::DeleteWhere, self.inner.delete_where(schema, filter)).await
    }

    async fn update_where(&mut self, schema: &BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Vec<Touched>> {
        self.faults.run(Operation::UpdateWhere, self.inner.update_where(schema, changes, filter)).await
    }

    async fn advance_journal(&mut self, journal: &str, from: u64, to: AppliedPlace) -> Result<bool> {
        self.faults.run(Operation::AdvanceJournal, self.inner.advance_journal(journal, from, to)).await
    }

    async fn put_dead_letter(&mut self, letter: &DeadLetter) -> Result<()> {
        self.faults.run(Operation::PutDeadLetter, self.inner.put_dead_letter(letter)).await
    }

    async fn remove_dead_letter(&mut self, journal: &str, sequence: u64) -> Result<bool> {
        self.faults.run(Operation::RemoveDeadLetter, self.inner.remove_dead_letter(journal, sequence)).await
    }

    async fn select(&mut self, schema: &BoundSchema, select: &Select) -> Result<Vec<StoredRow>> {
        self.faults.run(Operation::Select, self.inner.select(schema, select)).await
    }

    async fn count(&mut self, schema: &BoundSchema, count: &Count) -> Result<u64> {
        self.faults.run(Operation::Count, self.inner.count(schema, count)).await
    }

    async fn check_deferred(&mut self) -> Result<()> {
        self.faults.run(Operation::CheckDeferred, self.inner.check_deferred()).await
    }

    async fn savepoint(&mut self) -> Result<()> {
        self.faults.run(Operation::Savepoint, self.inner.savepoint()).await
    }

    async fn release(&mut self) -> Result<()> {
        self.faults.run(Operation::Savepoint, self.inner.release()).await
    }

    async fn roll_back_to_savepoint(&mut self) -> Result<()> {
        self.faults.run(Operation::Savepoint, self.inner.roll_back_to_savepoint()).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.faults.run(Operation::Commit, self.inner.commit()).await
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        self.faults.run(Operation::Rollback, self.inner.rollback()).await
    }
}
