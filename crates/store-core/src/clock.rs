//! Time, behind a trait so that tests can turn the hands.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

/// Where the store takes the time from.
///
/// ```
/// use std::sync::Arc;
/// use std::time::{Duration, SystemTime};
/// use store_core::{Clock, Settings, SystemClock};
///
/// /// The machine's clock, put right by a known offset.
/// #[derive(Debug)]
/// struct Corrected(Duration);
///
/// impl Clock for Corrected {
///     fn now(&self) -> SystemTime {
///         SystemClock.now() + self.0
///     }
///
///     fn monotonic(&self) -> Duration {
///         SystemClock.monotonic()
///     }
/// }
///
/// let settings = Settings { clock: Arc::new(Corrected(Duration::from_secs(60))), ..Settings::default() };
/// assert!(settings.clock.now() > SystemClock.now());
/// ```
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time of day, for stamps and for deadlines that leave the process.
    fn now(&self) -> SystemTime;

    /// Time that never goes back, since any fixed moment, for life times within the process.
    fn monotonic(&self) -> Duration;

    /// [`monotonic`](Self::monotonic) as cheaply as the machine can tell it: never ahead of it, and behind it by as long as the machine's clock has not ticked, which
    /// is milliseconds, or more where the machine stood still.
    fn coarse(&self) -> Duration {
        self.monotonic()
    }

    /// Whether a time on the monotonic scale is still to come. As cheap as [`coarse`](Self::coarse) while that time is more than half a second away, and exact unless
    /// [`coarse`](Self::coarse) is behind by more than that. Asked on each hit in memory.
    fn is_ahead(&self, time: Duration) -> bool {
        let coarse = self.coarse();
        coarse < time && (coarse + LATEST_TICK < time || self.monotonic() < time)
    }
}

/// How late a tick may be without harm. On a virtual machine that was kept from its processors, 47 milliseconds have been seen.
const LATEST_TICK: Duration = Duration::from_millis(500);

/// The machine's clocks.
///
/// ```
/// use store_core::{Clock, SystemClock};
///
/// let start = SystemClock.monotonic();
/// assert!(SystemClock.monotonic() >= start);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[cfg(not(target_os = "linux"))]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

/// The kernel keeps the time of its last tick where it can be read for a fifth of what the precise time costs.
#[cfg(target_os = "linux")]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        linux::duration(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
    }

    fn coarse(&self) -> Duration {
        linux::duration(rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    /// Neither part is ever negative on a monotonic clock.
    pub(super) fn duration(time: rustix::time::Timespec) -> Duration {
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarse_time_is_never_ahead_and_follows() {
        let start = SystemClock.monotonic();
        while SystemClock.coarse() <= start {
            let coarse = SystemClock.coarse();
            assert!(coarse <= SystemClock.monotonic());
            assert!(SystemClock.monotonic() - start < Duration::from_secs(10), "it stands still");
        }
    }

    #[test]
    fn what_is_ahead_is_told_exactly_though_the_tick_is_late() {
        /// Its tick is late by 400 milliseconds.
        #[derive(Debug)]
        struct Late(Duration);

        impl Clock for Late {
            fn now(&self) -> SystemTime {
                SystemTime::UNIX_EPOCH
            }

            fn monotonic(&self) -> Duration {
                self.0
            }

            fn coarse(&self) -> Duration {
                self.0 - Duration::from_millis(400)
            }
        }

        let (now, nanosecond) = (Duration::from_secs(9), Duration::from_nanos(1));
        for ahead in [nanosecond, Duration::from_millis(100), Duration::from_secs(3), Duration::MAX - now] {
            assert!(Late(now).is_ahead(now + ahead), "{ahead:?}");
        }
        for over in [Duration::ZERO, nanosecond, Duration::from_millis(399), Duration::from_secs(3)] {
            assert!(!Late(now).is_ahead(now - over), "{over:?}");
        }
    }
}
