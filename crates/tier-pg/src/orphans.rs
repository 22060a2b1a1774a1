//! Server processes that may still be at work on a write whose outcome nobody knows any more.
//!
//! A server that hung, or was cut off, goes on with what it had received when it wakes, and commits it, before it learns that its client is gone. What the
//! client wrote in the meantime over another connection would be overwritten. So before the next write of this tier begins, those processes are ended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use store_core::protection::Protection;
use store_core::{Error, ErrorKind, Result, Role};

use crate::error::Attempt;
use crate::pool::Pool;

/// Ends a process unless its number is already another's, and waits until it is gone. No row: it was gone before.
const END: &str = "SELECT pg_terminate_backend($1, $2) FROM pg_stat_get_activity($1) AS backend \
    WHERE (extract(epoch FROM backend.backend_start) * 1000000)::BIGINT = $3";

/// What tells a connection's process on the server from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) process: i32,
    /// When it began, in microseconds since 1970 by the server's clock.
    pub(crate) began: i64,
}

impl Backend {
    /// Asks a connection for its own.
    pub(crate) const QUERY: &str =
        "SELECT pid, (extract(epoch FROM backend_start) * 1000000)::BIGINT FROM pg_stat_get_activity(pg_backend_pid())";
}

/// Those of a pool.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    count: AtomicUsize,
    backends: Mutex<Vec<Backend>>,
    /// Held while they are ended: a write that comes meanwhile waits, too.
    ending: tokio::sync::Mutex<()>,
}

impl Orphans {
    pub(crate) fn add(&self, backend: Backend) {
        let mut backends = self.lock();
        backends.push(backend);
        self.count.store(backends.len(), Ordering::Release);
    }

    /// Ends them all.
    pub(crate) async fn end(&self, pool: &Pool, attempt: Attempt<'_>) -> Result<()> {
        if self.count.load(Ordering::Acquire) == 0 || Protection::Orphans.is_off() {
            return Ok(());
        }
        let _ending = self.ending.lock().await;
        let patience = i64::try_from(pool.limits().statement.as_millis() / 2).unwrap_or(i64::MAX);
        loop {
            let Some(backend) = self.lock().first().copied() else { return Ok(()) };
            let rows = pool.read(END, &[&backend.process, &patience, &backend.began], attempt).await?;
            let is_gone = rows.first().is_none_or(|row| row.try_get(0).unwrap_or(false));
            if !is_gone {
                let message = "an earlier write, whose outcome is unknown, is still under way on the server and cannot be ended; try again once the server responds";
                return Err(Error::new(ErrorKind::Timeout, message).with_tier(Role::Truth));
            }
            let mut backends = self.lock();
            backends.retain(|present| *present != backend);
            self.count.store(backends.len(), Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Backend>> {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
