//! The time until which memory may answer without another look at the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::protection::Protection;

/// The freshness lease: when the instance's last completed poll of the log was sent.
///
/// All that was committed before a poll was sent is in what it brought. So, as long as what it brought was applied, an entry in memory reflects every commit
/// made longer ago than that. Nothing but the instance's own completed poll renews it.
#[derive(Debug, Default)]
pub(crate) struct FreshnessLease {
    /// Nanoseconds on the clock's monotonic scale, and one; 0 before the first poll. The highest bit is set while the lease is void.
    polled: AtomicU64,
    /// The number of the first poll that makes a void lease valid. Held while either is written.
    needed: Mutex<u64>,
}

const VOID: u64 = 1 << 63;

impl FreshnessLease {
    /// The poll of this number was sent at this time, and what it brought has been applied.
    pub(crate) fn renew(&self, number: u64, sent: Duration) {
        let needed = self.needed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.polled.load(Ordering::Relaxed);
        let polled = (before & !VOID).max(nanoseconds(sent).saturating_add(1).min(VOID - 1));
        let void = if number < *needed { before & VOID } else { 0 };
        self.polled.store(polled | void, Ordering::Release);
    }

    /// Memory may lack what this instance was told: it answers no more until the poll of this number has been applied, or a later one.
    pub(crate) fn void(&self, next_poll: u64) {
        let mut needed = self.needed.lock().unwrap_or_else(PoisonError::into_inner);
        *needed = next_poll.max(*needed);
        self.polled.fetch_or(VOID, Ordering::AcqRel);
    }

    /// How long ago the last completed poll was sent.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
        let polled = (self.polled.load(Ordering::Acquire) & !VOID).checked_sub(1)?;
        Some(now.saturating_sub(Duration::from_nanos(polled)))
    }

    /// Until when memory reflects every commit made longer than `bound` ago.
    pub(crate) fn end(&self, bound: Duration) -> Option<Duration> {
        let polled = self.polled.load(Ordering::Acquire);
        if polled & VOID != 0 {
            return None;
        }
        let polled = polled.checked_sub(1)?;
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
        lease.renew(1, SECOND);
        assert_eq!(lease.end(SECOND), Some(SECOND * 2));
        assert_eq!(lease.end(Duration::MAX), Some(Duration::MAX));
        assert_eq!(lease.age(SECOND * 3), Some(SECOND * 2));
    }

    #[test]
    fn an_older_poll_that_completes_later_shortens_nothing() {
        let lease = FreshnessLease::default();
        lease.renew(2, SECOND * 5);
        lease.renew(1, SECOND);
        assert_eq!(lease.age(SECOND * 6), Some(SECOND));
    }

    #[test]
    fn a_void_lease_waits_for_a_poll_that_began_later() {
        let lease = FreshnessLease::default();
        lease.void(1);
        assert_eq!((lease.end(SECOND), lease.age(SECOND)), (None, None));
        lease.renew(1, SECOND);
        assert_eq!(lease.end(SECOND), Some(SECOND * 2));
        lease.void(3);
        lease.renew(2, SECOND * 2);
        assert_eq!((lease.end(Duration::MAX), lease.age(SECOND * 2)), (None, Some(Duration::ZERO)));
        lease.void(2);
        lease.renew(3, SECOND * 3);
        assert_eq!(lease.end(SECOND), Some(SECOND * 4));
        lease.renew(2, SECOND * 2);
        assert_eq!(lease.end(SECOND), Some(SECOND * 4), "what came later has made it valid");
    }
}
