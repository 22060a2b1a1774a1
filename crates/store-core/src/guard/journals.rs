//! The journals facet.

use std::sync::Arc;

use async_trait::async_trait;

use super::Guard;
use crate::error::Result;
use crate::facet::{AppliedPlace, DeadLetter, Journals};

#[derive(Debug)]
pub(super) struct GuardedJournals {
    pub(super) inner: Arc<dyn Journals>,
    pub(super) guard: Guard,
}

#[async_trait]
impl Journals for GuardedJournals {
    async fn applied(&self, journal: &str) -> Result<Option<AppliedPlace>> {
        self.guard.repeatable(|_| self.inner.applied(journal)).await
    }

    async fn dead_letters(&self, schema: Option<&str>, after: Option<(&str, u64)>, limit: u64) -> Result<Vec<DeadLetter>> {
        self.guard.repeatable(|_| self.inner.dead_letters(schema, after, limit)).await
    }

    // Whether there was one would be the second attempt's answer alone.
    async fn remove_dead_letter(&self, journal: &str, sequence: u64) -> Result<bool> {
        self.guard.once(self.inner.remove_dead_letter(journal, sequence)).await
    }
}
