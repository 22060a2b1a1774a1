//! The log facet.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use store_core::facet::{Log, LogBatch, LogCursor, LogEntry};
use store_core::{Result, Version};

use super::{Faults, Operation};

#[derive(Debug)]
pub(super) struct FaultyLog {
    pub(super) inner: Arc<dyn Log>,
    pub(super) faults: Faults,
}

#[async_trait]
impl Log for FaultyLog {
    async fn end(&self) -> Result<LogCursor> {
        self.faults.run(Operation::LogEnd, self.inner.end()).await
    }

    async fn read(&self, after: &LogCursor) -> Result<LogBatch> {
        self.faults.run(Operation::LogRead, self.inner.read(after)).await
    }

    fn covers(&self, place: &LogCursor, earlier: &LogCursor) -> bool {
        self.inner.covers(place, earlier)
    }

    async fn append(&self, entries: &[LogEntry]) -> Result<Vec<Version>> {
        self.faults.run(Operation::LogAppend, self.inner.append(entries)).await
    }

    async fn prune(&self, age: Duration) -> Result<u64> {
        self.faults.run(Operation::LogPrune, self.inner.prune(age)).await
    }

    async fn lead(&self, names: &[String]) -> Result<Vec<bool>> {
        self.faults.run(Operation::LogLead, self.inner.lead(names)).await
    }
}
