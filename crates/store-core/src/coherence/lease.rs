//! The time until which memory may answer without another look at the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::protection::Protection;

/// The freshness lease: when the instance's last completed poll of the log was sent.
///
/// All that was committed before a poll was sent is in what it brought. So, as long as what it brought was applied, an entry in memory reflects every commit
/// made longer ago than that. Nothing but the instance's own completed poll renews it.
#[derive(Debug, Default)]
pub(crate) struct FreshnessLease {
    /// Nanoseconds on the clock's monotonic scale, and one; 0 before the first poll.
    polled: AtomicU64,
}

impl FreshnessLease {
    /// A poll was sent at this time, and what it brought has been applied.
    pub(crate) fn renew(&self, sent: Duration) {
        self.polled.fetch_max(nanoseconds(sent).saturating_add(1), Ordering::Release);
    }

    /// How long ago the last completed poll was sent.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
        let polled = self.polled.load(Ordering::Acquire).checked_sub(1)?;
        Some(now.saturating_sub(Duration::from_nanos(polled)))
    }

    /// Until when memory reflects every commit made longer than `bound` ago.
    pub(crate) fn end(&self, bound: Duration) -> Option<Duration> {
        let polled = self.polled.load(Ordering::Acquire).checked_sub(1)?;
        if Protection::Deadline.is_off() {
            return Some(Duration::MAX);
        }
        Some(Duration::from_nanos(polled).saturating_add(bound))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_counts_from_when_the_poll_was_sent() {
        let lease = FreshnessLease::default();
        assert_eq!((lease.end(SECOND), lease.age(SECOND)), (None, None), "nothing was polled yet");
        lease.renew(SECOND);
        assert_eq!(lease.end(SECOND), Some(SECOND * 2));
        assert_eq!(lease.end(Duration::MAX), Some(Duration::MAX));
        assert_eq!(lease.age(SECOND * 3), Some(SECOND * 2));
    }

    #[test]
    fn an_older_poll_that_completes_later_shortens_nothing() {
        let lease = FreshnessLease::default();
        lease.renew(SECOND * 5);
        lease.renew(SECOND);
        assert_eq!(lease.age(SECOND * 6), Some(SECOND));
    }
}
