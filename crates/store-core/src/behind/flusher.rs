//! The task that flushes.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::Behind;
use crate::breaker::random_part;
use crate::error::{Error, ErrorKind};
use crate::sync::sleep;

/// The longest pause between two flushes of which the first failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// How long what is many enough to be flushed is gathered further, as a multiple of how long the last flush took.
const REST: u32 = 3;

/// What wakes the task.
#[derive(Debug, Default)]
pub(super) struct Signals {
    dirty: Notify,
    enough: Notify,
    hurry: Notify,
}

impl Signals {
    /// Something is pending.
    pub(super) fn dirty(&self) {
        self.dirty.notify_one();
    }

    /// So much is pending that it is worth a flush.
    pub(super) fn enough(&self) {
        self.enough.notify_one();
    }

    /// What is pending must not wait for the interval's end.
    pub(super) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Waits until what is pending is to be flushed. That there is enough of it counts from `rested` on.
    async fn wait(&self, interval: Duration, rested: Instant) {
        let enough = async {
            self.enough.notified().await;
            let rest = rested.saturating_duration_since(Instant::now());
            if !rest.is_zero() {
                sleep(rest).await;
            }
        };
        // An error: the interval is over.
        let _ = timeout(interval, select(pin!(self.hurry.notified()), pin!(enough))).await;
    }
}

/// The pause behind a number of failed flushes in a row.
pub(super) fn pause(failures: u32, interval: Duration) -> Duration {
    let longest = interval.max(SHORTEST_PAUSE).saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + random_part() / 2.0)
}

/// Flushes what is pending at the end of each interval, or sooner where that is asked for. It goes on as long as the store or a collection is kept.
///
/// Where writes come fast, there is always enough for a flush. One after the other they would take a core of the truth for themselves, and write the same rows again and
/// again.
pub(super) async fn run(behind: Weak<Behind>, signals: Arc<Signals>) {
    let mut rested = Instant::now();
    loop {
        signals.dirty.notified().await;
        let Some(interval) = behind.upgrade().map(|behind| behind.settings.flush_interval) else { return };
        signals.wait(interval, rested).await;
        let began = Instant::now();
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
        rested = Instant::now() + began.elapsed().saturating_mul(REST);
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
        self.tell(&told);
    }

    /// Tells the users' hooks of each pending key that flushes go on failing, if they were not told since that began.
    pub(super) fn tell(&self, error: &Error) {
        tracing::error!(%error);
        let last = self.order().last.sequence;
        let told = std::mem::replace(&mut self.trouble().told, last);
        self.overlays().for_each(|overlay| overlay.tell(error, told));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_is_enough_waits_until_the_last_flush_is_rested_from_and_what_hurries_does_not() {
        let (signals, hour) = (Signals::default(), Duration::from_secs(3_600));
        let now = Instant::now();
        assert!(signals.wait(hour, now).now_or_never().is_none());
        signals.enough();
        assert!(signals.wait(hour, now).now_or_never().is_some(), "it has rested");
        signals.enough();
        assert!(signals.wait(hour, now + hour).now_or_never().is_none());
        signals.hurry();
        assert!(signals.wait(hour, now + hour).now_or_never().is_some());
        signals.enough();
        signals.wait(Duration::from_millis(1), now + hour).await;
    }
}
