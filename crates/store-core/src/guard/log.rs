//! The log facet.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Guard;
use crate::error::Result;
use crate::facet::{Log, LogBatch, LogCursor, LogEntry};
use crate::version::Version;

#[derive(Debug)]
pub(super) struct GuardedLog {
    pub(super) inner: Arc<dyn Log>,
    pub(super) guard: Guard,
}

#[async_trait]
impl Log for GuardedLog {
    async fn end(&self) -> Result<LogCursor> {
        self.guard.repeatable(|_| self.inner.end()).await
    }

    async fn read(&self, after: &LogCursor) -> Result<LogBatch> {
        self.guard.repeatable(|_| self.inner.read(after)).await
    }

    fn covers(&self, place: &LogCursor, earlier: &LogCursor) -> bool {
        self.inner.covers(place, earlier)
    }

    async fn append(&self, entries: &[LogEntry]) -> Result<Vec<Version>> {
        self.guard.once(self.inner.append(entries)).await
    }

    async fn prune(&self, age: Duration) -> Result<u64> {
        self.guard.once(self.inner.prune(age)).await
    }

    async fn lead(&self, names: &[String]) -> Result<Vec<bool>> {
        self.guard.once(self.inner.lead(names)).await
    }
}
