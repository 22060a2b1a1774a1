//! The task that flushes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::Behind;
use crate::breaker::random_part;
use crate::error::{Error, ErrorKind};
use crate::sync::sleep;

/// The longest pause between two flushes of which the first failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// What wakes the task.
#[derive(Debug, Default)]
pub(super) struct Signals {
    dirty: Notify,
    hurry: Notify,
}

impl Signals {
    /// Something is pending.
    pub(super) fn dirty(&self) {
        self.dirty.notify_one();
    }

    /// What is pending must not wait for the interval's end.
    pub(super) fn hurry(&self) {
        self.hurry.notify_one();
    }
}

/// The pause behind a number of failed flushes in a row.
pub(super) fn pause(failures: u32, interval: Duration) -> Duration {
    let longest = interval.max(SHORTEST_PAUSE).saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + random_part() / 2.0)
}

/// Flushes what is pending at the end of each interval, or sooner where that is asked for. It goes on as long as the store or a collection is kept.
pub(super) async fn run(behind: Weak<Behind>, signals: Arc<Signals>) {
    loop {
        signals.dirty.notified().await;
        let Some(interval) = behind.upgrade().map(|behind| behind.settings.flush_interval) else { return };
        let _ = timeout(interval, signals.hurry.notified()).await;
        let mut failures = 0;
        loop {
            let Some(behind) = behind.upgrade() else { return };
            let Err(error) = behind.flush().await else { break };
            failures += 1;
            behind.failed(failures, &error);
            let pause = pause(failures, interval);
            drop(behind);
            sleep(pause).await;
        }
    }
}

impl Behind {
    /// Tells of a flush that failed, as often in a row as `failures` says.
    fn failed(&self, failures: u32, error: &Error) {
        if failures == 1 {
            tracing::warn!(%error, pending = self.dirty(), "what is pending could not be flushed; it is tried again");
        }
        if failures != self.settings.max_retries.saturating_add(1) {
            return;
        }
        let message = format!(
            "the flush of {} pending writes failed {failures} times in a row ({}); they stay pending, and it is tried again until the truth takes them",
            self.dirty(),
            error.summary()
        );
        let told = Error::new(ErrorKind::WriteBehindMaxRetry, message).with_retryable(true).with_source(error.duplicate());
        tracing::error!(error = %told);
        self.overlays().for_each(|overlay| overlay.tell(&told));
    }
}
