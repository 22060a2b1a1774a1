//! Time, behind a trait so that tests can turn the hands.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

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
}

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

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}
