//! The journals facet.

use std::sync::Arc;

use async_trait::async_trait;
use store_core::Result;
use store_core::facet::{AppliedPlace, DeadLetter, Journals};

use super::{Faults, Operation};

#[derive(Debug)]
pub(super) struct FaultyJournals {
    pub(super) inner: Arc<dyn Journals>,
    pub(super) faults: Faults,
}

#[async_trait]
impl Journals for FaultyJournals {
    async fn applied(&self, journal: &str) -> Result<Option<AppliedPlace>> {
        self.faults.run(Operation::JournalApplied, self.inner.applied(journal)).await
    }

    async fn dead_letters(&self, schema: Option<&str>, after: Option<(&str, u64)>, limit: u64) -> Result<Vec<DeadLetter>> {
        self.faults.run(Operation::DeadLetters, self.inner.dead_letters(schema, after, limit)).await
    }

    async fn remove_dead_letter(&self, journal: &str, sequence: u64) -> Result<bool> {
        self.faults.run(Operation::RemoveDeadLetter, self.inner.remove_dead_letter(journal, sequence)).await
    }
}
