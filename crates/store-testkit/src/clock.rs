//! A clock whose hands the test turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use store_core::Clock;

/// 2026-01-01T00:00:00Z.
const START: Duration = Duration::from_secs(1_767_225_600);

/// Where monotonic time begins: not at zero, so that a duration mistaken for a deadline has long passed.
const MONOTONIC_START: Duration = Duration::from_secs(1_000_000);

/// A clock that stands still until a test advances it. Clones share the hands.
///
/// It starts at 2026-01-01T00:00:00Z.
///
/// ```
/// use std::time::Duration;
/// use store_core::Clock;
/// use store_testkit::ManualClock;
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.clone().advance(Duration::from_secs(30));
/// assert_eq!(clock.now(), before + Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    nanoseconds: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock at the start.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns the hands on, those of the time of day and the monotonic ones alike.
    ///
    /// # Panics
    ///
    /// If the clock would have gone more than 584 years in all.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).ok();
        let advanced = self.nanoseconds.try_update(Ordering::SeqCst, Ordering::SeqCst, |elapsed| elapsed.checked_add(by?));
        assert!(advanced.is_ok(), "the manual clock was advanced by more than 584 years");
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::SeqCst))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + START + self.elapsed()
    }

    fn monotonic(&self) -> Duration {
        MONOTONIC_START + self.elapsed()
    }
}
